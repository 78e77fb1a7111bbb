"""A service of two log stages on the real server: the second one reads what the first one writes.

The first scales what it counts by a factor: its seed, later what a control message says. The
second counts, a key, what comes of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.deadline import Deadline
from shared.log_stream import position
from shared.log_stream.fold import Event, Fold, Output
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.log_stream.position import Position
from shared.log_stream.stage import StageEntry
from shared.provision import provision
from shared.settings import BrokerSettings, StreamSettings
from shared.topology import LEASES, PartitionedLog, Topology
from tests.log_rig import stage_of

PARTITIONS = 4
MERGES = 2
POLICY = LogPolicy(
    lease_seconds=1.0, snapshot_least_events=50, idle_seconds=60, position_seconds=0.2
)


def entries_of(name: str) -> tuple[StageEntry, StageEntry]:
    """Return the two stages of `name`."""
    first = stage_of(name, partitions=PARTITIONS)
    target = replace(
        first.target, subjects=(*first.target.subjects, f"merge-{name}.>", f"merged-{name}.*")
    )
    source = PartitionedLog(
        target.name, f"merge-{name}.>", f"merge-{name}", "", "", partitions=MERGES
    )
    second = replace(
        first,
        group=f"{name}-merge",
        source=source,
        target=target,
        positions=f"merged-{name}",
        snapshot_prefix=f"snap-{name}.merge",
    )
    return (
        StageEntry(replace(first, target=target), lambda seed, _: Scaling(name, seed)),
        StageEntry(second, lambda *_: Summing(name)),
    )


def fixed_seed(rules: str, until: int | None) -> str:
    """Return the seed of a fold whose factor no message changes up to `until`."""
    return f"{rules} fixed {until or 1 << 60}"


class Scaling:
    """Emits a key's count times the factor, and a part for the second stage."""

    schema = 1

    def __init__(self, name: str, seed: str) -> None:
        factor, _, fixed = seed.partition(" fixed ")
        self._name = name
        self._factor = int(factor or 1)
        self._fixed = int(fixed or 0)
        self._counts: dict[str, int] = {}

    def apply(self, event: Event) -> Sequence[Output]:
        kind, _, key = event.subject.partition(".")
        if kind == "control":
            if key == "rules" and event.sequence > self._fixed:
                self._factor = int(event.data)
            return ()
        if key.startswith("silent"):
            return ()
        count = self._counts[key] = self._counts.get(key, 0) + 1
        body = json.dumps([count, self._factor]).encode()
        merge = sum(key.encode()) % MERGES
        return (
            Output(f"out.{self._name}.{key}", body),
            Output(f"merge-{self._name}.{merge}.part.{key}", body),
        )

    def open_windows(self) -> int:
        return 0

    def keys(self) -> int:
        return len(self._counts)

    def numbers(self) -> dict[str, float]:
        return {}

    def snapshot(self) -> Iterator[object]:
        yield [self._factor, self._counts]

    def restore(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._factor, self._counts = msgspec.msgpack.decode(piece)


class Summing:
    """Emits, a key, how many parts came and the sum of their factors."""

    schema = 1

    def __init__(self, name: str) -> None:
        self._name = name
        self._sums: dict[str, list[int]] = {}

    def apply(self, event: Event) -> Sequence[Output]:
        key = event.subject.removeprefix("part.")
        parts, total = self._sums.get(key, [0, 0])
        self._sums[key] = [parts + 1, total + json.loads(event.data)[1]]
        return (Output(f"out.{self._name}.sum.{key}", json.dumps(self._sums[key]).encode()),)

    def open_windows(self) -> int:
        return 0

    def keys(self) -> int:
        return len(self._sums)

    def numbers(self) -> dict[str, float]:
        return {}

    def snapshot(self) -> Iterator[object]:
        yield self._sums

    def restore(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._sums = msgspec.msgpack.decode(piece)


class LiveProgram:
    """What members run: the factor they begin with is that of their "rule file"."""

    def __init__(self, entry: StageEntry, seed: str) -> None:
        self._entry = entry
        self._seed = seed

    def seed(self) -> str:
        return self._seed

    def fold(self, seed: str, partition: int) -> Fold:
        return self._entry.fold(seed, partition)

    def proposal(self, _: Fold, *, caught_up: bool) -> None:  # noqa: ARG002 - the protocol's
        return None


async def prepare(client: Client, name: str) -> None:
    """Provision both stages."""
    first, second = (entry.stage for entry in entries_of(name))
    topology = Topology((first.source, second.target, first.snapshots, LEASES))
    await provision(client, topology, StreamSettings())


@contextlib.asynccontextmanager
async def live(url: str, name: str, who: str = "a", seed: str = "1") -> AsyncIterator[list[Member]]:
    """Run a member of each stage while the context is open."""
    async with connected(BrokerSettings(url=url), who) as broker:
        members = [
            Member(broker, entry.stage, LiveProgram(entry, seed), POLICY, who)
            for entry in entries_of(name)
        ]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.run(stop, Deadline(10)))
            try:
                yield members
            finally:
                stop.set()


async def change_factor(client: Client, name: str, factor: int) -> None:
    """Tell every partition, as a member would."""
    for number in range(PARTITIONS):
        subject = entries_of(name)[0].stage.control(number, "rules")
        await jetstream.publish(client, subject, str(factor).encode())


async def records(client: Client, entries: Iterable[StageEntry]) -> list[Position]:
    """Return all position records, stage by stage."""
    return [
        (await position.read(client, entry.stage.target.name, entry.stage.position(number)))[1]
        for entry in entries
        for number in range(entry.stage.source.partitions)
    ]
