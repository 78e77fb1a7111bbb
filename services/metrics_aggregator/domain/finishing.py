"""From a window's partial to its results: values, names, labels, subjects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import fsum, sqrt
from typing import Any, Final

from services.metrics_aggregator.domain import buckets, sketch
from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.closing import Partial, Window
from services.metrics_aggregator.domain.memory import Chunk, Memory
from services.metrics_aggregator.domain.outputs import kind, phis
from services.metrics_aggregator.domain.relabeling import Relabeling
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.selectors import NAME
from services.metrics_aggregator.domain.series import labels_of_key
from services.metrics_aggregator.domain.squares import variance
from shared.contracts.telemetry import MetricResult
from shared.log_stream.exact_sum import ExactSum

Value = tuple[str, str, str, float]
"""Output, extra label, its value, and the result's value."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)  # noqa: UP017  one way of writing
_SECOND: Final = 1_000


class Finishing:
    """Second step: results of one rule. Remembers what goes on from window to window."""

    __slots__ = ("_ignored_ms", "_outputs", "_parts", "_relabeling", "_rule", "_running")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._parts = [part.name for part in RuleAggregate(rule).parts]
        self._outputs = [(kind(output), _phis(output)) for output in rule.outputs]
        self._relabeling = Relabeling(rule.output_relabel_configs)
        self._ignored_ms = rule.ignore_first_intervals * rule.interval.ms
        self._running: Memory[dict[str, Any]] = Memory(dict)

    def results(self, window: Window, partial: Partial) -> list[MetricResult]:
        """Return the results of a window, in the order of the rule's outputs.

        Windows must come in the order in which they close.
        """
        parts = dict(zip(self._parts, partial, strict=True))
        started_ms = self._running.start(window.start_ms)
        if self._rule.runs:
            self._run(window, parts)
        if window.end_ms <= started_ms + self._ignored_ms:
            return []
        labels = labels_of_key(window.key)
        start, end = _rfc3339(window.start_ms), _rfc3339(window.end_ms)
        results = []
        for output, label, text, value in self._values(parts):
            named = self._named(labels, output, label, text)
            if named is None:
                continue
            metric = named.pop(NAME, "")
            results.append(
                MetricResult(
                    rule=self._rule.id,
                    metric=metric,
                    labels=named,
                    output=output,
                    value=value,
                    start=start,
                    end=end,
                    final=window.final,
                    revision=window.revision,
                    count=parts["count"],
                )
            )
        return results

    def forget(self, watermark_ms: int) -> None:
        """Drop what no window can ask for any more; changes no result, only memory."""
        self._running.forget(watermark_ms - self._rule.interval.ms - self._rule.staleness_ms)

    def keys(self) -> int:
        """Return how many groups are remembered."""
        return len(self._running)

    def snapshot(self) -> Iterator[Chunk]:
        """Yield what is remembered, in slices."""
        return self._running.snapshot()

    def restore(self, chunk: Chunk) -> None:
        """Take in one slice of a snapshot, in order."""
        self._running.restore(chunk)

    def _run(self, window: Window, parts: dict[str, Any]) -> None:
        """Add the window to what runs on; start again after `staleness_interval` of silence."""
        running = self._running.recall(window.key, window.end_ms)
        first_ms, last_ms = parts["span"]
        if running and first_ms - running["last_ms"] > self._rule.staleness_ms:
            running.clear()
        running["last_ms"] = last_ms
        kinds = self._rule.kinds
        if "sum_samples_total" in kinds:
            _carry(running, "sum", parts["sum"])
        if kinds & {"total", "total_prometheus"}:
            _carry(running, "total", parts["samples"][0])
            _carry(running, "total_prometheus", parts["samples"][1])
        if "histogram_bucket" in kinds:
            sketch.merge(running.setdefault("buckets", {}), parts["buckets"])
        parts["running"] = running

    def _values(self, parts: dict[str, Any]) -> Iterator[Value]:
        for output, wanted in self._outputs:
            if output == "quantiles":
                low, high = parts["least"], parts["greatest"]
                estimates = sketch.quantiles(parts["sketch"], wanted)
                for phi, estimate in zip(wanted, estimates, strict=True):
                    value = low if phi == 0 else high if phi == 1 else estimate
                    text = repr(phi).removesuffix(".0")
                    yield output, "quantile", text, min(max(value, low), high)
            elif output == "histogram_bucket":
                for span, count in buckets.ranges(parts["running"]["buckets"]):
                    yield output, "vmrange", span, float(count)
            else:
                value = _value(output, parts)
                if value is not None:
                    yield output, "", "", value

    def _named(
        self, labels: dict[str, str], output: str, label: str, text: str
    ) -> dict[str, str] | None:
        named = dict(labels)
        if not self._rule.keep_metric_names:
            named[NAME] = f"{labels.get(NAME, '')}{self._rule.infix}{output}"
        if label:
            named[label] = text
        relabeled = self._relabeling.apply(named)
        return None if relabeled is None else dict(sorted(relabeled.items()))


def _value(output: str, parts: dict[str, Any]) -> float | None:  # noqa: C901, PLR0911, PLR0912  a table
    match output:
        case "avg":
            return fsum(parts["sum"]) / int(parts["count"])
        case "count_samples":
            return float(parts["count"])
        case "count_series":
            return float(len(parts["series"]))
        case "increase":
            return fsum(parts["samples"][0])
        case "increase_prometheus":
            return fsum(parts["samples"][1])
        case "last":
            return float(parts["last"][1])
        case "max":
            return float(parts["greatest"])
        case "min":
            return float(parts["least"])
        case "rate_sum":
            return fsum(parts["samples"][2]) if parts["samples"][3] else None
        case "rate_avg":
            rated = int(parts["samples"][3])
            return fsum(parts["samples"][2]) / rated if rated else None
        case "stddev":
            return sqrt(variance(parts["count"], parts["sum"], parts["squares"]))
        case "stdvar":
            return variance(parts["count"], parts["sum"], parts["squares"])
        case "sum_samples":
            return fsum(parts["sum"])
        case "sum_samples_total":
            return fsum(parts["running"]["sum"])
        case "total" | "total_prometheus":
            return fsum(parts["running"][output])
        case "unique_samples":
            return float(len(parts["unique"]))
        case _:
            raise AssertionError(output)


def _carry(running: dict[str, Any], name: str, terms: Sequence[float]) -> None:
    ExactSum.merge(running.setdefault(name, []), list(terms))


def _phis(output: str) -> tuple[float, ...]:
    return phis(output) if "(" in output else ()


@lru_cache(maxsize=4_096)
def _rfc3339(time_ms: int) -> str:
    moment = _EPOCH + dt.timedelta(milliseconds=time_ms)
    spec = "milliseconds" if time_ms % _SECOND else "seconds"
    return moment.isoformat(timespec=spec).replace("+00:00", "Z")
