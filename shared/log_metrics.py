"""What members of log services show Prometheus, a partition a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shared.log_stream.member import Member

_LABELS = ("group", "partition")


class MemberCollector:
    """Reads the numbers of members when Prometheus asks; those of partitions owned here."""

    def __init__(self, members: Callable[[], Sequence[Member]]) -> None:
        self._members = members

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, words in _GAUGES.items():
            families[name] = GaugeMetricFamily(f"headrace_{name}", words, labels=_LABELS)
        for name, words in _COUNTERS.items():
            families[name] = CounterMetricFamily(f"headrace_{name}", words, labels=_LABELS)
        fenced = CounterMetricFamily(
            "headrace_fenced", "Partitions lost to another owner's claim", labels=["group"]
        )
        broken = GaugeMetricFamily(
            "headrace_broken_partitions",
            "Partitions stopped because of their log, or because their fold failed",
            labels=["group"],
        )
        folds = GaugeMetricFamily(
            "headrace_fold", "Numbers of the fold's own", labels=[*_LABELS, "number"]
        )
        for member in self._members():
            fenced.add_metric([member.group], member.fenced)
            broken.add_metric([member.group], len(member.broken))
            for number, partition in list(member.partitions.items()):
                labels = [member.group, str(number)]
                stats = partition.stats
                families["lag_events"].add_metric(labels, partition.lag)
                families["lag_seconds"].add_metric(labels, partition.lag_seconds)
                age = stats.snapshot_age_seconds
                if age is not None:
                    families["snapshot_age_seconds"].add_metric(labels, age)
                for name, attribute in _FROM_STATS.items():
                    families[name].add_metric(labels, getattr(stats, attribute))
                for name, value in partition.fold.numbers().items():
                    folds.add_metric([*labels, name], value)
        yield from (*families.values(), fenced, broken, folds)


_GAUGES = {
    "lag_events": "Events stored and not yet read",
    "lag_seconds": "Age of the event folded last, where more wait; else 0",
    "position": "Sequence of the last input event whose outputs are committed",
    "open_windows": "Windows that wait for time to go on",
    "keys": "Entries of the state",
    "snapshot_bytes": "Size of the newest snapshot of this owner",
    "snapshot_age_seconds": "Age of the newest snapshot of this owner",
    "restore_seconds": "From claim to reading, at the last claim",
}
_COUNTERS = {
    "events": "Events folded, those folded again included",
    "outputs": "Outputs committed",
    "suppressed_outputs": "Outputs made again by a refold, which were out already",
    "commits": "Batches and positions committed",
    "disturbances": "Times that reading had to begin anew",
    "ticks": "Ticks appended to idle partitions",
}
_FROM_STATS = {
    "position": "position",
    "open_windows": "open_windows",
    "keys": "keys",
    "snapshot_bytes": "snapshot_bytes",
    "restore_seconds": "restore_seconds",
    "events": "events",
    "outputs": "outputs",
    "suppressed_outputs": "suppressed",
    "commits": "commits",
    "disturbances": "disturbances",
    "ticks": "ticks",
}
