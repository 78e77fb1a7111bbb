"""What the first stage tells the second: partial results, marks of time, rules in force.

All partial results of a group go to one partition of the second stage. They are tagged with
the watermark at which they are due there: a window's end plus the rule's grace; one more than
the watermark for a late sample. A mark says how far the watermark of a partition has come:
whatever is tagged so or less is out. So the order in which the second stage takes them, by tag
and partition, does not depend on who was faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import xxhash
from msgspec import Struct

from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.closing import Partial
from services.metrics_aggregator.domain.parts import SAMPLES
from services.metrics_aggregator.domain.rules import TELEMETRY, Rule, Source

Row = tuple[str, int, Partial]
"""Group, start of the window in milliseconds, what the window adds."""

_MOST_ENTRIES: Final = 10_000
_MOST_ROWS: Final = 500
_MOST_BYTES: Final = 200_000
_NOTHING_ADDED: Final = [[], [], [], 0]


class Partials(Struct, frozen=True, array_like=True, gc=False):
    """Partial results of one rule with one tag; `rule` is its fingerprint."""

    rule: str
    tag_ms: int
    rows: list[tuple[str, int, list[Any]]]


class Mark(Struct, frozen=True, gc=False):
    """How far the watermark (of grace 0) of one source has come on a partition."""

    source: str
    ms: int


partials_decoder: Final = msgspec.msgpack.Decoder(Partials)
mark_decoder: Final = msgspec.json.Decoder(Mark)
rules_decoder: Final = msgspec.json.Decoder(tuple[Rule, ...])
_pack: Final = msgspec.msgpack.Encoder().encode
_json: Final = msgspec.json.Encoder().encode


def fingerprint(rule: Rule) -> str:
    """Return 16 hexadecimal digits that stand for all options of a rule."""
    return xxhash.xxh64_hexdigest(_json(rule))


def source_key(source: Source) -> str:
    """Return what stands for a source: nothing for `TELEMETRY`, else 16 hexadecimal digits."""
    return "" if source.stream == TELEMETRY else xxhash.xxh64_hexdigest(_json(source))


def merge_partition(key: str, partitions: int) -> int:
    """Return the partition of the second stage that merges a group."""
    return xxhash.xxh32_intdigest(key.encode()) % partitions


def encoded_partials(rule: Rule, name: str, tag_ms: int, rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield messages of partial results, none too long to be stored; `name`: the fingerprint."""
    gathered: list[msgspec.Raw] = []
    size = 0
    for key, start_ms, partial in rows:
        for part in _cut(rule, partial):
            row = _pack((key, start_ms, part))
            if gathered and (len(gathered) == _MOST_ROWS or size + len(row) > _MOST_BYTES):
                yield _pack((name, tag_ms, gathered))
                gathered, size = [], 0
            gathered.append(msgspec.Raw(row))
            size += len(row)
    if gathered:
        yield _pack((name, tag_ms, gathered))


def encoded_mark(source: str, ms: int) -> bytes:
    """Return the message of a mark."""
    return _json(Mark(source, ms))


def encoded_rules(rules: tuple[Rule, ...]) -> bytes:
    """Return the message that says which rules are in force on a partition from now on."""
    return _json(rules)


def _cut(rule: Rule, partial: Partial) -> Iterator[Partial]:
    """Yield parts that merge to the partial: sets of a million entries fit into no message."""
    tables = [slot for slot in partial if isinstance(slot, dict)]
    if all(len(table) <= _MOST_ENTRIES for table in tables):
        yield partial
        return
    parts = RuleAggregate(rule).parts
    nothing = [list(_NOTHING_ADDED) if part is SAMPLES else part.new() for part in parts]
    rests = [iter(slot.items()) if isinstance(slot, dict) else None for slot in partial]
    first = True
    while True:
        some = [None if rest is None else dict(islice(rest, _MOST_ENTRIES)) for rest in rests]
        if not first and not any(some):
            return
        others = partial if first else nothing
        yield [other if table is None else table for table, other in zip(some, others, strict=True)]
        first = False
