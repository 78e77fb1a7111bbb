"""Compare what two generations have emitted, a subject at a time.

Several partitions may write the same subject, and which of them is faster is chance: what must
be equal is what a subject holds. The order of a partition is what `verify` looks at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.log_stream import history, position
from shared.log_stream.emitted import Outputs, Within, digest
from shared.log_stream.generation import Generation

_MOST_SHOWN_BYTES = 300


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


_Emissions = dict[str, list[_Emission]]


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

    positions = [await _positions(client, one) for one in pair]
    ours, theirs = [await _emitted(client, one, more, within) for one in pair]
    behind = [
        any(here.get(key, 0) < there.get(key, 0) for key in there)
        for here, there in (positions, positions[::-1])
    ]
    differences: list[Difference] = []
    reordered, ahead = 0, [0, 0]
    for subject in sorted(ours.keys() | theirs.keys()):
        sides = (ours.get(subject, []), theirs.get(subject, []))
        digests = [[one.digest for one in side] for side in sides]
        if digests[0] == digests[1]:
            continue
        counts = (len(sides[0]), len(sides[1]))
        longer = int(counts[1] > counts[0])
        common = min(counts)
        if Counter(digests[0]) == Counter(digests[1]):
            reordered += 1
        elif behind[1 - longer] and Counter(digests[longer][:common]) == Counter(
            digests[1 - longer]
        ):
            ahead[longer] += counts[longer] - common
        else:
            first = await _first(client, pair, sides)
            differences.append(Difference(subject, counts, first))
    return Comparison(
        subjects=len(ours.keys() | theirs.keys()),
        messages=(sum(map(len, ours.values())), sum(map(len, theirs.values()))),
        differences=tuple(differences),
        reordered=reordered,
        ahead=(ahead[0], ahead[1]),
    )


async def _positions(client: Client, generation: Generation) -> Mapping[tuple[str, int], int]:
    """Return how far each partition has come that reads a log from outside."""
    return {
        (stage.source.name, number): (
            await position.read(client, stage.target.name, stage.position(number))
        )[1].sequence
        for stage in (entry.stage for entry in generation.first)
        for number in range(stage.source.partitions)
    }


async def _emitted(
    client: Client, generation: Generation, more: Callable[[int], None], within: Within | None
) -> _Emissions:
    """Return what a generation has emitted, in order, by its live subject."""
    outputs = Outputs(generation)
    found: _Emissions = {}
    for target in generation.targets:
        async for page in history.pages(client, target.name):
            for stored in page:
                subject = outputs.subject(stored)
                if subject is None or (within and not within.holds(stored.data)):
                    continue
                one = _Emission(
                    digest(subject, stored.data, stored.headers), target.name, stored.sequence
                )
                found.setdefault(subject, []).append(one)
            more(len(page))
    return found


async def _first(
    client: Client,
    pair: tuple[Generation, Generation],
    sides: tuple[Sequence[_Emission], Sequence[_Emission]],
) -> str:
    """Say which message of either side is the first that the other lacks."""
    words: list[str] = []
    for number, side in enumerate(sides):
        others = Counter(one.digest for one in sides[1 - number])
        for one in side:
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
