"""One rule at work on one partition: its windows, what it remembers, its results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from services.metrics_aggregator.domain import rules
from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.closing import Reducing, Window
from services.metrics_aggregator.domain.finishing import Finishing
from services.metrics_aggregator.domain.rules import Rule
from shared.contracts.telemetry import result_subject
from shared.log_stream.clock import FOREVER
from shared.log_stream.fold import Output
from shared.log_stream.windowed import Closed, Windowed, windowed
from shared.log_stream.windows import Hopping, Session, Tumbling, Windower

DEFAULT_GRACE_MS: Final = 5_000
"""How long a window stays open after its end, in event time, where the rule does not say."""


class RuleWindows:
    """A rule's state on one partition. Watermarks handed in are those of grace 0."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        aggregate = RuleAggregate(rule)
        self.pointed = aggregate.pointed
        self.grace_ms = _grace_ms(rule)
        self.windows: Windowed[Any, Any] = windowed(
            _windower(rule), aggregate, rule.allowed_lateness.ms
        )
        self._reducing = Reducing(rule)
        self._finishing = Finishing(rule)

    @property
    def due_ms(self) -> int:
        """Least greatest event time at which a window closes."""
        due = self.windows.due_ms
        return due if due == FOREVER else due + self.grace_ms

    def close(self, greatest_ms: int) -> Iterator[Output]:
        """Close what time has passed; yield the results."""
        watermark_ms = greatest_ms - self.grace_ms
        for closed in self.windows.close(watermark_ms):
            yield from self.outputs(closed)
        self._reducing.forget(watermark_ms)
        self._finishing.forget(watermark_ms)

    def close_all(self) -> Iterator[Output]:
        """Close every window, as when the rule ends."""
        for closed in self.windows.close(FOREVER - 1):
            yield from self.outputs(closed)

    def outputs(self, closed: Closed[Any]) -> Iterator[Output]:
        """Yield the results of a closed or corrected window."""
        partial = self._reducing.partial(closed)
        for result in self._finishing.results(Window.of(closed), partial):
            yield Output(result_subject(result.rule, result.metric), msgspec.json.encode(result))

    def keys(self) -> int:
        """Return how many entries the state has."""
        return self.windows.open_windows + self._reducing.keys() + self._finishing.keys()

    def snapshot(self) -> Iterator[tuple[str, Any]]:
        """Yield the state in slices, each with the name of its part."""
        for part in ("windows", "reducing", "finishing"):
            for chunk in self._part(part).snapshot():
                yield part, chunk

    def restore(self, part: str, chunk: Any) -> None:  # noqa: ANN401 - what snapshot has yielded
        """Take in one slice of a snapshot."""
        self._part(part).restore(chunk)

    def _part(self, part: str) -> Any:  # noqa: ANN401 - three types with snapshot and restore
        return {
            "windows": self.windows,
            "reducing": self._reducing,
            "finishing": self._finishing,
        }[part]


def _windower(rule: Rule) -> Windower:
    match rule.window:
        case rules.Tumbling():
            return Tumbling(rule.interval.ms)
        case rules.Hopping(every):
            return Hopping(rule.interval.ms, every.ms)
        case rules.Session(gap):
            return Session(gap.ms)


def _grace_ms(rule: Rule) -> int:
    if rule.ignore_old_samples:  # whatever is older than the window of the newest sample
        return 0
    return DEFAULT_GRACE_MS if rule.grace is None else rule.grace.ms
