"""An aggregation rule as plain values: comparable, renderable, nothing compiled."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from services.metrics_aggregator.domain.durations import Duration
from services.metrics_aggregator.domain.outputs import COUNTERS, RUNNING, kind
from services.metrics_aggregator.domain.relabeling import Relabel
from services.metrics_aggregator.domain.selectors import NAME

NO_TIME: Final = Duration("0", 0)
TELEMETRY: Final = "TELEMETRY"


class Tumbling(Struct, frozen=True, tag=True):
    """Windows of `interval`, one after the other, aligned to the epoch."""


class Hopping(Struct, frozen=True, tag=True):
    """Windows of `interval`, one starting `every` so often."""

    every: Duration


class Session(Struct, frozen=True, tag=True):
    """Windows that last until a group is silent for `gap`."""

    gap: Duration


Window = Tumbling | Hopping | Session


class Source(Struct, frozen=True, omit_defaults=True):
    """`from`: the log that a rule reads; for another than `TELEMETRY`, how to read samples.

    `value`, `time` and the values of `labels` are paths in the JSON body such as
    `totals.gross`; without `value` each message counts 1, without `time` arrival is taken.
    `each` is the path of a list in the body, each entry of which is a sample; paths that begin
    with a dot start in the entry.
    """

    stream: str = TELEMETRY
    subject: str = ">"
    name: str = ""
    value: str = ""
    time: str = ""
    each: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class Rule(Struct, frozen=True):
    """One rule; options as in `docs/metrics.md`. `by` and `without` are sorted."""

    id: str
    interval: Duration
    outputs: tuple[str, ...]
    name: str = ""
    match: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    source: Source = Source()
    window: Window = Tumbling()
    grace: Duration | None = None
    allowed_lateness: Duration = NO_TIME
    dedup_interval: Duration = NO_TIME
    staleness_interval: Duration | None = None
    ignore_first_sample_interval: Duration | None = None
    ignore_old_samples: bool = False
    ignore_first_intervals: int = 0
    keep_metric_names: bool = False
    drop_input_labels: tuple[str, ...] = ()
    input_relabel_configs: tuple[Relabel, ...] = ()
    output_relabel_configs: tuple[Relabel, ...] = ()

    @property
    def kinds(self) -> frozenset[str]:
        """Return the outputs without arguments."""
        return frozenset(kind(output) for output in self.outputs)

    @property
    def counts(self) -> bool:
        """Tell whether an output reads cumulative counters."""
        return bool(self.kinds & COUNTERS)

    @property
    def runs(self) -> bool:
        """Tell whether an output goes on from window to window."""
        return bool(self.kinds & RUNNING)

    @property
    def staleness_ms(self) -> int:
        """Return how long a silent series or group is remembered; as in VM, two intervals."""
        chosen = self.staleness_interval
        return 2 * self.interval.ms if chosen is None else chosen.ms

    @property
    def ignore_first_sample_ms(self) -> int:
        """Return how long after the rule's start first samples of counters only begin them."""
        chosen = self.ignore_first_sample_interval
        return self.staleness_ms if chosen is None else chosen.ms

    @property
    def infix(self) -> str:
        """Return what stands between an input's name and the output: `:1m_by_host_`."""
        parts = [f":{self.interval.text}"]
        by, without = (
            [name for name in names if name != NAME] for names in (self.by, self.without)
        )
        if by:
            parts.append("by_" + "_".join(by))
        if without:
            parts.append("without_" + "_".join(without))
        return "_".join([*parts, ""])
