"""Workers that do nothing, each as its makers would write it: `NAME URL SERVER_PID QUEUE COUNT`.

Each takes `COUNT` jobs of seven fields from the queue, a hundred at a time in hand, checks
them against a type, calls a trivial handler and acks. The clock runs from the first job handled
until the queue is empty at the server, so that an ack that was only sent does not count.
Printed is one `Measured` as JSON. All run on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import nats
import uvloop
from faststream.nats import JStream, NatsBroker, PullSub
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel

from shared import logs
from shared.settings import LogSettings
from shared.work_queue import Ack, Delivery, Outcome, WorkerPolicy, json_body
from tests.bench.rig import Measured, Meter, messages_in
from tests.queue_rig import rig, working

WIDTH = 100
_EMPTY_PAUSE_SECONDS = 0.002


class Job(Struct, frozen=True):
    """What the jobs are, for msgspec."""

    id: str
    account: str
    amount: float
    currency: str
    at: str
    attempt: int
    tags: list[str]


class JobModel(BaseModel):
    """The same for pydantic, as FastStream's documentation has it."""

    id: str
    account: str
    amount: float
    currency: str
    at: str
    attempt: int
    tags: list[str]


class Course(Struct, frozen=True):
    """Where a contender runs, and how far."""

    url: str
    server_pid: int
    queue: str
    count: int

    @property
    def stream(self) -> str:
        """The stream of the queue, as `tests.queue_rig` names it."""
        return f"Q_{self.queue}"


class Lap:
    """Counts the jobs handled; the first one starts the clock."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._meter: Meter | None = None
        self._handled = 0
        self._all = asyncio.Event()

    def handled(self) -> None:
        """Count one job."""
        if self._meter is None:
            self._meter = Meter(self._course.server_pid)
        self._handled += 1
        if self._handled == self._course.count:
            self._all.set()

    async def end(self, client: Client) -> Measured:
        """Wait until all are handled and the queue is empty; return what that took."""
        await self._all.wait()
        while await messages_in(client, self._course.stream):  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(_EMPTY_PAUSE_SECONDS)
        assert self._meter is not None
        return self._meter.stop(self._course.count)


async def faststream(course: Course) -> Measured:
    """FastStream's pull subscriber: `fetch` of a hundred, one task each, a pydantic model."""
    lap = Lap(course)
    broker = NatsBroker(course.url, logger=None)

    @broker.subscriber(
        f"jobs.{course.queue}.>",
        stream=JStream(course.stream, declare=False),
        durable="workers",
        pull_sub=PullSub(batch_size=WIDTH),
    )
    async def handle(_: JobModel) -> None:
        lap.handled()

    async with broker, _client(course) as client:
        await broker.start()
        return await lap.end(client)


async def by_hand(course: Course) -> Measured:
    """The least that does it with nats-py: continuous pull, a queue, a hundred tasks, plain acks.

    No timeouts, no dead letters, no confirmation, no shutdown, no redelivery.
    """
    lap = Lap(course)
    decode = msgspec.json.Decoder(Job).decode
    waiting: asyncio.Queue[Msg] = asyncio.Queue()
    request = msgspec.json.encode({"batch": 2 * WIDTH, "expires": 20_000_000_000})
    next_jobs = f"$JS.API.CONSUMER.MSG.NEXT.{course.stream}.workers"
    taken = 0

    async def handle(_: Job) -> bool:
        lap.handled()
        return True

    async with _client(course) as client:
        inbox = client.new_inbox()

        async def receive(message: Msg) -> None:
            waiting.put_nowait(message)

        async def work() -> None:
            nonlocal taken
            while True:
                message = await waiting.get()
                if await handle(decode(message.data)):
                    await client.publish(message.reply, b"+ACK")
                taken += 1
                if taken % (2 * WIDTH) == 0:
                    await client.publish(next_jobs, request, reply=inbox)

        await client.subscribe(inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        workers = [asyncio.create_task(work()) for _ in range(WIDTH)]
        await client.publish(next_jobs, request, reply=inbox)
        await client.publish(next_jobs, request, reply=inbox)
        measured = await lap.end(client)
        for worker in workers:
            worker.cancel()
        return measured


async def engine(course: Course, log_level: str = "warning") -> Measured:
    """Our worker with all that it has: timeouts, confirmed acks, dead letters, soft stop."""
    logs.configure(LogSettings(level="info" if log_level == "info" else "warning"))
    lap = Lap(course)

    async def handle(_: Delivery[Job]) -> Outcome:
        lap.handled()
        return Ack()

    async with rig(course.url, course.queue) as queue, _client(course) as client:
        worker = queue.worker(
            handle,
            policy=WorkerPolicy(concurrency=WIDTH, prefetch=WIDTH, confirmed_acks=True),
            decode=json_body(Job),
        )
        async with working(worker):
            return await lap.end(client)


async def engine_with_log_lines(course: Course) -> Measured:
    """Likewise, with its canonical log line a job."""
    return await engine(course, "info")


CONTENDERS: dict[str, Callable[[Course], Awaitable[Measured]]] = {
    "faststream": faststream,
    "by-hand": by_hand,
    "engine": engine,
    "engine-log-lines": engine_with_log_lines,
}


@contextlib.asynccontextmanager
async def _client(course: Course) -> AsyncIterator[Client]:
    client = await nats.connect(course.url)
    try:
        yield client
    finally:
        await client.close()


async def _contend(name: str, course: Course) -> Measured:
    return await CONTENDERS[name](course)


if __name__ == "__main__":
    _name, _url, _pid, _queue, _count = sys.argv[1:]
    _measured = uvloop.run(_contend(_name, Course(_url, int(_pid), _queue, int(_count))))
    sys.stdout.buffer.write(msgspec.json.encode(_measured))
