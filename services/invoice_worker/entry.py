"""The invoice worker as the operators' CLI sees it."""

from __future__ import annotations

from services.invoice_worker.demo import make_job
from services.invoice_worker.settings import QueueSettings
from services.invoice_worker.topology import SERVICE, topology
from shared.contracts.invoices import InvoiceIssued, InvoiceJob, InvoiceRendered
from shared.registry import MessageType, ServiceEntry
from shared.settings import load

_FIRST_JOB = (
    '{"order_id": "SO-1001", "buyer": {"name": "Blue GmbH", "country": "DE"}, '
    '"lines": [{"description": "Consulting", "quantity": "2.5", "unit_price": "80.00"}]}'
)

ENTRY = ServiceEntry(
    name=SERVICE,
    description="Invoice jobs become numbered, legally valid e-invoices, exactly once",
    topology=lambda: topology(load(QueueSettings)),
    messages=(
        MessageType("invoice-job", "jobs.invoice.<seller>", InvoiceJob, "Command: make an invoice"),
        MessageType(
            "invoice-issued",
            "invoices.issued.<seller>",
            InvoiceIssued,
            "Event: an invoice exists",
            emitted=True,
        ),
        MessageType(
            "invoice-rendered",
            "invoices.rendered.<seller>",
            InvoiceRendered,
            "Event: the documents of an invoice are stored",
            emitted=True,
        ),
    ),
    demo=make_job,
    try_it=(
        f"nats pub -J jobs.invoice.demo '{_FIRST_JOB}'",
        "nats stream get INVOICES --last-for invoices.issued.demo",
        "nats object ls INVOICE_DOCUMENTS",
    ),
)
