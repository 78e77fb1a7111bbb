"""A work queue of a test's own on the real server, and workers on it in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from msgspec import Struct

from shared import jetstream
from shared.broker import Broker, connected
from shared.dead_letters import Selection, read
from shared.deadline import Deadline
from shared.letters import DeadLetter
from shared.provision import provision
from shared.queue_streams import WorkQueue
from shared.settings import BrokerSettings, StreamSettings
from shared.topology import ATTEMPTS, DEAD_LETTERS, Durable, Topology
from shared.work_queue import Backoff, Decoder, Handler, Worker, WorkerPolicy, json_body

T = TypeVar("T")

QUICK = Backoff(first_seconds=0.02, most_seconds=0.05)


class Job(Struct, frozen=True):
    """The job of most tests."""

    n: int
    text: str = ""


class Rig:
    """One queue with its durable; `name` is its service's and subject's name too."""

    def __init__(self, broker: Broker, name: str, durable: Durable, topology: Topology) -> None:
        self.broker = broker
        self.name = name
        self.durable = durable
        self.topology = topology
        self.subject = f"jobs.{name}.x"

    async def publish(self, body: Any, **headers: str) -> int:
        """Publish a job (bytes as they are, else as JSON); return its sequence."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await jetstream.publish(self.broker.client, self.subject, data, named)).sequence

    async def left(self) -> int:
        """Messages in the queue."""
        info = await jetstream.call(self.broker.client, f"STREAM.INFO.{self.durable.stream}")
        return int(info["state"]["messages"])

    async def empty(self) -> bool:
        """Whether all jobs are gone."""
        return await self.left() == 0

    async def dead(self) -> list[DeadLetter]:
        """Dead letters of this rig, oldest first."""
        chosen = Selection(service=self.name)
        return [letter async for letter in read(self.broker.client, chosen)]

    def worker(
        self,
        handler: Handler[T],
        *,
        policy: WorkerPolicy | None = None,
        decode: Decoder[T] | None = None,
        broker: Broker | None = None,
    ) -> Worker[T]:
        """Return a worker on the queue."""
        return Worker(
            broker or self.broker,
            self.durable,
            policy or WorkerPolicy(backoff=QUICK),
            service=self.name,
            decode=decode or json_body(Job),  # type: ignore[arg-type]
            handler=handler,
            restore=self.provision,
        )

    async def provision(self) -> None:
        """Make the server match the rig's topology."""
        await provision(self.broker.client, self.topology, StreamSettings())


@contextlib.asynccontextmanager
async def rig(
    url: str, name: str, *, ack_wait_seconds: float = 30, **queue: Any
) -> AsyncIterator[Rig]:
    """Provision a queue `Q_<name>` for jobs on `jobs.<name>.>`."""
    stream = WorkQueue(f"Q_{name}", (f"jobs.{name}.>",), "a queue of a test", **queue)
    durable = Durable(
        stream.name, "workers", "workers of a test", f"jobs.{name}.>", ack_wait_seconds
    )
    topology = Topology((stream, DEAD_LETTERS, ATTEMPTS), (durable,))
    async with connected(BrokerSettings(url=url), f"rig {name}") as broker:
        made = Rig(broker, name, durable, topology)
        await made.provision()
        yield made


@contextlib.asynccontextmanager
async def working(
    worker: Worker[Any], *, deadline_seconds: float = 10
) -> AsyncIterator[asyncio.Event]:
    """Run the worker while the context is open; then stop it softly and wait for its end."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop, Deadline(deadline_seconds)))
    try:
        yield stop
    finally:
        stop.set()
        await task
