"""A log stage of a test's own on the real server: a fold that counts, and members that run it.

Run as a program it is one member: arguments are the server's URL, the rig's name, the member's,
then its fold, and values of its policy (`lease_seconds=2`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import jetstream, logs, reply
from shared.broker import connected
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import position
from shared.log_stream.fold import Event, Fold, Output
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage
from shared.provision import provision
from shared.settings import BrokerSettings, LogSettings, StreamSettings
from shared.topology import LEASES, Log, PartitionedLog, Topology
from tests.log_windows import Windowing

PARTITIONS = 4
POLICY = LogPolicy(lease_seconds=1.0, snapshot_least_events=200, idle_seconds=0.3)


def stage_of(name: str, *, partitions: int = PARTITIONS) -> Stage:
    """Return the stage `name`: events on `in.<name>.<key>`, results on `out.<name>.<key>`."""
    source = PartitionedLog(
        f"IN_{name}", f"in.{name}.*", f"log-{name}", "event.{{wildcard(1)}}", "events of a test",
        partitions=partitions, key_tokens=(1,),
    )  # fmt: skip
    target = Log(
        f"OUT_{name}", (f"out.{name}.>", f"position-{name}.*"), "results of a test", atomic=True
    )
    snapshots = Log(f"SNAP_{name}", (f"snap-{name}.>",), "snapshots of a test", atomic=True)
    return Stage(name, source, target, f"position-{name}", snapshots, f"snap-{name}")


def topology_of(stage: Stage) -> Topology:
    """Return what the stage needs on the server."""
    return Topology((stage.source, stage.target, stage.snapshots, LEASES))


class Counting:
    """Counts events by key and emits each count; `{"burst": n}` emits n results at once.

    A tick emits how often each key was seen since the last one, and closes that "window".
    """

    schema = 1

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: dict[str, int] = {}
        self._since: dict[str, int] = {}

    def apply(self, event: Event) -> Sequence[Output]:
        kind, _, key = event.subject.partition(".")
        if kind == "control":
            closed = sorted(self._since.items())
            self._since = {}
            return [self._output(f"tick-{key}", count) for key, count in closed]
        count = self._counts[key] = self._counts.get(key, 0) + 1
        self._since[key] = self._since.get(key, 0) + 1
        try:
            burst = int(json.loads(event.data).get("burst", 1))
        except (ValueError, AttributeError, TypeError):
            return [self._output(f"dead.{key}", count)]
        return [self._output(key, count, n) for n in range(burst)]

    def _output(self, key: str, count: int, n: int = 0) -> Output:
        return Output(f"out.{self._name}.{key}", json.dumps([count, n]).encode())

    def open_windows(self) -> int:
        return len(self._since)

    def keys(self) -> int:
        return len(self._counts)

    def numbers(self) -> dict[str, float]:
        return {"keys": float(len(self._counts))}

    def snapshot(self) -> Iterator[object]:
        items = iter(self._counts.items())
        while piece := list(itertools.islice(items, 1000)):
            yield ["counts", piece]
        yield ["since", list(self._since.items())]

    def restore(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            which, items = msgspec.msgpack.decode(piece)
            (self._counts if which == "counts" else self._since).update(map(tuple, items))


FOLDS: dict[str, Callable[[str], Fold]] = {"counting": Counting, "windowing": Windowing}


class PlainProgram:
    """Runs a fold that needs no seed; it proposes nothing."""

    def __init__(self, name: str, fold: Callable[[str], Fold] = Counting) -> None:
        self._name = name
        self._fold = fold

    def seed(self) -> str:
        return ""

    def fold(self, _seed: str, _partition: int) -> Fold:
        return self._fold(self._name)

    def proposal(self, _: Fold, *, caught_up: bool) -> None:  # noqa: ARG002
        return None


@contextlib.asynccontextmanager
async def member(
    url: str,
    name: str,
    who: str,
    policy: LogPolicy = POLICY,
    fold: Callable[[str], Fold] = Counting,
) -> AsyncIterator[Member]:
    """Run a member in this process while the context is open."""
    async with connected(BrokerSettings(url=url), who) as broker:
        running = Member(broker, stage_of(name), PlainProgram(name, fold), policy, who)
        stop = asyncio.Event()
        task = asyncio.create_task(running.run(stop, Deadline(10)))
        try:
            yield running
        finally:
            stop.set()
            await task


async def prepare(client: Client, name: str, *, replicas: int = 1) -> Stage:
    """Provision the stage."""
    stage = stage_of(name)
    await provision(client, topology_of(stage), StreamSettings(replicas=replicas))
    return stage


async def publish(client: Client, name: str, keys: Iterable[str], body: Any = None) -> None:
    """Publish one event a key, in order."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    for key in keys:
        await jetstream.publish(client, f"in.{name}.{key}", data)


async def messages(client: Client, stream: str, subject: str) -> list[tuple[str, bytes]]:
    """Return subject and body of what a stream holds under `subject`, oldest first."""
    config = {"ack_policy": "none", "filter_subject": subject, "mem_storage": True}
    made = await jetstream.call(
        client, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    left = int(made["num_pending"])
    found: list[tuple[str, bytes]] = []
    some = asyncio.Event()

    async def take(msg: Msg) -> None:
        assert not reply.status_of(msg), msg.headers
        found.append((msg.subject, msg.data))
        some.set()

    subscription = await client.subscribe(
        client.new_inbox(), cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    while len(found) < left:
        ask = {"batch": min(1000, left - len(found)), "expires": 10_000_000_000}
        end = len(found) + ask["batch"]
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']}",
            json.dumps(ask).encode(),
            reply=subscription.subject,
        )
        while len(found) < end:
            some.clear()
            await asyncio.wait_for(some.wait(), 10)
    await subscription.unsubscribe()
    await jetstream.call(client, f"CONSUMER.DELETE.{stream}.{made['name']}")
    return found


async def results(client: Client, name: str) -> list[tuple[str, bytes]]:
    """Return the results, oldest first."""
    return await messages(client, f"OUT_{name}", f"out.{name}.>")


async def expected(
    client: Client, name: str, fold: Callable[[str], Fold] = Counting
) -> dict[str, list[bytes]]:
    """Return, a subject, the results that the log demands: an undisturbed fold of it, here."""
    stage = stage_of(name)
    folds = {n: fold(name) for n in range(PARTITIONS)}
    wanted: dict[str, list[bytes]] = {}
    for stored, data in await messages(client, stage.source.name, ">"):
        number, _, subject = stored.removeprefix(f"{stage.source.prefix}.").partition(".")
        for output in folds[int(number)].apply(Event(0, 0, subject, data, None)):
            wanted.setdefault(output.subject, []).append(output.data)
    return wanted


async def complete(client: Client, name: str, fold: Callable[[str], Fold] = Counting) -> bool:
    """Tell whether the results are just what the log demands; no, while it does not answer."""
    try:
        return by_subject(await results(client, name)) == await expected(client, name, fold)
    except BROKER_ERRORS:  # asked of a server that was killed just then
        return False


async def records(client: Client, stage: Stage) -> dict[int, Position]:
    """Return the position record of each partition."""
    return {
        number: (await position.read(client, stage.target.name, stage.position(number)))[1]
        for number in range(PARTITIONS)
    }


def by_subject(found: Iterable[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """Group results by subject, in order."""
    grouped: dict[str, list[bytes]] = {}
    for subject, data in found:
        grouped.setdefault(subject, []).append(data)
    return grouped


def owners(members: Iterable[Member]) -> Counter[int]:
    """Return how many members run each partition."""
    return Counter(number for one in members for number in one.partitions)


async def _main(url: str, name: str, who: str, fold: str, *values: str) -> None:
    chosen = dict(value.split("=") for value in values)
    policy = msgspec.convert(msgspec.structs.asdict(POLICY) | chosen, LogPolicy, strict=False)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write("hears signals\n")
    sys.stdout.flush()
    async with connected(BrokerSettings(url=url), who, stop=stop) as broker:
        one = Member(broker, stage_of(name), PlainProgram(name, FOLDS[fold]), policy, who)
        await one.run(stop, Deadline(10))


if __name__ == "__main__":
    logs.configure(LogSettings(level="info"), member=sys.argv[3])
    asyncio.run(_main(*sys.argv[1:]))
