"""Second stage of one rule on one partition: partial results in, results out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from services.metrics_aggregator.domain import rules
from services.metrics_aggregator.domain.closing import Partial, PartialAggregate, Window
from services.metrics_aggregator.domain.finishing import Finishing
from services.metrics_aggregator.domain.parts import SPAN, parts_of
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.rule_partials import grace_ms
from shared.contracts.telemetry import MetricResult, result_subject
from shared.log_stream.clock import FOREVER
from shared.log_stream.fold import Output
from shared.log_stream.windowed import Closed, Windowed, windowed
from shared.log_stream.windows import Placed, Session


class RuleMerging:
    """A rule's windows, merged. Watermarks handed in are those of grace 0."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.waiting = 0
        """Partial results that wait for their turn, so for this rule."""
        session = isinstance(rule.window, rules.Session)
        self._span = parts_of(rule).index(SPAN) if session else None
        # A session is known to have ended when the slice after its last one has closed.
        self._delay_ms = grace_ms(rule) + (rule.interval.ms if session else 0)
        windower = Session(rule.interval.ms) if session else Placed(rule.interval.ms)
        self.windows: Windowed[Any, Any] = windowed(
            windower, PartialAggregate(rule), rule.allowed_lateness.ms
        )
        self._finishing = Finishing(rule)

    @property
    def idle(self) -> bool:
        """Whether nothing is open and nothing waits."""
        return not self.waiting and not self.windows.open_windows

    @property
    def due_ms(self) -> int:
        """Least watermark at which a window closes."""
        due = self.windows.due_ms
        return due if due == FOREVER else due + self._delay_ms

    def add(
        self, key: str, start_ms: int, partial: Partial, watermark_ms: int
    ) -> list[MetricResult]:
        """Merge a partial result; return corrected results, if it changes any."""
        passed_ms = watermark_ms - self._delay_ms
        if self._span is None:
            emission = self.windows.add(key, start_ms, partial, passed_ms)
        else:
            first_ms, last_ms = partial[self._span]
            emission = self.windows.add(key, first_ms, partial, passed_ms)
            if last_ms > first_ms:
                self.windows.add(key, last_ms, [], passed_ms)
        corrected = emission.corrected if emission else ()
        return [result for closed in corrected for result in self._results(closed)]

    def close(self, watermark_ms: int) -> Iterator[MetricResult]:
        """Close what time has passed; yield the results."""
        passed_ms = watermark_ms - self._delay_ms
        for closed in self.windows.close(passed_ms):
            yield from self._results(closed)
        self._finishing.forget(passed_ms)

    def keys(self) -> int:
        """Return how many entries the state has."""
        return self.windows.open_windows + self.waiting + self._finishing.keys()

    def snapshot(self) -> Iterator[tuple[str, Any]]:
        """Yield the state in slices, each with the name of its part."""
        for chunk in self.windows.snapshot():
            yield "windows", chunk
        for chunk in self._finishing.snapshot():
            yield "finishing", chunk

    def restore(self, part: str, chunk: Any) -> None:  # noqa: ANN401 - what snapshot has yielded
        """Take in one slice of a snapshot."""
        if part == "windows":
            self.windows.restore(chunk)
        else:
            self._finishing.restore(chunk)

    def _results(self, closed: Closed[Partial]) -> list[MetricResult]:
        return self._finishing.results(Window.of(closed), closed.state)


def output_of(result: MetricResult) -> Output:
    """Return the message of a result."""
    return Output(result_subject(result.rule, result.metric), msgspec.json.encode(result))
