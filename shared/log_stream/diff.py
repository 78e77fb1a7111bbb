"""Compare what two generations have emitted, a subject at a time.

Several partitions may write the same subject, and which of them is faster is chance: what must
be equal is what a subject holds. The order of a partition is what `verify` looks at.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.log_stream import history
from shared.log_stream.emitted import Outputs, Within, digest, window_of
from shared.log_stream.generation import Generation
from shared.log_stream.records import records_of
from shared.log_stream.stage import Stage

_MOST_SHOWN_BYTES = 300
_LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


class Difference(Struct, frozen=True):
    """One subject where they differ: how many messages on either side, and the first, in words."""

    subject: str
    counts: tuple[int, int]
    first: str


class Comparison(Struct, frozen=True):
    """What was found of two generations; pairs are of the first and the second one."""

    subjects: int
    messages: tuple[int, int]
    differences: tuple[Difference, ...]
    reordered: int
    """Subjects with the same messages in another order: partitions that write them together."""
    ahead: tuple[int, int]
    """Messages at the ends that the other generation has not come to yet."""


class _Emission(Struct, frozen=True, gc=False):
    digest: bytes
    stream: str
    sequence: int


class _Side(Struct):
    """What one generation has emitted, by live subject, and how far it has come."""

    generation: Generation
    positions: Mapping[tuple[str, str, int], int]
    """By label of the stage that reads a log from outside, that log, and partition."""
    emissions: dict[str, list[_Emission]]
    newest: dict[str, dt.datetime]
    """The latest end of a window that it has a result of, by live subject."""

    def is_behind(self, other: _Side) -> bool:
        """Tell whether it has folded less of any partition."""
        return any(self.positions.get(key, 0) < far for key, far in other.positions.items())

    def newest_of(self, subject: str) -> dt.datetime:
        """Return the latest end on a subject; where it has none there, on any."""
        return self.newest.get(subject, max(self.newest.values(), default=_LONG_AGO))


async def compare(
    client: Client,
    pair: tuple[Generation, Generation],
    show: Callable[[int], None],
    within: Within | None = None,
) -> Comparison:
    """Compare two generations; `show` is told how many messages were read.

    Raises `JetStreamError` and nats-py's errors.
    """
    read = 0

    def more(count: int) -> None:
        nonlocal read
        read += count
        show(read)

    sides = [await _side(client, one, more, within) for one in pair]
    subjects = sorted(sides[0].emissions.keys() | sides[1].emissions.keys())
    differences: list[Difference] = []
    reordered, ahead = 0, [0, 0]
    for subject in subjects:
        emitted = [side.emissions.get(subject, []) for side in sides]
        digests = [[one.digest for one in some] for some in emitted]
        if digests[0] == digests[1]:
            continue
        counts = (len(digests[0]), len(digests[1]))
        longer, common = int(counts[1] > counts[0]), min(counts)
        if Counter(digests[longer][:common]) != Counter(digests[1 - longer]):
            first = await _first(client, pair, emitted)
            differences.append(Difference(subject, counts, first))
        elif counts[0] == counts[1]:
            reordered += 1
        elif sides[1 - longer].is_behind(sides[longer]) and await _has_not_come_to(
            client, sides[1 - longer], subject, emitted[longer][common]
        ):
            ahead[longer] += counts[longer] - common
        else:
            first = await _first(client, pair, emitted)
            differences.append(Difference(subject, counts, first))
    messages = [sum(map(len, side.emissions.values())) for side in sides]
    return Comparison(
        subjects=len(subjects),
        messages=(messages[0], messages[1]),
        differences=tuple(differences),
        reordered=reordered,
        ahead=(ahead[0], ahead[1]),
    )


async def _side(
    client: Client, generation: Generation, more: Callable[[int], None], within: Within | None
) -> _Side:
    side = _Side(generation, await _positions(client, generation), {}, {})
    outputs = Outputs(generation)
    for target in generation.targets:
        async for page in history.pages(client, target.name):
            for stored in page:
                subject = outputs.subject(stored)
                if subject is None or (within and not within.holds(stored.data)):
                    continue
                window = window_of(stored.data)
                if window is not None:
                    end = max(side.newest.get(subject, _LONG_AGO), window.end)
                    side.newest[subject] = end
                hashed = digest(subject, stored.data, stored.headers)
                one = _Emission(hashed, target.name, stored.sequence)
                side.emissions.setdefault(subject, []).append(one)
            more(len(page))
    return side


async def _positions(client: Client, generation: Generation) -> Mapping[tuple[str, str, int], int]:
    return {
        (stage.label, stage.source.name, number): record.sequence
        for stage in (entry.stage for entry in generation.first)
        for number, (_, record) in (await records_of(client, stage)).items()
    }


async def _has_not_come_to(client: Client, side: _Side, subject: str, one: _Emission) -> bool:
    """Tell whether a generation that is behind has not yet folded what made the other emit this.

    That is so where the window is none of those that it has left behind, or where the event
    from outside, to which the sources lead back, lies behind its position. (Which partition was
    the last to pass a window is chance, so that event alone does not tell.)
    """
    stored = await jetstream.message_at(client, one.stream, one.sequence)
    window = None if stored is None else window_of(stored.data)
    if window is not None and window.end >= side.newest_of(subject):
        return True
    outer = {(stage.label, stage.source.name): stage for stage in _outer(side.generation)}
    while stored is not None:
        stream, _, sequence = stored.headers.get(headers.SOURCE, "").rpartition(":")
        stage = outer.get((stored.headers.get(headers.STAGE, ""), stream))
        if not sequence.isdecimal():
            return False
        stored = await jetstream.message_at(client, stream, int(sequence))
        if stage is not None:
            placed = None if stored is None else stage.placed(stored.subject)
            if placed is None:
                return False
            key = (stage.label, stream, placed[0])
            return int(sequence) > side.positions.get(key, 0)
    return False


def _outer(generation: Generation) -> list[Stage]:
    return [entry.stage for entry in generation.first]


async def _first(
    client: Client,
    pair: tuple[Generation, Generation],
    emitted: Sequence[Sequence[_Emission]],
) -> str:
    """Say which message of either side is the first that the other lacks."""
    words: list[str] = []
    for number, some in enumerate(emitted):
        others = Counter(one.digest for one in emitted[1 - number])
        for one in some:
            if others[one.digest]:
                others[one.digest] -= 1
                continue
            stored = await jetstream.message_at(client, one.stream, one.sequence)
            body = b"(gone meanwhile)" if stored is None else stored.data[:_MOST_SHOWN_BYTES]
            words.append(
                f"only {pair[number].name} has {one.stream}:{one.sequence} "
                f"{body.decode('utf-8', 'replace')}"
            )
            break
    return "; ".join(words)
