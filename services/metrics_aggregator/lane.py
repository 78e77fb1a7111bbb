"""A lane: the rules that read one source on one partition, and how far its time has come.

Each source has a time of its own: invoices of last year, folded beside the telemetry of today,
must not be late because of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from services.metrics_aggregator.domain.routing import Router
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.outbox import Outbox
from services.metrics_aggregator.rule_partials import RulePartials
from shared.log_stream.clock import FOREVER, NEVER, Watermark


class Lane:
    """State of one source on one partition; one grace is for all: each rule has its own."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.time = Watermark(0)
        self.rules: list[RulePartials] = []
        self.active_ms = 0
        """How long the partition had been active when the last sample came."""
        self._router = Router(())
        self._settled_ms = NEVER
        """Watermark at which the results of all that was handed over are out."""
        self._mark_ms = NEVER
        self._due_ms = NEVER

    @property
    def unsettled(self) -> bool:
        """Whether results wait for time to go on, here or at the second stage."""
        return self.time.value_ms < self._settled_ms

    def use(self, rules: Sequence[Rule], out: Outbox) -> None:
        """Take these rules; one that stays keeps its windows, one that goes closes them."""
        known = {rule.rule.id: rule for rule in self.rules}
        using = [
            found if (found := known.get(rule.id)) and found.rule == rule else RulePartials(rule)
            for rule in rules
        ]
        for rule in self.rules:
            if rule not in using:
                self._hand_over(rule, rule.close_all(), out)
        self.rules = using
        self._router = Router(rules)
        self._mark_ms = self._due_ms = NEVER  # with the next event

    def take(self, sample: Sample, arrival_ns: int, out: Outbox) -> None:
        """Count a sample."""
        time = self.time
        time_ms = sample.time_ms
        time.observe(time_ms, arrival_ns)
        watermark_ms = time.value_ms
        if watermark_ms >= self._due_ms:
            self._advance(out)
        counted = False
        late_end_ms: int | None = None
        for route in self._router.routes(sample.series):
            rule = self.rules[route.rule]
            value = (time_ms, sample.value, route.member) if rule.pointed else sample.value
            emission = rule.add(route.key, time_ms, value, watermark_ms)
            if emission is None:
                counted = True
            else:
                corrects = rule.missed(route.key, time_ms, value, watermark_ms)
                if corrects:
                    self._hand_over(rule, ((watermark_ms + 1, row) for row in corrects), out)
                counted = counted or emission.counted or bool(corrects)
                if emission.late:
                    late_end_ms = emission.end_ms + rule.grace_ms
            self._due_ms = min(self._due_ms, rule.due_ms)
        if late_end_ms is not None:
            time.count_late(late_end_ms)
            if not counted:
                out.late(sample)

    def tick(self, arrival_ns: int, idle_ms: int, out: Outbox) -> None:
        """Let time go on by what the lane has been idle."""
        self.time.tick(arrival_ns, idle_ms)
        if self.time.value_ms >= self._due_ms:
            self._advance(out)

    def follow(self, watermark_ms: int, out: Outbox) -> None:
        """Let time go on to what other partitions have; the mark says so in any case."""
        self.time.follow(watermark_ms)
        self._mark_ms = NEVER
        self._advance(out)

    def is_behind(self, watermark_ms: int) -> bool:
        """Tell whether another partition that has come so far may be waiting for this one."""
        return watermark_ms > self.time.value_ms

    def open_windows(self) -> int:
        """Return how many windows are open, and one more while results wait for time."""
        return sum(rule.windows.open_windows for rule in self.rules) + self.unsettled

    def snapshot(self) -> Iterator[list[Any]]:
        """Yield the state in slices: first the lane's own, then `[rule id, part, chunk]`."""
        yield [self.time.snapshot(), self._settled_ms, self._mark_ms, self.active_ms]
        for rule in self.rules:
            for part, chunk in rule.snapshot():
                yield [rule.rule.id, part, chunk]

    def restore(self, state: list[Any]) -> None:
        """Take in the lane's own slice; those of its rules go to `RulePartials.restore`."""
        time, self._settled_ms, self._mark_ms, self.active_ms = state
        self.time.restore(time)
        self._due_ms = NEVER  # looked at with the next event

    def _advance(self, out: Outbox) -> None:
        """Close what is due, and leave a mark where a boundary is passed."""
        watermark_ms = self.time.value_ms
        if watermark_ms == NEVER:
            return
        for rule in self.rules:
            if rule.due_ms <= watermark_ms:
                self._hand_over(rule, rule.close(watermark_ms), out)
        if watermark_ms >= self._mark_ms:
            out.mark(self.source, watermark_ms)
            self._mark_ms = self._next_mark_ms(watermark_ms)
        self._due_ms = min((rule.due_ms for rule in self.rules), default=FOREVER)
        self._due_ms = min(self._due_ms, self._mark_ms)

    def _next_mark_ms(self, watermark_ms: int) -> int:
        boundary_ms = min(
            (rule.next_boundary_ms(watermark_ms) for rule in self.rules), default=FOREVER
        )
        return min(boundary_ms, self._settled_ms) if self.unsettled else boundary_ms

    def _hand_over(
        self, rule: RulePartials, tagged: Iterator[tuple[int, Any]], out: Outbox
    ) -> None:
        """Send partial results; those of one tag together."""
        for tag_ms, group in groupby(tagged, key=itemgetter(0)):
            out.partials(rule.rule, rule.name, tag_ms, (row for _, row in group))
            self._settled_ms = max(self._settled_ms, rule.settled_ms(tag_ms))
