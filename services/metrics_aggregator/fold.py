"""The aggregator's first stage: samples and rules in; partial results, late samples, dead letters.

Pure. Rules come from the log as well: the seed holds those that a partition began with, a control
message `control.rules` those that follow. So a replay changes them at the very same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.metrics_aggregator.dead import dead_letter
from services.metrics_aggregator.domain.partials import source_key
from services.metrics_aggregator.domain.refusal import Refusal, RuleError
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.samples import read_samples
from services.metrics_aggregator.domain.series_cache import SeriesCache
from services.metrics_aggregator.fixed_seed import fixed_until
from services.metrics_aggregator.lane import Lane
from services.metrics_aggregator.outbox import Outbox
from services.metrics_aggregator.topology import FEED, SAMPLE_PREFIX
from shared.contracts.telemetry import CONTENT_TYPE, metric_of_tokens
from shared.log_stream.clock import NEVER, too_far_ahead
from shared.log_stream.fold import TICK, Event, Output

ALLOWED_SKEW_MS: Final = 600_000
"""A sample that claims to be of a time more than this after its arrival is refused."""

MOST_RULES_BYTES: Final = 64_000
"""Each position record carries the rules that its partition began with; parsing holds the loop."""

RULES: Final = "control.rules"
FOLLOW: Final = "control.follow"

_MILLISECOND: Final = 1_000_000
_LANE_IDLE_MS: Final = 30_000
_ACTIVE_GAP_MS: Final = 1_000
_follow: Final = msgspec.json.Decoder(dict[str, int])
_OWN: Final = ""


class MetricsFold:
    """State of one partition; `merges` is how many partitions the second stage has."""

    schema = 2

    def __init__(self, seed: str, partition: int = 0, merges: int = 1) -> None:
        self.rules_text = seed
        self.partition = partition
        self.skipped = 0
        self.lanes: dict[str, Lane] = {}
        """By source: nothing for `TELEMETRY` itself."""
        self._merges = merges
        self._fixed_until = fixed_until(seed)
        self._series = SeriesCache()
        self._rules: tuple[Rule, ...] = ()
        self._announced = False
        self._active_ms = 0
        self._arrival_ms = 0
        self._use(seed, self._outbox())

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in one message of the partition; return what it emits."""
        out = self._outbox()
        if not self._announced:
            self._announced = True
            out.rules(self._rules)
        if event.subject.startswith(SAMPLE_PREFIX):
            self._take(event, out)
        elif event.subject == TICK:
            self._tick(event, out)
        elif event.subject == FOLLOW:
            self._follow(event, out)
        elif event.subject == RULES:
            self._change_rules(event, out)
        return out.outputs

    def open_windows(self) -> int:
        """Return how many windows are open, those that wait at the second stage included."""
        return sum(lane.open_windows() for lane in self.lanes.values())

    def keys(self) -> int:
        """Return the size of the state in entries."""
        return sum(rule.keys() for lane in self.lanes.values() for rule in lane.rules)

    def numbers(self) -> Mapping[str, float]:
        """Return watermark, late and skipped samples."""
        value_ms = self.lanes[_OWN].time.value_ms
        known = {} if value_ms == NEVER else {"watermark_seconds": value_ms / 1000}
        times = [lane.time for lane in self.lanes.values()]
        return known | {
            "late_samples": sum(time.late for time in times),
            "late_after_tick_samples": sum(time.late_after_tick for time in times),
            "skipped_samples": self.skipped,
        }

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces."""
        own = [self.rules_text, self.skipped, self._announced, self._active_ms, self._arrival_ms]
        yield [*own, list(self.lanes)]
        for lane in self.lanes.values():
            for piece in lane.snapshot():
                yield [lane.source, piece]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot."""
        first, *others = (_unpacked(piece) for piece in pieces)
        text, self.skipped, announced, self._active_ms, self._arrival_ms, sources = first
        self.lanes = {source: Lane(source) for source in sources}
        self.rules_text = text
        self._use(text, self._outbox())
        self._announced = announced
        rules = {rule.rule.id: rule for lane in self.lanes.values() for rule in lane.rules}
        for source, piece in others:
            if isinstance(piece[0], str):
                rule_id, part, chunk = piece
                rules[rule_id].restore(part, chunk)
            else:
                self.lanes[source].restore(piece)

    def _outbox(self) -> Outbox:
        return Outbox(self.partition, self._merges)

    def _take(self, event: Event, out: Outbox) -> None:
        given = event.headers
        # Not `if given`: headers are parsed only when that is needed, and telling costs it.
        lane = self.lanes.get(given.get(FEED, _OWN) if given is not None else _OWN)
        if lane is None:  # of a source that no rule reads any more
            return
        arrival_ns = event.arrival_ns
        content_type = given.get(CONTENT_TYPE) if given is not None else None
        metric = metric_of_tokens(event.subject[len(SAMPLE_PREFIX) :])
        try:
            batch = read_samples(
                event.data, content_type, metric, arrival_ns // _MILLISECOND, self._series
            )
        except Refusal as refusal:
            out.outputs.append(dead_letter(event, refusal.reason, refusal.error))
            return
        samples = batch.samples
        for number, sample in enumerate(samples):
            if too_far_ahead(sample.time_ms, arrival_ns, ALLOWED_SKEW_MS):
                error = f"[{number}].time: more than {ALLOWED_SKEW_MS // 1000} s after its arrival"
                out.outputs.append(dead_letter(event, "future", error))
                return
        self.skipped += batch.skipped
        if len(self.lanes) > 1:
            self._note_activity(lane, arrival_ns, out)
        for sample in samples:
            lane.take(sample, arrival_ns, out)

    def _note_activity(self, active: Lane, arrival_ns: int, out: Outbox) -> None:
        """Let time go on in lanes that are idle while the partition is not, so gets no ticks.

        A pause of the whole partition counts as a second: an outage is no idleness.
        """
        arrival_ms = arrival_ns // _MILLISECOND
        self._active_ms += max(0, min(arrival_ms - self._arrival_ms, _ACTIVE_GAP_MS))
        self._arrival_ms = arrival_ms
        active.active_ms = self._active_ms
        for lane in self.lanes.values():
            idle_ms = self._active_ms - lane.active_ms
            if idle_ms >= _LANE_IDLE_MS and lane.open_windows():
                lane.tick(arrival_ns, idle_ms, out)

    def _tick(self, event: Event, out: Outbox) -> None:
        try:
            idle_ms = int(msgspec.json.decode(event.data)["idle_ms"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            out.outputs.append(dead_letter(event, "malformed", "not a tick"))
            return
        for lane in self.lanes.values():
            lane.tick(event.arrival_ns, idle_ms, out)

    def _follow(self, event: Event, out: Outbox) -> None:
        try:
            known = _follow.decode(event.data)
        except msgspec.DecodeError as error:
            out.outputs.append(dead_letter(event, "malformed", str(error)))
            return
        for source, watermark_ms in known.items():
            if source in self.lanes:
                self.lanes[source].follow(watermark_ms, out)

    def _change_rules(self, event: Event, out: Outbox) -> None:
        if event.sequence <= self._fixed_until:
            return
        text = event.data.decode("utf-8", "replace")
        try:
            self._use(text, out)
        except RuleError as error:
            out.outputs.append(dead_letter(event, "invalid", str(error)))
            return
        self.rules_text = text
        self.lanes = {
            source: lane
            for source, lane in self.lanes.items()
            if source == _OWN or lane.rules or lane.unsettled
        }
        out.rules(self._rules)

    def _use(self, text: str, out: Outbox) -> None:
        """Take these rules; a rule that stays as it was keeps its windows. Raises `RuleError`."""
        self._rules = checked_rules(text)
        by_source: dict[str, list[Rule]] = {_OWN: []}
        for rule in self._rules:
            by_source.setdefault(source_key(rule.source), []).append(rule)
        for source, rules in by_source.items():
            lane = self.lanes.get(source)
            if lane is None:
                lane = self.lanes[source] = Lane(source)
                lane.active_ms = self._active_ms
            lane.use(rules, out)
        for source, lane in self.lanes.items():
            if source not in by_source:
                lane.use((), out)


@lru_cache(maxsize=8)
def checked_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules of a file, all of which this service can run. Raises `RuleError`."""
    if len(text.encode("utf-8", "replace")) > MOST_RULES_BYTES:
        raise RuleError(f"the rule file has more than {MOST_RULES_BYTES} bytes")
    return parse_rules(text)


def _unpacked(piece: bytes) -> Any:  # noqa: ANN401 - whatever snapshot has yielded
    return msgspec.msgpack.decode(piece, strict=False)
