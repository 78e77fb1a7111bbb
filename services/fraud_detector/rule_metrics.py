"""What Prometheus sees of the rules: alert load, precision and recall over the last 30 days.

Each member shows the partitions that it owns. Precision and recall of a rule over all members
follow from the counts: `sum(confirmed) / (sum(confirmed) + sum(refuted))`, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from services.fraud_detector.fold import FraudFold
from shared.log_stream.member import Member

_LABELS: Final = ("group", "partition", "rule")
_COUNTS: Final = {
    "alerts": "Alerts of the last 30 days of event time",
    "confirmed": "Of these, payments labelled as fraud",
    "refuted": "Of these, payments labelled as no fraud, or not labelled within 7 days",
    "frauds": "Payments labelled as fraud in the last 30 days, alerted or not",
}
_SHARES: Final = {
    "precision": "Share of the rule's known alerts that were fraud, in this partition",
    "recall": "Share of labelled frauds that the rule alerted, in this partition",
}


class RuleCollector:
    """Reads how good the rules are, where partitions are owned here."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        families = {
            name: GaugeMetricFamily(f"headrace_fraud_rule_{name}", words, labels=_LABELS)
            for name, words in {**_COUNTS, **_SHARES}.items()
        }
        for member in self._members:
            for number, partition in list(member.partitions.items()):
                fold = partition.fold
                if not isinstance(fold, FraudFold):
                    continue
                for rule_id, quality in fold.quality.rules().items():
                    labels = [member.group, str(number), rule_id]
                    for name, family in families.items():
                        value = getattr(quality, name)
                        if value is not None:
                            family.add_metric(labels, value)
        yield from families.values()
