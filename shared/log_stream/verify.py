"""Fold a log again and compare, byte for byte, with what was emitted from it.

The fold begins with the seed of each position record, as the members did, and sees all that
the log holds, control messages too. What counts is what was committed when this began. An
emitted message tells by its `Headrace-Source` header which event it is of.

Where the log does not reach back to its beginning, the fold begins with the oldest state that
is known: that of a promotion, else the newest snapshot. What came before stays unknown.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.log_stream import guard, history, position
from shared.log_stream.emitted import Within
from shared.log_stream.expected import Expected, Verdict
from shared.log_stream.fold import CONTROL, Event
from shared.log_stream.guard import LogChangedError, nanoseconds
from shared.log_stream.position import Manifest, Position
from shared.log_stream.recalling import recall_for
from shared.log_stream.snapshots import Snapshots, SnapshotUnusableError
from shared.log_stream.stage import Stage, StageEntry

_NOWHERE = -1


class UnverifiableError(Exception):
    """The log does not reach back to its beginning, so there is nothing to compare with."""


async def verify(
    client: Client,
    entry: StageEntry,
    show: Callable[[int], None],
    within: Within | None = None,
) -> list[Verdict]:
    """Return a verdict for each partition; `show` is told how many events were read.

    Raises `UnverifiableError`, `JetStreamError` and nats-py's errors.
    """
    stage, source, target = entry.stage, entry.stage.source, entry.stage.target.name
    info = await jetstream.call(client, f"STREAM.INFO.{source.name}")
    first = info["state"]["first_seq"]
    expected = [
        await _expected(client, entry, number, first, within) for number in range(source.partitions)
    ]
    for one in expected:
        one.look_at(nanoseconds(info["ts"]))
    partitions = await _fold_all(client, stage, expected, show)
    prefix = f"{source.name}:"
    async for page in history.pages(client, target):
        for stored in page:
            given = stored.headers or {}
            named = given.get(headers.SOURCE, "")
            if not named.startswith(prefix) or not named[len(prefix) :].isdecimal():
                continue
            if given.get(headers.STAGE, "") != stage.label:
                continue
            sequence = int(named[len(prefix) :])
            at = partitions[sequence] if sequence < len(partitions) else _NOWHERE
            if at != _NOWHERE:
                where = f"{target}:{stored.sequence} ({stored.subject})"
                subject = stored.subject.removeprefix(stage.outputs)
                expected[at].compare(stored, subject, sequence, where)
    for one in expected:
        one.finish(target)
    return [one.verdict for one in expected]


async def _expected(
    client: Client, entry: StageEntry, number: int, first: int, within: Within | None
) -> Expected:
    """Return what one partition begins with; `first` is the first sequence that the log holds."""
    stage = entry.stage
    _, record = await position.read(client, stage.target.name, stage.position(number))

    async def with_state(manifest: Manifest) -> Expected:
        one = Expected(number, record, entry.fold(record.seed, number), within)
        try:
            await Snapshots(client, stage, number).restore(manifest, one.fold)
        except SnapshotUnusableError as error:
            raise UnverifiableError(
                f"partition {number} of {stage.group} cannot be folded again: {error}"
            ) from error
        one.begin_with(manifest.sequence)
        return one

    if record.base is not None and first <= record.base.sequence + 1:
        return await with_state(record.base)
    if record.base is None and await _is_whole(client, stage, number, record):
        return Expected(number, record, entry.fold(record.seed, number), within)
    if record.snapshot is not None and first <= record.snapshot.sequence + 1:
        return await with_state(record.snapshot)
    raise UnverifiableError(
        f"{stage.source.name} begins at {first}: what came before has aged out or was purged, so "
        f"the results of partition {number} of {stage.group} cannot be folded again"
    )


async def _is_whole(client: Client, stage: Stage, number: int, record: Position) -> bool:
    """Tell whether the log reaches back to where the partition began."""
    if not record.sequence:
        return True
    try:
        await guard.check_whole(client, stage, number, record)
    except LogChangedError:
        return False
    return True


async def _fold_all(
    client: Client, stage: Stage, expected: list[Expected], show: Callable[[int], None]
) -> array[int]:
    """Fold what was committed; return the partition of each event by its sequence."""
    partitions = array("h", [_NOWHERE])
    read = 0
    last = max(one.record.sequence for one in expected)
    async for page in history.pages(client, stage.source.name):
        for stored in page:
            placed = stage.placed(stored.subject)
            if placed is None:
                continue
            number, subject = placed
            partitions.extend([_NOWHERE] * (stored.sequence - len(partitions)))
            partitions.append(number)
            one = expected[number]
            if one.counts(stored.sequence):
                one.apply(
                    Event(stored.sequence, stored.arrival_ns, subject, stored.data, stored.headers)
                )
                if CONTROL in subject:
                    await recall_for(client, stage, number, one.fold, stored.sequence)
        read += len(page)
        show(read)
        if page[-1].sequence >= last:
            break
    return partitions
