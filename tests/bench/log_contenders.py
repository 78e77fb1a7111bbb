"""Windows by key, each as its makers would write it.

Arguments: `NAME URL SERVER_PID STAGE PARTITIONS COUNT RESULTS`.

Each reads `COUNT` readings from the log, keeps count, sum and p95 of each key and minute, and
publishes the results. The clock runs from the first reading handled until all results are
stored and, for those that ack, until the server has all acks. Printed is one `Measured` as
JSON. All run on uvloop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec
import uvloop
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.message import NatsBatchMessage
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import TimeoutError as NoMessagesError

from shared import jetstream, logs
from shared.deadline import Deadline
from shared.log_stream.policy import LogPolicy
from shared.settings import LogSettings
from tests.bench.log_stage import (
    GRACE_MS,
    MINUTE_MS,
    client_of,
    decode,
    encode_result,
    member_of,
    stage_of,
    stored,
)
from tests.bench.rig import Measured, Meter

BATCH = 500
_DONE_PAUSE_SECONDS = 0.003


class Course(Struct, frozen=True):
    """Where a contender runs, and how far."""

    url: str
    server_pid: int
    stage: str
    partitions: int
    count: int
    results: int


class Lap:
    """Counts the readings handled; the first one starts the clock."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._meter: Meter | None = None
        self._handled = 0
        self._all = asyncio.Event()

    def handled(self, count: int) -> None:
        """Count readings, before or after they are folded."""
        if self._meter is None:
            self._meter = Meter(self._course.server_pid)
        self._handled += count
        if self._handled >= self._course.count:
            self._all.set()

    async def end(self, client: Client, durable: str = "") -> Measured:
        """Wait until results, and acks to a durable, are with the server; return what it took."""
        await self._all.wait()
        course = self._course
        stage = stage_of(course.stage, course.partitions)
        while await _left(client, course, durable):  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(_DONE_PAUSE_SECONDS)
        assert self._meter is not None
        measured = self._meter.stop(course.count)
        there = await stored(client, stage.target.name, f"out.{course.stage}.>")
        assert there == course.results, f"{there} results instead of {course.results}"
        return measured


async def _left(client: Client, course: Course, durable: str) -> bool:
    stage = stage_of(course.stage, course.partitions)
    if await stored(client, stage.target.name) < course.results:
        return True
    if not durable:
        return False
    info = await jetstream.call(client, f"CONSUMER.INFO.{stage.source.name}.{durable}")
    return bool(info["num_pending"] or info["num_ack_pending"])


class ByHand:
    """Windows in a dict, as one writes it when a crash does not matter."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._windows: dict[int, dict[str, list[float]]] = {}
        self._greatest_ms = 0

    def fold(self, bodies: Iterable[bytes]) -> list[tuple[str, bytes]]:
        """Take in readings; return subject and body of the results of what is closed."""
        results: list[tuple[str, bytes]] = []
        windows = self._windows
        for body in bodies:
            reading = decode(body)
            start_ms = reading.at_ms - reading.at_ms % MINUTE_MS
            window = windows.setdefault(start_ms, {})
            window.setdefault(reading.key, []).append(reading.value)
            if reading.at_ms > self._greatest_ms:
                self._greatest_ms = reading.at_ms
                for start_ms in [
                    start for start in windows if start + MINUTE_MS + GRACE_MS <= reading.at_ms
                ]:
                    for key, values in windows.pop(start_ms).items():
                        data = encode_result(key, start_ms, values)
                        results.append((f"{self._prefix}.{key}", data))
        return results


async def _publish(client: Client, results: Sequence[tuple[str, bytes]]) -> None:
    js = client.jetstream()
    await asyncio.gather(*(js.publish(subject, data) for subject, data in results))


async def by_hand(course: Course) -> Measured:
    """nats-py alone: `fetch` of five hundred, fold, publish the results, ack each."""
    lap = Lap(course)
    windows = ByHand(f"out.{course.stage}")
    async with client_of(course.url) as client:
        js = client.jetstream()
        subscription = await js.pull_subscribe_bind(course.stage, stream="IN")

        async def work() -> None:
            while True:
                try:
                    messages = await subscription.fetch(BATCH, timeout=1)
                except NoMessagesError:
                    continue
                lap.handled(0)
                await _publish(client, windows.fold(message.data for message in messages))
                for message in messages:
                    await message.ack()
                lap.handled(len(messages))

        worker = asyncio.create_task(work())
        measured = await lap.end(client, course.stage)
        worker.cancel()
        return measured


async def faststream(course: Course) -> Measured:
    """FastStream's batch subscriber, with a decoder that leaves the bodies to msgspec, its acks."""
    lap = Lap(course)
    windows = ByHand(f"out.{course.stage}")
    broker = NatsBroker(course.url, logger=None, apply_types=False)

    async def bodies(message: NatsBatchMessage) -> list[bytes]:
        return [one.data for one in message.raw_message]

    @broker.subscriber(
        "log.>",
        stream=JStream("IN", declare=False),
        durable=course.stage,
        decoder=bodies,
        pull_sub=PullSub(batch_size=BATCH, batch=True),
    )
    async def handle(batch: list[bytes]) -> None:
        lap.handled(0)
        await _publish(publisher, windows.fold(batch))
        lap.handled(len(batch))

    async with client_of(course.url) as publisher, broker:
        await broker.start()
        return await lap.end(publisher, course.stage)


async def engine(course: Course, *, batch_parser: bool = True) -> Measured:
    """One member of a stage on all partitions: outputs committed once, snapshots, fences."""
    logs.configure(LogSettings(level="warning"))
    policy = LogPolicy(batch_parser=batch_parser)
    lap = Lap(course)
    stage = stage_of(course.stage, course.partitions)
    async with member_of(course.url, stage, policy) as member, client_of(course.url) as client:
        stop = asyncio.Event()
        running = asyncio.create_task(member.run(stop, Deadline(30)))

        counted = 0
        while counted < course.count:
            await asyncio.sleep(_DONE_PAUSE_SECONDS)
            events = sum(one.stats.events for one in member.partitions.values())
            if events:
                lap.handled(events - counted)
                counted = events
        measured = await lap.end(client)
        stop.set()
        await running
        return measured


async def engine_by_message(course: Course) -> Measured:
    """Likewise, reading by nats-py's public API."""
    return await engine(course, batch_parser=False)


CONTENDERS: dict[str, Callable[[Course], Awaitable[Measured]]] = {
    "by-hand": by_hand,
    "faststream-batch": faststream,
    "engine-public-api": engine_by_message,
    "engine": engine,
}


async def _contend(name: str, course: Course) -> Measured:
    return await CONTENDERS[name](course)


if __name__ == "__main__":
    _name, _url, _pid, _stage, *_counts = sys.argv[1:]
    _course = Course(_url, int(_pid), _stage, *map(int, _counts))
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_contend(_name, _course))))
