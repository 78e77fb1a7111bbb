"""Streams and durables of the invoice worker: a work queue in, a log out."""

from __future__ import annotations

from shared.topology import (
    ATTEMPTS,
    DEAD_LETTERS,
    Durable,
    Log,
    ObjectBucket,
    Schedules,
    Topology,
    WorkQueue,
)

SERVICE = "invoice_worker"

INVOICE_SCHEDULES = Schedules(
    name="INVOICE_SCHEDULES",
    waiting="schedules.invoice.>",
    due="scheduled.invoice.*",
    target="jobs.invoice.{{wildcard(1)}}",
    description="Invoice jobs for later: schedules.invoice.<any>, target scheduled.invoice.<seller>",
)

INVOICE_JOBS = WorkQueue(
    name="INVOICE_JOBS",
    subjects=("jobs.invoice.>",),
    description="Invoice jobs: jobs.invoice.<seller>; each goes to one worker, gone once acked",
    max_messages=1_000_000,
    schedules=INVOICE_SCHEDULES,
)

INVOICES = Log(
    name="INVOICES",
    subjects=("invoices.>", "invoices-done.*", "invoices-counter.*", "invoices-rendered.*"),
    description="Issued invoices, kept: facts, done records, number counters",
    atomic=True,
    keep=True,
)

INVOICE_DOCUMENTS = ObjectBucket(
    name="INVOICE_DOCUMENTS",
    description="<number>.pdf (PDF/A-3b with factur-x.xml) and <number>.xml (UBL 2.1)",
)

ISSUE = Durable(
    stream=INVOICE_JOBS.name,
    name="invoice_worker",
    description="Workers that issue invoices",
    filter_subject="jobs.invoice.>",
)

RENDER = Durable(
    stream=INVOICES.name,
    name="invoice_documents",
    description="Workers that render the documents of issued invoices",
    filter_subject="invoices.issued.>",
    ack_wait_seconds=60,
)

TOPOLOGY = Topology(
    streams=(INVOICE_SCHEDULES, INVOICE_JOBS, INVOICES, INVOICE_DOCUMENTS, DEAD_LETTERS, ATTEMPTS),
    durables=(ISSUE, RENDER),
)
