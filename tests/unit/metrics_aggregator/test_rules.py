"""Laws of rules: their defaults, their outputs, what is refused and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services import metrics_aggregator
from services.metrics_aggregator.domain.outputs import OUTPUTS
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Rule, Tumbling
from services.metrics_aggregator.domain.selectors import NAME
from tests.unit.metrics_aggregator.rule_samples import MINUTE, refusal, rule

DEMO = Path(metrics_aggregator.__file__).with_name("rules") / "demo.yaml"


def parsed(**options: Any) -> Rule:
    (one,) = parse_rules(json.dumps([rule(**options)]))
    return one


def test_defaults_are_those_of_victoriametrics() -> None:
    assert parsed() == Rule(id="0", interval=MINUTE, outputs=("avg",))
    assert parsed().window == Tumbling()
    assert parsed().source.stream == "TELEMETRY"
    assert parsed(staleness_interval="5m").ignore_first_sample_ms == 300_000
    assert parsed().staleness_ms == 120_000


def test_the_demo_rules_parse() -> None:
    assert [one.id for one in parse_rules(DEMO.read_text())] == [
        "latency",
        "latency-hopping",
        "counters",
        "visits",
        "revenue",
    ]


NAMED = {
    *("avg", "count_samples", "count_series", "histogram_bucket", "increase", "last", "max"),
    *("increase_prometheus", "min", "rate_avg", "rate_sum", "stddev", "stdvar", "sum_samples"),
    *("sum_samples_total", "total", "total_prometheus", "unique_samples"),
}


def test_the_outputs_are_those_of_the_issue() -> None:
    assert NAMED == OUTPUTS


@pytest.mark.parametrize("output", [*sorted(NAMED), "quantiles(0.5)", "quantiles(0,0.9, 1)"])
def test_every_output_parses(output: str) -> None:
    assert parsed(outputs=[output]).outputs == (output,)


STEP = {"target_label": "a"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"foobar": "baz"}, "foobar: is no option"),
        ({"no_align_flush_to_interval": True}, "no_align_flush_to_interval: not done here"),
        ({"flush_on_shutdown": True}, "flush_on_shutdown: not done here"),
        ({"enable_windows": False}, "enable_windows: not done here"),
        ({"interval": None}, "interval: is missing"),
        ({"outputs": None}, "outputs: is missing"),
        ({"outputs": []}, "outputs: must name at least one"),
        ({"outputs": "avg"}, "outputs: must be a list"),
        ({"outputs": ["foobar"]}, "outputs: 'foobar' is no output"),
        ({"outputs": ["avg", "avg"]}, "outputs: avg is named twice"),
        ({"outputs": ["quantiles(0.1)", "quantiles(0.2)"]}, "outputs: quantiles is named twice"),
        ({"outputs": ["quantiles"]}, "outputs: quantiles needs arguments"),
        ({"outputs": ["quantiles("]}, "outputs: 'quantiles(' lacks"),
        ({"outputs": ["quantiles()"]}, "outputs: 'quantiles()': '' is no number"),
        ({"outputs": ["quantiles(foo)"]}, "outputs: 'quantiles(foo)': 'foo' is no number"),
        ({"outputs": ["quantiles(-0.5)"]}, "-0.5 is not between 0 and 1"),
        ({"outputs": ["quantiles(1.5)"]}, "1.5 is not between 0 and 1"),
        ({"outputs": ["quantiles(nan)"]}, "nan is not between 0 and 1"),
        ({"outputs": ["quantiles(0.5, 0.50)"]}, "names a quantile twice"),
        ({"interval": 60}, "interval: must be a duration"),
        ({"interval": "-5m"}, "interval: '-5m' is no duration"),
        ({"interval": "10ms"}, "interval: 10ms is less than 1s"),
        ({"dedup_interval": "35s"}, "dedup_interval: the interval, 1m, is no multiple"),
        ({"dedup_interval": "1h"}, "dedup_interval: 1h is more than the interval"),
        ({"staleness_interval": "59s"}, "staleness_interval: 59s is less than the interval"),
        ({"by": ["a"], "without": ["b"]}, "without: cannot be combined with by"),
        ({"by": "a"}, "by: must be a list"),
        ({"by": [True]}, "by: must be text, not True"),
        ({"keep_metric_names": "yes"}, "keep_metric_names: must be true or false"),
        ({"keep_metric_names": True, "outputs": ["min", "max"]}, "keep_metric_names: needs a"),
        ({"keep_metric_names": True, "outputs": ["histogram_bucket"]}, "makes several series"),
        ({"keep_metric_names": True, "outputs": ["quantiles(0, 1)"]}, "makes several series"),
        ({"ignore_first_intervals": -1}, "ignore_first_intervals: must be a whole number"),
        ({"ignore_first_intervals": True}, "ignore_first_intervals: must be a whole number"),
        ({"ignore_old_samples": True, "allowed_lateness": "1s"}, "ignore_old_samples: contradicts"),
        ({"match": 'a{b="c"'}, "match: selector"),
        ({"match": '{a=~"["}'}, "match: regex '[':"),
        ({"match": {"a": "b"}}, "match: must be a list"),
        ({"id": "a.b"}, "id: 'a.b' must be"),
        ({"window": "sliding"}, "window: must be tumbling, hopping or session"),
        ({"window": ["session"]}, "window: must be tumbling, hopping or session"),
        ({"window": "hopping"}, "every: is missing"),
        ({"window": "hopping", "every": "2m"}, "every: 2m must be above 0 and at most"),
        ({"window": "hopping", "every": "0"}, "every: 0 must be above 0"),
        ({"window": "hopping", "every": "1ms"}, "every: each sample would be in more than"),
        ({"window": "hopping", "every": "1s", "outputs": ["total"]}, "window: output total"),
        ({"every": "1s"}, "every: is for window hopping"),
        ({"gap": "1s"}, "gap: is for window session"),
        ({"window": "session", "interval": None}, "gap: is missing"),
        ({"window": "session", "gap": "5m"}, "interval: a session has none"),
        ({"allowed_lateness": "1m", "outputs": ["increase"]}, "allowed_lateness: output increase"),
        ({"from": "INVOICES"}, "from: must be TELEMETRY or a mapping"),
        ({"from": {"stream": "INVOICES"}}, "from: needs the stream of another log, and name"),
        ({"from": {"stream": "A.B", "name": "a"}}, "from: needs the stream of another log"),
        ({"from": {"stream": "A", "name": "a", "values": "b"}}, "from: 'values' is no option"),
        ({"from": {"stream": "A", "name": "a", "value": ".b"}}, "from: '.b' is no path"),
        ({"from": {"stream": "A", "name": "a", "value": "9" * 5_000}}, "is no path"),
        ({"from": {"stream": "A", "name": "a", "subject": "b..c"}}, "'b..c' is no subject"),
        ({"from": {"stream": "A", "name": "a", "subject": "b.>.c"}}, "'b.>.c' is no subject"),
        ({"from": {"stream": "A", "name": "a\n"}}, "is no metric name"),
        ({"from": {"stream": "A", "name": "a", "labels": {NAME: "b"}}}, "from: its series: label"),
        ({"from": {"stream": "A", "name": "a", "labels": {"b": 1}}}, "from: must be text, not 1"),
        ({"input_relabel_configs": STEP}, "input_relabel_configs: must be a list"),
        ({"input_relabel_configs": [STEP, {"foo": "bar"}]}, "[1]: 'foo' is no option"),
        ({"input_relabel_configs": [{"action": "replace"}]}, "[0]: action replace needs target"),
        ({"output_relabel_configs": [{"action": "replace"}]}, "output_relabel_configs: [0]"),
        ({"input_relabel_configs": [STEP | {"regex": "("}]}, "[0]: regex '(':"),
        ({"input_relabel_configs": [STEP | {"regex": {"a": 1}}]}, "[0]: regex must be text"),
        ({"input_relabel_configs": [STEP | {"if": "{"}]}, "[0]: selector '{'"),
        ({"input_relabel_configs": [{"action": "graphite"}]}, "[0]: action graphite is not done"),
        ({"input_relabel_configs": [{"action": "explode"}]}, "[0]: 'explode' is no action"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_option(
    options: dict[str, Any], words: str
) -> None:
    assert words in refusal(json.dumps([rule(**options)]))


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ([rule(foobar=1)], "rule 0: "),
        ([rule(), rule(interval="1")], "rule 1: "),
        ([rule(), rule(id="mine", outputs=["foo"])], "rule 'mine': "),
        ([rule(), rule(outputs=["foo"], id="mine")], "rule 'mine': "),
        ([rule(id="mine", by=["a"], without=["b"])], "rule 'mine': "),
        ([rule(), rule(id=7)], "rule 1: id: "),
        ([rule(), "foobar"], "rule 1: "),
    ],
)
def test_a_refusal_begins_with_the_id_or_the_position_of_the_rule(
    rules: list[Any], place: str
) -> None:
    assert refusal(json.dumps(rules)).startswith(place)


@pytest.mark.parametrize(
    "rules",
    [[rule(id="a"), rule(id="a")], [rule(id="1"), rule()], [rule(id="b"), rule(), rule(id="1")]],
)
def test_ids_are_unique_also_against_positions(rules: list[Any]) -> None:
    assert "is that of another rule" in refusal(json.dumps(rules))
