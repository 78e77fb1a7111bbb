"""The aggregator's fold: samples and rules in, results, late samples and dead letters out. Pure.

Rules come from the log as well: the seed holds those that a partition began with, a control
message `control.rules` those that follow. So a replay changes them at the very same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.metrics_aggregator.dead import dead_letter
from services.metrics_aggregator.domain.refusal import Refusal, RuleError
from services.metrics_aggregator.domain.routing import Router
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.samples import read_samples
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.domain.series_cache import SeriesCache
from services.metrics_aggregator.rule_windows import RuleWindows
from services.metrics_aggregator.topology import SAMPLE_PREFIX, TELEMETRY
from shared.contracts.telemetry import CONTENT_TYPE, metric_of_tokens, metric_tokens
from shared.log_stream.clock import FOREVER, NEVER, Watermark, too_far_ahead
from shared.log_stream.fold import TICK, Event, Output

ALLOWED_SKEW_MS: Final = 600_000
"""A sample that claims to be of a time more than this after its arrival is refused."""

MOST_RULES_BYTES: Final = 64_000
"""Each position record carries the rules that its partition began with; parsing holds the loop."""

_RULES: Final = "control.rules"
_MILLISECOND: Final = 1_000_000


class MetricsFold:
    """State of one partition."""

    schema = 1

    def __init__(self, seed: str) -> None:
        self.rules_text = seed
        self.skipped = 0
        self._time = Watermark(0)  # each rule has a grace of its own
        self._series = SeriesCache()
        self._rules: list[RuleWindows] = []
        self._router = Router(())
        self._due_ms = FOREVER
        self._use(seed)

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in one message of the partition; return what it emits."""
        if event.subject.startswith(SAMPLE_PREFIX):
            return self._take(event)
        if event.subject == TICK:
            return self._tick(event)
        if event.subject == _RULES:
            return self._change_rules(event)
        return ()

    def open_windows(self) -> int:
        """Return how many windows are open."""
        return sum(rule.windows.open_windows for rule in self._rules)

    def keys(self) -> int:
        """Return the size of the state in entries."""
        return sum(rule.keys() for rule in self._rules)

    def numbers(self) -> Mapping[str, float]:
        """Return watermark, late and skipped samples."""
        time = self._time
        known = {} if time.value_ms == NEVER else {"watermark_seconds": time.value_ms / 1000}
        return known | {
            "late_samples": time.late,
            "late_after_tick_samples": time.late_after_tick,
            "skipped_samples": self.skipped,
        }

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces."""
        yield ["", self.rules_text, self._time.snapshot(), self.skipped]
        for rule in self._rules:
            for part, chunk in rule.snapshot():
                yield [rule.rule.id, part, chunk]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot."""
        by_id: dict[str, RuleWindows] = {}
        for piece in pieces:
            which, *rest = _unpacked(piece)
            if which == "":
                self.rules_text, time, self.skipped = rest
                self._time.restore(time)
                self._rules = []
                self._use(self.rules_text)
                by_id = {rule.rule.id: rule for rule in self._rules}
            else:
                by_id[which].restore(*rest)
        self._note_due()

    def _take(self, event: Event) -> Sequence[Output]:
        arrival_ms = event.arrival_ns // _MILLISECOND
        content_type = event.headers.get(CONTENT_TYPE) if event.headers else None
        metric = metric_of_tokens(event.subject[len(SAMPLE_PREFIX) :])
        try:
            batch = read_samples(event.data, content_type, metric, arrival_ms, self._series)
        except Refusal as refusal:
            return (dead_letter(event, refusal.reason, refusal.error),)
        samples = batch.samples
        for number, sample in enumerate(samples):
            if too_far_ahead(sample.time_ms, event.arrival_ns, ALLOWED_SKEW_MS):
                error = f"[{number}].time: more than {ALLOWED_SKEW_MS // 1000} s after its arrival"
                return (dead_letter(event, "future", error),)
        self.skipped += batch.skipped
        outputs: list[Output] = []
        for sample in samples:
            self._time.observe(sample.time_ms, event.arrival_ns)
            if self._time.value_ms >= self._due_ms:
                self._close(outputs)
            self._add(sample, outputs)
        return outputs

    def _add(self, sample: Sample, outputs: list[Output]) -> None:
        time_ms, greatest_ms = sample.time_ms, self._time.value_ms
        late_end_ms: int | None = None
        counted = False
        for route in self._router.routes(sample.series):
            rule = self._rules[route.rule]
            value = (time_ms, sample.value, route.member) if rule.pointed else sample.value
            watermark_ms = greatest_ms - rule.grace_ms
            emission = rule.windows.add(route.key, time_ms, value, watermark_ms)
            if emission is None:
                counted = True
            else:
                for corrected in emission.corrected:
                    outputs.extend(rule.outputs(corrected))
                counted = counted or emission.counted
                if emission.late:
                    late_end_ms = emission.end_ms + rule.grace_ms
            self._due_ms = min(self._due_ms, rule.due_ms)
        if late_end_ms is not None:
            self._time.count_late(late_end_ms)
            if not counted:
                outputs.append(_late(sample))

    def _close(self, outputs: list[Output]) -> None:
        for rule in self._rules:
            if rule.due_ms <= self._time.value_ms:
                outputs.extend(rule.close(self._time.value_ms))
        self._note_due()

    def _tick(self, event: Event) -> Sequence[Output]:
        try:
            idle_ms = int(msgspec.json.decode(event.data)["idle_ms"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            return (dead_letter(event, "malformed", "not a tick"),)
        self._time.tick(event.arrival_ns, idle_ms)
        outputs: list[Output] = []
        self._close(outputs)
        return outputs

    def _change_rules(self, event: Event) -> Sequence[Output]:
        text = event.data.decode("utf-8", "replace")
        kept = {rule.rule.id: rule for rule in self._rules}
        try:
            self._use(text)
        except RuleError as error:
            return (dead_letter(event, "invalid", str(error)),)
        self.rules_text = text
        outputs: list[Output] = []
        for rule in kept.values():
            if rule not in self._rules:
                outputs.extend(rule.close_all())
        self._note_due()
        return outputs

    def _use(self, text: str) -> None:
        """Take these rules; a rule that stays as it was keeps its windows. Raises `RuleError`."""
        rules = checked_rules(text)
        known = {rule.rule.id: rule for rule in self._rules}
        self._rules = [
            found if (found := known.get(rule.id)) and found.rule == rule else RuleWindows(rule)
            for rule in rules
        ]
        self._router = Router(rules)
        self._note_due()

    def _note_due(self) -> None:
        self._due_ms = min((rule.due_ms for rule in self._rules), default=FOREVER)


def checked_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of a file, all of which this service can run. Raises `RuleError`."""
    if len(text.encode("utf-8", "replace")) > MOST_RULES_BYTES:
        raise RuleError(f"the rule file has more than {MOST_RULES_BYTES} bytes")
    rules = parse_rules(text)
    for rule in rules:
        if rule.source.stream != TELEMETRY.name:
            raise RuleError(f"rule {rule.id}: from: only {TELEMETRY.name} can be read so far")
        if rule.crosses_partitions:
            raise RuleError(
                f"rule {rule.id}: its groups gather several metrics, which lie in different "
                "partitions; these are not merged so far. Group by the name too"
            )
    return rules


def _late(sample: Sample) -> Output:
    body = {
        "name": sample.series.name,
        "value": sample.value,
        "labels": dict(sample.series.labels),
        "time": sample.time_ms / 1000,
    }
    return Output(f"late.metrics.{metric_tokens(sample.series.name)}", msgspec.json.encode(body))


def _unpacked(piece: bytes) -> Any:  # noqa: ANN401 - whatever snapshot has yielded
    return msgspec.msgpack.decode(piece, strict=False)
