"""From a delivery of a job to its outcome: parse, prepare, order a number."""

from __future__ import annotations

from msgspec import Struct
from nats.aio.msg import Msg

from services.invoice_worker.domain import Refusal, Sellers, parse_job, prepare, unknown_fields
from services.invoice_worker.ledger import Ledger, LedgerUnavailableError, TooLargeError
from services.invoice_worker.ledger_batch import Order
from shared import trace, tracing
from shared.contracts.invoices import InvoiceJob, JobOrigin
from shared.logs import logger
from shared.work_queue import Ack, DeadLetter, Delivery, Outcome, Permanent, Retry

_log = logger("issuing")

_SUBJECT = "jobs.invoice."


class SellersJob(Struct, frozen=True):
    """A job and whose it is."""

    seller: str
    job: InvoiceJob
    unknown: tuple[str, ...]
    """Paths of fields that no struct knows."""


def decode(message: Msg) -> SellersJob:
    """Read a message of `INVOICE_JOBS`. Raises `Permanent`."""
    seller = message.subject.removeprefix(_SUBJECT)
    try:
        job = parse_job(seller, message.data)
    except Refusal as refusal:
        raise Permanent(refusal.error, reason=refusal.reason) from refusal
    return SellersJob(seller, job, tuple(unknown_fields(message.data)))


class Issuer:
    """Handles invoice jobs."""

    def __init__(self, sellers: Sellers, ledger: Ledger) -> None:
        self._sellers = sellers
        self._ledger = ledger
        self.unknown_fields = 0

    async def handle(self, delivery: Delivery[SellersJob]) -> Outcome:
        """Issue the invoice, or find that it was issued."""
        body = delivery.body
        if body.unknown:
            self.unknown_fields += len(body.unknown)
            _log.debug("unknown fields", sequence=delivery.sequence, fields=body.unknown)
        try:
            prepared = prepare(body.job, self._sellers.get(body.seller), delivery.arrival)
        except Refusal as refusal:
            return DeadLetter(refusal.reason, refusal.error)
        identity = delivery.id
        order = Order(
            prepared,
            JobOrigin(delivery.stream, delivery.sequence, identity),
            trace.outgoing(delivery.headers, identity),
        )
        try:
            with tracing.step("commit INVOICES", order.trace):
                entry = await self._ledger.issue(order)
        except LedgerUnavailableError as error:
            return Retry(f"ledger: {error}", counts=False)
        except TooLargeError as error:
            return DeadLetter("invalid", f"lines: {error}")
        if not entry.same_content:
            return DeadLetter(
                "conflict",
                f"order_id: {body.job.type} {body.job.order_id!r} of {body.seller!r} was issued as "
                f"{entry.number} from a job with other content",
            )
        return Ack(
            {"number": entry.number, "order_id": body.job.order_id, "repeated": entry.existed}
        )
