"""Rules for tests: one file with every option, what it parses to, and small ones."""

from __future__ import annotations

from typing import Any

import pytest

from services.metrics_aggregator.domain.durations import duration
from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.domain.relabeling import Relabel
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Hopping, Rule, Session, Source

# One rule of each kind, with every option that VictoriaMetrics documents and all our own.
EVERYTHING = r"""
# as VictoriaMetrics' reference spells it: a list, comments, options left out or null
- name: slow requests
  match: 'request_seconds_bucket{env=~"prod|staging"}'
  interval: 1m
  dedup_interval: 30s
  enable_windows: true
  staleness_interval: 2m
  ignore_first_sample_interval: 3m
  no_align_flush_to_interval: false
  flush_on_shutdown: false
  without: [pod, instance]
  by:
  outputs: [total]
  keep_metric_names: true
  ignore_old_samples: true
  ignore_first_intervals: 2
  drop_input_labels: [zone, replica]
  input_relabel_configs:
  - target_label: stage
    replacement: before
  - action: keep
    if: 'up{job="a"}'
    source_labels: [job, env]
    separator: /
    regex: [a/.+, b, 5, true]
  output_relabel_configs:
  - {action: HashMod, source_labels: [a], target_label: shard, modulus: 8}
- id: hops
  match: [a, '{b!~"c"}']
  interval: 1h30m
  window: hopping
  every: 10m
  grace: 5s
  allowed_lateness: 1d
  by: [z, a, z]
  outputs: ["quantiles(0, 0.5, 1)", count_series]
- id: visits
  window: session
  gap: 5m
  outputs: [count_samples]
- id: revenue
  from: {stream: INVOICES, subject: invoices.issued.>, name: revenue, value: totals.gross,
         time: issued_at, labels: {currency: currency, category: .category}, each: vat}
  interval: 1m
  outputs: [sum_samples]
"""

MINUTE = duration("1m")
PARSED = (
    Rule(
        id="0",
        name="slow requests",
        match=('request_seconds_bucket{env=~"prod|staging"}',),
        interval=MINUTE,
        dedup_interval=duration("30s"),
        staleness_interval=duration("2m"),
        ignore_first_sample_interval=duration("3m"),
        without=("instance", "pod"),
        outputs=("total",),
        keep_metric_names=True,
        ignore_old_samples=True,
        ignore_first_intervals=2,
        drop_input_labels=("replica", "zone"),
        input_relabel_configs=(
            Relabel(target_label="stage", replacement="before"),
            Relabel(
                action="keep",
                only_if=('up{job="a"}',),
                source_labels=("job", "env"),
                separator="/",
                regex="a/.+|b|5|true",
            ),
        ),
        output_relabel_configs=(
            Relabel(action="hashmod", source_labels=("a",), target_label="shard", modulus=8),
        ),
    ),
    Rule(
        id="hops",
        match=("a", '{b!~"c"}'),
        interval=duration("1h30m"),
        window=Hopping(duration("10m")),
        grace=duration("5s"),
        allowed_lateness=duration("1d"),
        by=("a", "z"),
        outputs=("quantiles(0, 0.5, 1)", "count_series"),
    ),
    Rule(
        id="visits",
        interval=duration("5m"),
        window=Session(duration("5m")),
        outputs=("count_samples",),
    ),
    Rule(
        id="revenue",
        source=Source(
            stream="INVOICES",
            subject="invoices.issued.>",
            name="revenue",
            value="totals.gross",
            time="issued_at",
            each="vat",
            labels=(("category", ".category"), ("currency", "currency")),
        ),
        interval=MINUTE,
        outputs=("sum_samples",),
    ),
)


def rule(**options: Any) -> dict[str, Any]:
    """Return a rule that is good but for what is given; None takes an option away."""
    whole = {"interval": "1m", "outputs": ["avg"]} | options
    return {option: value for option, value in whole.items() if value is not None}


def refusal(text: str) -> str:
    """Return why a rule file is refused."""
    with pytest.raises(RuleError) as raised:
        parse_rules(text)
    return str(raised.value)
