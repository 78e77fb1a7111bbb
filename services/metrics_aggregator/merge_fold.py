"""The aggregator's second stage: partial results of all partitions become results. Pure.

A window is finished when the marks of all partitions of the first stage have passed it: the
least of them is the frontier. Partial results wait until the frontier has reached their tag, and
are then taken by tag, and of one tag by partition. So results depend on what each partition
said, not on which of them was faster, nor on who died meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from operator import itemgetter
from typing import Any, Final

import msgspec

from services.metrics_aggregator.dead import dead_letter
from services.metrics_aggregator.domain.partials import (
    Partials,
    encoded_rules,
    fingerprint,
    mark_decoder,
    partials_decoder,
    rules_decoder,
    source_key,
)
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.rule_merging import RuleMerging, output_of
from services.metrics_aggregator.topology import PARTIALS
from shared.contracts.telemetry import MetricResult
from shared.log_stream.clock import NEVER
from shared.log_stream.fold import Event, Output

_CHUNK_ENTRIES: Final = 500

Entry = list[Any]
"""`[partition, rule, key, start_ms, partial]`: a partial result that waits."""


class MergeLane:
    """One source: how far each partition has come, and what waits for the others."""

    def __init__(self, partitions: int) -> None:
        self.marks: dict[int, int] = {}
        self.frontier_ms = NEVER
        self.rules: dict[str, RuleMerging] = {}
        self._partitions = partitions
        self._waiting: dict[int, list[Entry]] = {}
        self._tags: list[int] = []

    def wait(self, tag_ms: int, entry: Entry) -> None:
        """Keep a partial result until the frontier reaches its tag."""
        entries = self._waiting.get(tag_ms)
        if entries is None:
            entries = self._waiting[tag_ms] = []
            heappush(self._tags, tag_ms)
        entries.append(entry)
        self.rules[entry[1]].waiting += 1

    def mark(self, partition: int, watermark_ms: int) -> Iterator[MetricResult]:
        """Take note of how far a partition has come; yield the results that are due."""
        self.marks[partition] = max(watermark_ms, self.marks.get(partition, NEVER))
        if len(self.marks) < self._partitions:
            return
        frontier_ms = min(self.marks.values())
        if frontier_ms <= self.frontier_ms:
            return
        while self._tags and self._tags[0] <= frontier_ms:
            tag_ms = heappop(self._tags)
            yield from self._close(tag_ms - 1)
            for entry in sorted(self._waiting.pop(tag_ms), key=itemgetter(0)):
                _, name, key, start_ms, partial = entry
                rule = self.rules[name]
                rule.waiting -= 1
                yield from rule.add(key, start_ms, partial, tag_ms - 1)
        yield from self._close(frontier_ms)
        self.frontier_ms = frontier_ms

    def waiting(self) -> Iterator[list[Any]]:
        """Yield what waits, in slices `[tag, entries]`."""
        for tag_ms, entries in self._waiting.items():
            rest = iter(entries)
            while some := list(islice(rest, _CHUNK_ENTRIES)):
                yield [tag_ms, some]

    def _close(self, watermark_ms: int) -> Iterator[MetricResult]:
        for rule in self.rules.values():
            if rule.due_ms <= watermark_ms:
                yield from rule.close(watermark_ms)


class MergeFold:
    """State of one partition of the second stage; `partitions`: those of the first."""

    schema = 1

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._lanes: dict[str, MergeLane] = {}
        self._rules: dict[str, RuleMerging] = {}
        self._in_force: dict[int, list[str]] = {}

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in what a partition of the first stage says; return results."""
        kind, number, *_ = *event.subject.split("."), ""
        try:
            partition = int(number)
            if not 0 <= partition < self._partitions:
                raise ValueError(f"no partition {partition}")  # noqa: TRY301 - one answer to all
            if kind == "part":
                self._wait(partition, partials_decoder.decode(event.data))
                return ()
            if kind == "mark":
                mark = mark_decoder.decode(event.data)
                results = self._lane(mark.source).mark(partition, mark.ms)
                outputs = [output_of(result) for result in results]
                self._drop_what_ended()
                return outputs
            self._use(partition, rules_decoder.decode(event.data))
        except (ValueError, KeyError) as error:  # msgspec's errors among them: no stage sent it
            return (dead_letter(event, "malformed", repr(error), PARTIALS.name),)
        return ()

    def open_windows(self) -> int:
        """Return 0: time goes on by the first stage's marks, not by ticks."""
        return 0

    def keys(self) -> int:
        """Return the size of the state in entries."""
        return sum(rule.keys() for rule in self._rules.values())

    def numbers(self) -> Mapping[str, float]:
        """Return the frontier of telemetry, and how much waits for it."""
        lane = self._lanes.get("")
        known = {}
        if lane is not None and lane.frontier_ms != NEVER:
            known["watermark_seconds"] = lane.frontier_ms / 1000
        return known | {
            "waiting_partials": sum(rule.waiting for rule in self._rules.values()),
            "merged_windows": sum(rule.windows.open_windows for rule in self._rules.values()),
        }

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces."""
        rules = encoded_rules(tuple(rule.rule for rule in self._rules.values()))
        lanes = [[source, lane.frontier_ms, lane.marks] for source, lane in self._lanes.items()]
        yield ["", rules, list(self._in_force.items()), lanes]
        for source, lane in self._lanes.items():
            for tag_ms, entries in lane.waiting():
                yield ["waiting", source, tag_ms, entries]
        for name, rule in self._rules.items():
            for part, chunk in rule.snapshot():
                yield ["rule", name, part, chunk]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot."""
        for piece in pieces:
            kind, *rest = _unpacked(piece)
            if kind == "":
                rules, in_force, lanes = rest
                for rule in rules_decoder.decode(rules):
                    self._begin(rule)
                self._in_force = {partition: names for partition, names in in_force}  # noqa: C416 - pairs come as lists
                for source, frontier_ms, marks in lanes:
                    self._lane(source).marks = marks
                    self._lane(source).frontier_ms = frontier_ms
            elif kind == "waiting":
                source, tag_ms, entries = rest
                for entry in entries:
                    self._lane(source).wait(tag_ms, entry)
            else:
                name, part, chunk = rest
                self._rules[name].restore(part, chunk)

    def _wait(self, partition: int, partials: Partials) -> None:
        rule = self._rules[partials.rule]
        lane = self._lane(source_key(rule.rule.source))
        for key, start_ms, partial in partials.rows:
            lane.wait(partials.tag_ms, [partition, partials.rule, key, start_ms, partial])

    def _use(self, partition: int, rules: tuple[Rule, ...]) -> None:
        self._in_force[partition] = [self._begin(rule) for rule in rules]
        self._drop_what_ended()

    def _begin(self, rule: Rule) -> str:
        """Begin to merge for a rule, if that is new; return its fingerprint."""
        name = fingerprint(rule)
        if name not in self._rules:
            merging = RuleMerging(rule)
            self._rules[name] = merging
            self._lane(source_key(rule.source)).rules[name] = merging
        return name

    def _drop_what_ended(self) -> None:
        """Forget rules that are in force nowhere, once all their results are out."""
        used = {name for names in self._in_force.values() for name in names}
        if len(used) == len(self._rules):
            return
        ended = [name for name in self._rules if name not in used and self._rules[name].idle]
        for name in ended:
            rule = self._rules.pop(name)
            del self._lane(source_key(rule.rule.source)).rules[name]

    def _lane(self, source: str) -> MergeLane:
        lane = self._lanes.get(source)
        if lane is None:
            lane = self._lanes[source] = MergeLane(self._partitions)
        return lane


def _unpacked(piece: bytes) -> Any:  # noqa: ANN401 - whatever snapshot has yielded
    return msgspec.msgpack.decode(piece, strict=False)
