"""What the options of one rule must obey together; each message names the option at fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.metrics_aggregator.domain.outputs import COUNTERS, RUNNING, phis
from services.metrics_aggregator.domain.rules import Hopping, Rule, Session, Tumbling

_SHORTEST_MS: Final = 1_000
_MOST_WINDOWS: Final = 1_000


def faults(rule: Rule) -> Iterator[str]:
    """Yield what is wrong with a rule, most telling first."""
    yield from _interval_faults(rule)
    yield from _window_faults(rule)
    yield from _name_faults(rule)


def _interval_faults(rule: Rule) -> Iterator[str]:
    interval, dedup = rule.interval, rule.dedup_interval
    if interval.ms < _SHORTEST_MS:
        yield f"interval: {interval.text} is less than 1s"
    if dedup.ms > interval.ms:
        yield f"dedup_interval: {dedup.text} is more than the interval, {interval.text}"
    elif dedup.ms and interval.ms % dedup.ms:
        yield f"dedup_interval: the interval, {interval.text}, is no multiple of {dedup.text}"
    staleness = rule.staleness_interval
    if staleness and staleness.ms < interval.ms:
        yield f"staleness_interval: {staleness.text} is less than the interval, {interval.text}"
    if dedup.ms and rule.allowed_lateness.ms:
        yield (
            "dedup_interval: contradicts allowed_lateness, for a late sample may replace one that "
            "was counted; give more grace instead"
        )
    if rule.ignore_old_samples and rule.allowed_lateness.ms:
        yield "ignore_old_samples: contradicts allowed_lateness, which takes old samples in"


def _window_faults(rule: Rule) -> Iterator[str]:
    lasting = sorted(rule.kinds & (COUNTERS | RUNNING))
    if lasting and not isinstance(rule.window, Tumbling):
        yield f"window: output {lasting[0]} goes on from window to window, so it must be tumbling"
    if lasting and rule.allowed_lateness.ms:
        yield (
            f"allowed_lateness: output {lasting[0]} goes on from window to window, "
            "so a correction would change all later ones; give more grace instead"
        )
    if isinstance(rule.window, Session) and rule.ignore_first_intervals:
        yield "ignore_first_intervals: a session has no interval"
    if isinstance(rule.window, Hopping):
        every = rule.window.every
        if not 0 < every.ms <= rule.interval.ms:
            yield f"every: {every.text} must be above 0 and at most the interval"
        elif rule.interval.ms > _MOST_WINDOWS * every.ms:
            yield f"every: each sample would be in more than {_MOST_WINDOWS} windows"
        elif rule.dedup_interval.ms and every.ms % rule.dedup_interval.ms:
            yield f"dedup_interval: every, {every.text}, is no multiple of it"


def _name_faults(rule: Rule) -> Iterator[str]:
    if rule.by and rule.without:
        yield "without: cannot be combined with by"
    if not rule.keep_metric_names:
        return
    if len(rule.outputs) != 1:
        yield "keep_metric_names: needs a single output"
        return
    (output,) = rule.outputs
    if output == "histogram_bucket" or ("(" in output and len(phis(output)) > 1):
        yield f"keep_metric_names: output {output} makes several series"
