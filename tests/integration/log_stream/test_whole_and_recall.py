"""Stages that read a log as a whole, and folds that want to see again what has been."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.contracts import headers
from shared.deadline import Deadline
from shared.log_stream import history
from shared.log_stream.fold import Event, Output, Recall
from shared.log_stream.history import Span
from shared.log_stream.member import Member
from shared.log_stream.plain_program import PlainProgram
from shared.log_stream.stage import Stage, StageEntry
from shared.log_stream.verify import verify
from shared.settings import BrokerSettings
from tests.eventually import eventually
from tests.log_rig import PARTITIONS, POLICY, prepare, publish, stage_of
from tests.server import Server

KEYS = [f"k{n % 7}" for n in range(70)]


class Remembering:
    """Counts events by key once it is told to; those before as far back as it is told."""

    schema = 1

    def __init__(self, name: str, whole: str = "") -> None:
        self._name = name
        self._whole = whole
        self._counts: dict[str, int] | None = None
        self._wanted_ns = 0

    def apply(self, event: Event) -> Sequence[Output]:
        place, subject = self._placed(event)
        if subject == "control.since" and place == self._whole:
            self._counts, self._wanted_ns = {}, int(event.data)
            return ()
        if self._counts is None or not subject.startswith("event."):
            return ()
        key = self._count(self._counts, subject)
        body = json.dumps([key, self._counts[key], self._whole])
        return [Output(f"out.{self._name}.{key}", body.encode())]

    def recall(self) -> Recall | None:
        if not self._wanted_ns:
            return None
        counts: dict[str, int] = {}
        self._counts = counts

        def take(events: Sequence[Event]) -> None:
            for event in events:
                _, subject = self._placed(event)
                if subject.startswith("event."):
                    self._count(counts, subject)

        return Recall(self._wanted_ns, take)

    def recalled(self) -> None:
        self._wanted_ns = 0

    def _placed(self, event: Event) -> tuple[str, str]:
        if not self._whole:
            return "", event.subject
        place, _, subject = event.subject.partition(".")
        return place, subject

    def _count(self, counts: dict[str, int], subject: str) -> str:
        key = subject.removeprefix("event.")
        counts[key] = counts.get(key, 0) + 1
        return key

    def open_windows(self) -> int:
        return 0

    def keys(self) -> int:
        return len(self._counts or ())

    def numbers(self) -> dict[str, float]:
        return {}

    def snapshot(self) -> Iterator[object]:
        yield self._counts

    def restore(self, pieces: Iterable[bytes]) -> None:
        (self._counts,) = (msgspec.msgpack.decode(piece) for piece in pieces)


def stages_of(name: str) -> tuple[StageEntry, StageEntry]:
    """Return a stage of partitions and one that reads them as a whole; both write one stream."""
    by_key = stage_of(name)
    whole = replace(
        by_key,
        group=f"{name}-whole",
        source=replace(by_key.source, partitions=1),
        positions=f"out.{name}.position-whole",
        snapshot_prefix=f"snap-{name}.whole",
        whole="all",
        label="whole",
    )
    return (
        StageEntry(by_key, lambda *_: Remembering(name)),
        StageEntry(whole, lambda *_: Remembering(name, "all")),
    )


@contextlib.asynccontextmanager
async def running(url: str, name: str) -> AsyncIterator[list[Member]]:
    async with connected(BrokerSettings(url=url), "test") as broker:
        members = [
            Member(broker, entry.stage, PlainProgram(entry.fold), POLICY, "a")
            for entry in stages_of(name)
        ]
        stop = asyncio.Event()
        tasks = [asyncio.create_task(one.run(stop, Deadline(10))) for one in members]
        try:
            yield members
        finally:
            stop.set()
            await asyncio.gather(*tasks)


def _owned(member: Member) -> bool:
    return len(member.partitions) == 1


async def emitted(client: Client, name: str) -> list[tuple[str, list[object]]]:
    """Return stage and body of what was emitted, oldest first."""
    return [
        (given.get(headers.STAGE, ""), json.loads(one.data))
        async for page in history.pages(client, f"OUT_{name}", Span(f"out.{name}.*"))
        for one in page
        for given in (one.headers or {},)
        if headers.SOURCE in given
    ]


async def tell(client: Client, stage: Stage, number: int, since_ns: int) -> None:
    await jetstream.publish(client, stage.control(number, "since"), str(since_ns).encode())


async def test_a_fold_sees_again_what_has_been_and_a_refold_sees_the_same(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    (by_key, _), (whole, _) = [(entry.stage, entry.fold) for entry in stages_of(unique)]
    await publish(client, unique, KEYS)
    async with running(server.url, unique):
        await publish(client, unique, KEYS)
        for number in range(PARTITIONS):
            await tell(client, by_key, number, 1)
        await tell(client, whole, 0, 1)
        await publish(client, unique, KEYS)

        async def all_there() -> bool:
            return len(await emitted(client, unique)) == 2 * len(KEYS)

        await eventually(all_there)
    found = await emitted(client, unique)
    for stage, place in (("", ""), ("whole", "all")):
        counts: dict[str, list[int]] = {}
        for label, (key, count, told) in found:
            if label == stage:
                assert told == place
                counts.setdefault(str(key), []).append(int(str(count)))
        assert counts == {key: list(range(21, 31)) for key in set(KEYS)}
    for entry in stages_of(unique):
        for verdict in await verify(client, entry, lambda _: None):
            assert verdict.difference == ""
    assert (await verify(client, stages_of(unique)[1], lambda _: None))[0].outputs == len(KEYS)


async def test_the_whole_is_read_in_the_order_of_the_log_and_only_once(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    _, entry = stages_of(unique)
    await tell(client, entry.stage, 0, 0)
    for _ in range(3):
        async with running(server.url, unique) as (_, whole):
            await eventually(partial(_owned, whole))
            await publish(client, unique, KEYS)

    async def all_there() -> bool:
        return len(await emitted(client, unique)) == 3 * len(KEYS)

    async with running(server.url, unique):
        await eventually(all_there)
    assert [body[0] for _, body in await emitted(client, unique)] == KEYS * 3


async def test_a_recall_begins_where_it_was_asked_to(
    server: Server, client: Client, unique: str
) -> None:
    await prepare(client, unique)
    _, entry = stages_of(unique)
    await publish(client, unique, KEYS)
    middle = await jetstream.message_at(client, f"IN_{unique}", 36)
    assert middle is not None
    pages = history.pages(client, f"IN_{unique}")
    times = {one.sequence: one.arrival_ns async for page in pages for one in page}
    await tell(client, entry.stage, 0, times[36])
    await publish(client, unique, ["k0"])
    async with running(server.url, unique):
        await eventually(lambda: emitted(client, unique))
    assert [body for _, body in await emitted(client, unique)] == [["k0", 6, "all"]]
