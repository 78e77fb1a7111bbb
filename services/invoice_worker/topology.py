"""Streams and durables of the invoice worker: a work queue in, a log out."""

from __future__ import annotations

from msgspec.structs import replace

from services.invoice_worker.settings import QueueSettings
from shared.buckets import ObjectBucket
from shared.queue_streams import Schedules, WorkQueue
from shared.topology import (
    ATTEMPTS,
    DEAD_LETTERS,
    Durable,
    Log,
    Topology,
)

SERVICE = "invoice_worker"

INVOICE_SCHEDULES = Schedules(
    name="INVOICE_SCHEDULES",
    waiting="schedules.invoice.>",
    due="scheduled.invoice.*",
    target="jobs.invoice.{{wildcard(1)}}",
    description="Jobs for later: schedules.invoice.<any>, target scheduled.invoice.<seller>",
)

INVOICE_JOBS = WorkQueue(
    name="INVOICE_JOBS",
    subjects=("jobs.invoice.>",),
    description="Invoice jobs: jobs.invoice.<seller>; each goes to one worker, gone once acked",
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
)


def topology(settings: QueueSettings) -> Topology:
    """Return the topology with the limits that a deployment has chosen."""
    jobs = replace(INVOICE_JOBS, max_messages=settings.max_messages)
    wait = settings.ack_wait_seconds
    return Topology(
        streams=(INVOICE_SCHEDULES, jobs, INVOICES, INVOICE_DOCUMENTS, DEAD_LETTERS, ATTEMPTS),
        durables=(
            replace(ISSUE, ack_wait_seconds=wait),
            replace(RENDER, ack_wait_seconds=wait),
        ),
    )
