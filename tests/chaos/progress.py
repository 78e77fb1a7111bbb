"""How far all three services are, from what the server stores; and how long they paused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.entry import ENTRY as FRAUD
from services.invoice_worker.topology import INVOICE_JOBS, INVOICES, RENDER
from services.metrics_aggregator.entry import ENTRY as METRICS
from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import history, records
from shared.log_stream.history import Span
from shared.log_stream.stage import Stage

_NANOSECONDS = 1_000_000_000
ISSUED = "invoices.issued.>"


class Mark(Struct, frozen=True):
    """Where the ends of all inputs were at one moment: the last sequences."""

    jobs: int
    issued: int
    partitions: Mapping[tuple[str, int], int]


def stages() -> list[Stage]:
    """Return every stage of both log services, projections and feeds too."""
    found = [entry.stage for service in (METRICS, FRAUD) for entry in service.stages()]
    return [*found, *METRICS.beside(), *FRAUD.beside()]


async def mark(client: Client) -> Mark:
    """Return where the ends of all inputs are now."""
    info = await jetstream.call(client, f"STREAM.INFO.{INVOICE_JOBS.name}")
    ends = {
        (stage.group, number): await _end(client, stage.source.name, stage.events(number))
        for stage in stages()
        for number in range(stage.source.partitions)
    }
    issued = await _end(client, INVOICES.name, ISSUED)
    return Mark(int(info["state"]["last_seq"]), issued, ends)


async def passed(client: Client, end: Mark) -> bool:
    """Tell whether all that was stored at a mark has had its effect."""
    jobs = (await jetstream.call(client, f"STREAM.INFO.{INVOICE_JOBS.name}"))["state"]
    if jobs["messages"] and jobs["first_seq"] <= end.jobs:
        return False
    rendering = await jetstream.call(client, f"CONSUMER.INFO.{INVOICES.name}.{RENDER.name}")
    waiting = rendering["num_pending"] + rendering["num_ack_pending"]
    if waiting and rendering["ack_floor"]["stream_seq"] < end.issued:
        return False
    for stage in stages():
        for number, (_, record) in (await records.records_of(client, stage)).items():
            if record.sequence < end.partitions[stage.group, number]:
                return False
    return True


async def invoices_waiting(client: Client) -> int:
    """Return how many jobs wait for their number, and how many invoices for their documents."""
    jobs = (await jetstream.call(client, f"STREAM.INFO.{INVOICE_JOBS.name}"))["state"]
    rendering = await jetstream.call(client, f"CONSUMER.INFO.{INVOICES.name}.{RENDER.name}")
    return int(jobs["messages"] + rendering["num_pending"] + rendering["num_ack_pending"])


async def all_passed(client: Client) -> bool:
    """Tell whether nothing at all is left to do."""
    return await passed(client, await mark(client))


def patient(ask: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    """Return a question that gets a no while the server does not answer."""

    async def asked() -> bool:
        try:
            return await ask()
        except BROKER_ERRORS:
            return False

    return asked


async def longest_pause(client: Client, stream: str, subject: str, until_ns: int) -> float:
    """Return the longest time, in seconds, in which nothing came on a subject until then."""
    longest = before = 0
    async for page in history.pages(client, stream, Span(subject)):
        for one in page:
            if before and one.arrival_ns <= until_ns:
                longest = max(longest, one.arrival_ns - before)
            before = one.arrival_ns
    return longest / _NANOSECONDS


async def _end(client: Client, stream: str, subject: str) -> int:
    last = await jetstream.last_message(client, stream, subject)
    return last.sequence if last is not None else 0
