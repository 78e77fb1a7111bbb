"""Fold a log again and compare, byte for byte, with what was emitted from it.

The fold begins with the seed of each position record, as the members did, and sees all that
the log holds, control messages too. What counts is what was committed when this began. An
emitted message tells by its `Headrace-Source` header which event it is of.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.log_stream import history, position
from shared.log_stream.emitted import digest
from shared.log_stream.fold import Event, Fold
from shared.log_stream.history import Stored
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage, StageEntry

_NOWHERE = -1


class UnverifiableError(Exception):
    """The log does not reach back to its beginning, so there is nothing to compare with."""


class Verdict(Struct):
    """What was found of one partition; `difference` is the first one in words, if any."""

    partition: int
    events: int = 0
    outputs: int = 0
    difference: str = ""


class _Expected:
    """What one partition must have emitted, in order, as digests: 1,000,000 take 40 MB."""

    def __init__(self, number: int, record: Position, fold: Fold) -> None:
        self.record = record
        self.fold = fold
        self.verdict = Verdict(number)
        self.digests: list[bytes] = []
        self.sequences = array("q")
        self.seen = 0

    def counts(self, sequence: int) -> bool:
        """Tell whether outputs of an event were committed, be it in part."""
        return sequence <= self.record.sequence

    def apply(self, event: Event) -> None:
        """Fold one event and note what it must have emitted."""
        outputs = self.fold.apply(event)
        self.verdict.events += 1
        if event.sequence == self.record.sequence:
            outputs = outputs[: self.record.outputs]
        for output in outputs:
            self.digests.append(digest(output.subject, output.data, output.headers))
            self.sequences.append(event.sequence)
        self.verdict.outputs += len(outputs)

    def compare(self, stored: Stored, sequence: int, where: str) -> None:
        """Compare the next message that was emitted."""
        number, verdict = self.seen, self.verdict
        if number >= len(self.digests):
            if sequence < self.record.sequence:
                self._differ(f"{where} of event {sequence} is more than the fold gives")
            return  # committed since this began
        self.seen += 1
        if verdict.difference:
            return
        if self.sequences[number] != sequence:
            self._differ(
                f"{where} is of event {sequence}, where the fold gives one of event "
                f"{self.sequences[number]}"
            )
        elif self.digests[number] != digest(stored.subject, stored.data, stored.headers):
            self._differ(f"{where}, of event {sequence}, is not what the fold gives")

    def finish(self, target: str) -> None:
        """See that nothing is missing at the end."""
        if self.seen < len(self.digests):
            missing = len(self.digests) - self.seen
            self._differ(
                f"{target} lacks {missing} of {len(self.digests)} outputs; the first of them is of "
                f"event {self.sequences[self.seen]}"
            )

    def _differ(self, words: str) -> None:
        self.verdict.difference = self.verdict.difference or words


async def verify(client: Client, entry: StageEntry, show: Callable[[int], None]) -> list[Verdict]:
    """Return a verdict for each partition; `show` is told how many events were folded.

    Raises `UnverifiableError`, `JetStreamError` and nats-py's errors.
    """
    stage, source, target = entry.stage, entry.stage.source, entry.stage.target.name
    expected = [await _expected(client, entry, number) for number in range(source.partitions)]
    info = await jetstream.call(client, f"STREAM.INFO.{source.name}")
    first = info["state"]["first_seq"]
    if first > 1 and any(one.record.sequence for one in expected):
        raise UnverifiableError(
            f"{source.name} begins at {first}: what came before has aged out or was purged, so "
            "its results cannot be folded again"
        )
    partitions = await _fold_all(client, stage, expected, show)
    prefix = f"{source.name}:"
    async for page in history.pages(client, target):
        for stored in page:
            named = (stored.headers or {}).get(headers.SOURCE, "")
            if not named.startswith(prefix) or not named[len(prefix) :].isdecimal():
                continue
            sequence = int(named[len(prefix) :])
            at = partitions[sequence] if sequence < len(partitions) else _NOWHERE
            if at != _NOWHERE:
                where = f"{target}:{stored.sequence} ({stored.subject})"
                expected[at].compare(stored, sequence, where)
    for one in expected:
        one.finish(target)
    return [one.verdict for one in expected]


async def _expected(client: Client, entry: StageEntry, number: int) -> _Expected:
    stage = entry.stage
    _, record = await position.read(client, stage.target.name, stage.position(number))
    return _Expected(number, record, entry.fold(record.seed, number))


async def _fold_all(
    client: Client, stage: Stage, expected: list[_Expected], show: Callable[[int], None]
) -> array[int]:
    """Fold what was committed; return the partition of each event by its sequence."""
    partitions = array("h", [_NOWHERE])
    prefix, folded = f"{stage.source.prefix}.", 0
    last = max(one.record.sequence for one in expected)
    async for page in history.pages(client, stage.source.name):
        for stored in page:
            if not stored.subject.startswith(prefix):  # not of this stage
                continue
            number, _, subject = stored.subject.removeprefix(prefix).partition(".")
            partitions.extend([_NOWHERE] * (stored.sequence - len(partitions)))
            partitions.append(int(number))
            one = expected[int(number)]
            if one.counts(stored.sequence):
                one.apply(
                    Event(stored.sequence, stored.arrival_ns, subject, stored.data, stored.headers)
                )
        folded += len(page)
        show(folded)
        if page[-1].sequence >= last:
            break
    return partitions
