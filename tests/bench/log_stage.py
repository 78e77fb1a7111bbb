"""The stage of the log benches: readings in one-minute windows, by key, with count, sum and p95.

Everybody folds the same readings with the same decoder into the same state, a list of values a
key and window, and closes a window when the greatest time seen has passed its end by `GRACE_MS`.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

import msgspec
import nats
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.log_stream.clock import Watermark
from shared.log_stream.fold import Event, Fold, Output
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.log_stream.stage import Stage
from shared.log_stream.windowed import Chunk, Closed, windowed
from shared.log_stream.windows import Tumbling
from shared.provision import provision
from shared.settings import BrokerSettings, StreamSettings
from shared.topology import LEASES, Log, PartitionedLog, Topology

MINUTE_MS: Final = 60_000
GRACE_MS: Final = 5_000
BEGIN_MS: Final = 1_763_884_800_000
"""A full minute, so that windows begin with the readings."""

_IN_FLIGHT: Final = 2_000
_NEVER_SECONDS: Final = 1e6
_DEFAULT_POLICY: Final = LogPolicy()


class Reading(Struct, frozen=True, gc=False):
    """What is published on `in.<key>`."""

    key: str
    value: float
    at_ms: int


class Result(Struct, frozen=True, gc=False):
    """What comes out, on `out.<stage>.<key>`, a window."""

    key: str
    start_ms: int
    count: int
    sum: float
    p95: float


decode: Final = msgspec.json.Decoder(Reading).decode
_encode: Final = msgspec.json.Encoder().encode


def encode_result(key: str, start_ms: int, values: list[float]) -> bytes:
    """Return the result of a window; the sum does not depend on the order of its values."""
    place = math.ceil(0.95 * len(values)) - 1
    return _encode(Result(key, start_ms, len(values), math.fsum(values), sorted(values)[place]))


def source(partitions: int) -> PartitionedLog:
    """Return the log of the readings."""
    return PartitionedLog(
        "IN", "in.*", "log", "event.{{wildcard(1)}}", "readings of a bench",
        partitions=partitions, key_tokens=(1,),
    )  # fmt: skip


def stage_of(name: str, partitions: int) -> Stage:
    """Return the stage `name` on the log of that many partitions."""
    target = Log(f"OUT_{name}", (f"out.{name}.>", f"position-{name}.*"), "results", atomic=True)
    snapshots = Log(f"SNAP_{name}", (f"snap-{name}.>",), "snapshots", atomic=True)
    return Stage(name, source(partitions), target, f"position-{name}", snapshots, f"snap-{name}")


async def prepare(client: Client, stage: Stage) -> None:
    """Provision a stage."""
    topology = Topology((stage.source, stage.target, stage.snapshots, LEASES))
    await provision(client, topology, StreamSettings())


async def discard(client: Client, *streams: str) -> None:
    """Delete streams."""
    for stream in streams:
        await jetstream.call(client, f"STREAM.DELETE.{stream}")


class Values:
    """`Aggregate` of the values themselves, for count, sum and p95 at the end."""

    def new(self) -> list[float]:
        return []

    def add(self, state: list[float], value: float) -> list[float]:
        state.append(value)
        return state

    def merge(self, left: list[float], right: list[float]) -> list[float]:
        return left + right


class ReadingsFold:
    """State of one partition."""

    schema = 1

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._time = Watermark(GRACE_MS)
        self._windows = windowed(Tumbling(MINUTE_MS), Values())
        self.skipped = 0

    def apply(self, event: Event) -> Sequence[Output]:
        try:
            reading = decode(event.data)
        except msgspec.DecodeError:
            self.skipped += 1
            return ()
        outputs: Sequence[Output] = ()
        time = self._time
        time.observe(reading.at_ms, event.arrival_ns)
        if time.value_ms >= self._windows.due_ms:
            outputs = [self._output(closed) for closed in self._windows.close(time.value_ms)]
        self._windows.add(reading.key, reading.at_ms, reading.value, time.value_ms)
        return outputs

    def _output(self, closed: Closed[list[float]]) -> Output:
        data = encode_result(closed.key, closed.start_ms, closed.state)
        return Output(f"{self._prefix}.{closed.key}", data)

    def open_windows(self) -> int:
        return self._windows.open_windows

    def keys(self) -> int:
        return self._windows.open_windows

    def numbers(self) -> dict[str, float]:
        return {}

    def snapshot(self) -> Iterator[object]:
        yield ["time", self._time.snapshot()]
        for chunk in self._windows.snapshot():
            yield ["windows", chunk]

    def restore(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            kind, state = restored(piece)
            if kind == "time":
                self._time.restore(state)
            else:
                self._windows.restore(state)


def restored(piece: bytes) -> tuple[str, Chunk]:
    """Decode a piece of a snapshot."""
    kind, state = msgspec.msgpack.decode(piece, strict=False)
    return kind, state


class ReadingsProgram:
    """Runs `ReadingsFold` on each partition."""

    def __init__(self, stage: Stage) -> None:
        self._prefix = f"out.{stage.group}"

    def seed(self) -> str:
        return ""

    def fold(self, _seed: str, _partition: int) -> ReadingsFold:
        return ReadingsFold(self._prefix)

    def proposal(self, _: Fold, *, caught_up: bool) -> None:  # noqa: ARG002 - the protocol's
        return None


@contextlib.asynccontextmanager
async def member_of(
    url: str, stage: Stage, policy: LogPolicy = _DEFAULT_POLICY
) -> AsyncIterator[Member]:
    """Yield a member, connected and not yet running; it never sends a tick."""
    policy = msgspec.structs.replace(policy, lease_seconds=10, idle_seconds=_NEVER_SECONDS)
    async with connected(BrokerSettings(url=url), "bench") as broker:
        yield Member(broker, stage, ReadingsProgram(stage), policy, "bench")


def readings(count: int, keys: int, minutes: int) -> Iterator[Reading]:
    """Yield readings of all keys over so many minutes, then one a key that closes the windows."""
    for n in range(count):
        jitter_ms = n * 7919 % (GRACE_MS // 2)
        at_ms = BEGIN_MS + max(0, n * minutes * MINUTE_MS // count - jitter_ms)
        yield Reading(f"key-{n * 7 % keys}", (n * 31 % 1000) / 8, at_ms)
    end_ms = BEGIN_MS + minutes * MINUTE_MS
    for n in range(keys):
        yield Reading(f"key-{n}", 0.0, end_ms + GRACE_MS)


async def fill(
    client: Client, events: Iterable[Reading], *, ids: bool = False, subjects: int = 0
) -> int:
    """Publish readings, in order; return how many, all of them stored.

    Each goes to the subject of its key, or to one of so many subjects, always the same.

    The server takes in one stream's messages in order, so the answer to one of them speaks for
    those before it.
    """
    before = await stored(client, "IN")
    count = 0
    for count, reading in enumerate(events, 1):
        place = zlib.crc32(reading.key.encode()) % subjects if subjects else reading.key
        subject, data = f"in.{place}", _encode(reading)
        headers = {"Nats-Msg-Id": f"reading-{count}"} if ids else None
        if count % _IN_FLIGHT:
            await client.publish(subject, data, headers=headers)
        else:
            await jetstream.publish(client, subject, data, headers)
    await client.flush()
    while await stored(client, "IN") < before + count:
        pass
    return count


async def stored(client: Client, stream: str, subject: str = "") -> int:
    """Messages that a stream holds, of all or of one subject filter."""
    if not subject:
        info = await jetstream.call(client, f"STREAM.INFO.{stream}")
        return int(info["state"]["messages"])
    info = await jetstream.call(client, f"STREAM.INFO.{stream}", {"subjects_filter": subject})
    return sum((info["state"].get("subjects") or {}).values())


@contextlib.asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    """Yield a plain connection."""
    client = await nats.connect(url)
    try:
        yield client
    finally:
        await client.close()
