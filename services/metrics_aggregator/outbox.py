"""Outputs of the first stage: late samples for readers; partials, marks, rules for the second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from services.metrics_aggregator.domain.partials import (
    Row,
    encoded_mark,
    encoded_partials,
    encoded_rules,
    merge_partition,
)
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.topology import LATE_PREFIX, PARTIALS_KEPT, merge_subject
from shared.contracts import headers
from shared.contracts.telemetry import metric_tokens
from shared.log_stream.fold import Output

_KEPT: Final = {headers.TTL: PARTIALS_KEPT}


class Outbox:
    """Gathers what one event emits on one partition; `merges`: partitions of the second stage."""

    __slots__ = ("_merges", "_partition", "outputs")

    def __init__(self, partition: int, merges: int) -> None:
        self._partition = partition
        self._merges = merges
        self.outputs: list[Output] = []

    def partials(self, rule: Rule, name: str, tag_ms: int, rows: Iterable[Row]) -> None:
        """Hand partial results over, each to where its group is merged."""
        sorted_rows: dict[int, list[Row]] = {}
        for row in rows:
            sorted_rows.setdefault(merge_partition(row[0], self._merges), []).append(row)
        for merge in sorted(sorted_rows):
            for body in encoded_partials(rule, name, tag_ms, sorted_rows[merge]):
                self._tell(merge, "part", body)

    def mark(self, source: str, watermark_ms: int) -> None:
        """Say everywhere how far time has come here."""
        for merge in range(self._merges):
            self._tell(merge, "mark", encoded_mark(source, watermark_ms), source)

    def rules(self, rules: tuple[Rule, ...]) -> None:
        """Say everywhere which rules are in force here."""
        for merge in range(self._merges):
            self._tell(merge, "rules", encoded_rules(rules))

    def late(self, sample: Sample) -> None:
        """Put a sample out that no window takes."""
        name = sample.series.name
        body = {
            "name": name,
            "value": sample.value,
            "labels": dict(sample.series.labels),
            "time": sample.time_ms / 1000,
        }
        subject = f"{LATE_PREFIX}.{metric_tokens(name)}"
        self.outputs.append(Output(subject, msgspec.json.encode(body)))

    def _tell(self, merge: int, kind: str, body: bytes, source: str = "") -> None:
        subject = merge_subject(merge, kind, self._partition, source)
        self.outputs.append(Output(subject, body, _KEPT))
