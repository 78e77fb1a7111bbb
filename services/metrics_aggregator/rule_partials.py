"""First stage of one rule on one partition: its windows, and what each adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from services.metrics_aggregator.domain import rules
from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.closing import Reducing
from services.metrics_aggregator.domain.partials import Row, fingerprint
from services.metrics_aggregator.domain.rules import Rule
from shared.log_stream.clock import FOREVER
from shared.log_stream.fixed_windows import FixedWindows
from shared.log_stream.windowed import Closed, Emission
from shared.log_stream.windows import Hopping, Tumbling

DEFAULT_GRACE_MS: Final = 5_000
"""How long a window stays open after its end, in event time, where the rule does not say."""


class RulePartials:
    """A rule's windows on one partition. Watermarks handed in are those of grace 0.

    The samples of a session are gathered by slices as long as its gap: within one there is no
    gap, so the second stage can join them to sessions.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name = fingerprint(rule)
        self._aggregate = RuleAggregate(rule)
        self.pointed = self._aggregate.pointed
        self.grace_ms = grace_ms(rule)
        self._windower = _windower(rule)
        self._allowed_ms = rule.allowed_lateness.ms
        self.windows: FixedWindows[Any, Any] = FixedWindows(self._windower, self._aggregate)
        self._reducing = Reducing(rule)

    @property
    def due_ms(self) -> int:
        """Least watermark at which a window closes."""
        due = self.windows.due_ms
        return due if due == FOREVER else due + self.grace_ms

    def next_boundary_ms(self, watermark_ms: int) -> int:
        """Return the least watermark above this one at which a window could close anywhere."""
        step_ms = self._windower.every_ms
        offset_ms = self._windower.size_ms % step_ms + self.grace_ms
        return (watermark_ms - offset_ms) // step_ms * step_ms + step_ms + offset_ms

    def settled_ms(self, tag_ms: int) -> int:
        """Return the boundary at which the results of what is tagged so are out at the latest."""
        # A session ends a gap after its last sample, and is known to have ended one more later.
        gap_ms = self._windower.size_ms if isinstance(self.rule.window, rules.Session) else 0
        return self.next_boundary_ms(tag_ms + 2 * gap_ms - 1)

    def close(self, watermark_ms: int) -> Iterator[tuple[int, Row]]:
        """Close what time has passed; yield what each window adds, with its tag."""
        for closed in self.windows.close(watermark_ms - self.grace_ms):
            yield self._row(closed)
        self._reducing.forget(watermark_ms - self.grace_ms)

    def close_all(self) -> Iterator[tuple[int, Row]]:
        """Close every window, as when the rule ends."""
        for closed in self.windows.close(FOREVER - 1):
            yield self._row(closed)

    def missed(
        self,
        key: str,
        time_ms: int,
        value: Any,  # noqa: ANN401 - as in `add`
        watermark_ms: int,
    ) -> list[Row]:
        """Return what a sample adds to windows that are closed and still take corrections."""
        size_ms, passed_ms = self._windower.size_ms, watermark_ms - self.grace_ms
        add, new, slots = self._aggregate.add, self._aggregate.new, self._aggregate.slots
        return [
            (key, start_ms, slots(add(new(), value)))
            for start_ms in self._windower.starts(time_ms)
            if start_ms + size_ms <= passed_ms < start_ms + size_ms + self._allowed_ms
        ]

    def add(self, key: str, time_ms: int, value: Any, watermark_ms: int) -> Emission[Any] | None:  # noqa: ANN401 - a float or a point
        """Count a sample; `None` says that all its windows took it."""
        return self.windows.add(key, time_ms, value, watermark_ms - self.grace_ms)

    def keys(self) -> int:
        """Return how many entries the state has."""
        return self.windows.open_windows + self._reducing.keys()

    def snapshot(self) -> Iterator[tuple[str, Any]]:
        """Yield the state in slices, each with the name of its part."""
        for chunk in self.windows.snapshot():
            yield "windows", chunk
        for chunk in self._reducing.snapshot():
            yield "reducing", chunk

    def restore(self, part: str, chunk: Any) -> None:  # noqa: ANN401 - what snapshot has yielded
        """Take in one slice of a snapshot."""
        if part == "windows":
            self.windows.restore(chunk)
        else:
            self._reducing.restore(chunk)

    def _row(self, closed: Closed[Any]) -> tuple[int, Row]:
        partial = self._reducing.partial(closed)
        return closed.end_ms + self.grace_ms, (closed.key, closed.start_ms, partial)


def grace_ms(rule: Rule) -> int:
    """Return how long the windows of a rule wait for stragglers, in milliseconds."""
    if rule.ignore_old_samples:  # whatever is older than the window of the newest sample
        return 0
    return DEFAULT_GRACE_MS if rule.grace is None else rule.grace.ms


def _windower(rule: Rule) -> Tumbling | Hopping:
    match rule.window:
        case rules.Tumbling():
            return Tumbling(rule.interval.ms)
        case rules.Hopping(every):
            return Hopping(rule.interval.ms, every.ms)
        case rules.Session(gap):
            return Tumbling(gap.ms)
