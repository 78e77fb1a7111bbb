"""Laws of relabeling: a table for each action, as VictoriaMetrics and Prometheus define it."""

from __future__ import annotations

import pytest
import yaml

from services.metrics_aggregator.domain.relabeling import ACTIONS, Relabeling
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.selectors import NAME

Labels = dict[str, str]

TABLE: list[tuple[str, Labels, Labels | None]] = [
    # step, labels before, labels after (None: the series is dropped)
    ("target_label: a", {"b": "x"}, {"b": "x"}),
    ("{target_label: a, replacement: y}", {"b": "x"}, {"a": "y", "b": "x"}),
    ("{source_labels: [b], target_label: a}", {"b": "x"}, {"a": "x", "b": "x"}),
    ("{source_labels: [c], target_label: b}", {"b": "x", "d": "y"}, {"d": "y"}),
    ("{source_labels: [c], target_label: b, regex: .+}", {"b": "x"}, {"b": "x"}),
    (
        '{source_labels: [b, c], target_label: a, replacement: "<$1>"}',
        {"b": "x"},
        {"a": "<x;>", "b": "x"},
    ),
    (
        "{source_labels: [b, c], separator: '', target_label: a}",
        {"b": "x", "c": "y"},
        {"a": "xy", "b": "x", "c": "y"},
    ),
    (
        "{source_labels: [b], regex: 'x(.)z', target_label: 'n_$1', replacement: '${1}!'}",
        {"b": "xyz"},
        {"b": "xyz", "n_y": "y!"},
    ),
    ("{source_labels: [b], regex: y, target_label: b, replacement: ''}", {"b": "xy"}, {"b": "xy"}),
    ("{source_labels: [b], regex: x, target_label: b, replacement: ''}", {"b": "x"}, None),
    (
        "{target_label: a, replacement: '{{__name__}}.{{b}}{{none}}'}",
        {NAME: "m", "b": "x"},
        {NAME: "m", "a": "m.x", "b": "x"},
    ),
    (
        "{source_labels: [b], regex: '(x).*', target_label: a, replacement: '{{c}}-$1'}",
        {"b": "xy", "c": "z"},
        {"a": "z-x", "b": "xy", "c": "z"},
    ),
    ("{if: '{b=\"y\"}', target_label: a, replacement: z}", {"b": "x"}, {"b": "x"}),
    (
        "{if: [m, '{b=~\".\"}'], target_label: a, replacement: z}",
        {"b": "x"},
        {"a": "z", "b": "x"},
    ),
    (
        "{action: replace_all, source_labels: [b], regex: '-', target_label: b, replacement: '.'}",
        {"b": "x-y-z"},
        {"b": "x.y.z"},
    ),
    (
        "{action: replace_all, source_labels: [b, c], regex: (;), target_label: b, replacement: +}",
        {"b": "y;y"},
        {"b": "y+y+"},
    ),
    (
        "{action: replace_all, source_labels: [b], regex: '-', target_label: a, replacement: _}",
        {"b": "x"},
        {"b": "x"},
    ),
    ("{action: keep, source_labels: [b], regex: x|y}", {"b": "y"}, {"b": "y"}),
    ("{action: keep, source_labels: [b], regex: x|y}", {"b": "xy"}, None),
    ("{action: keep, source_labels: [c], regex: .+}", {"b": "x"}, None),
    ("{action: keep, if: '{b=\"x\"}'}", {"b": "x"}, {"b": "x"}),
    ("{action: keep, if: '{b=\"x\"}'}", {"b": "y"}, None),
    ("{action: drop, source_labels: [b], regex: [x, y]}", {"b": "y"}, None),
    ("{action: drop, source_labels: [b], regex: [x, y]}", {"b": "z"}, {"b": "z"}),
    ("{action: drop, source_labels: [b, c], regex: x;y}", {"b": "x", "c": "y"}, None),
    ("{action: drop, if: '{b=\"x\"}'}", {"b": "x"}, None),
    ("{action: drop, if: '{b=\"x\"}'}", {"b": "y"}, {"b": "y"}),
    (
        "{action: keep_if_contains, target_label: t, source_labels: [b, c]}",
        {"t": "x,y,z", "b": "x", "c": "z"},
        {"t": "x,y,z", "b": "x", "c": "z"},
    ),
    (
        "{action: keep_if_contains, target_label: t, source_labels: [b, c]}",
        {"t": "x,y", "b": "x", "c": "z"},
        None,
    ),
    (
        "{action: drop_if_contains, target_label: t, source_labels: [b, c]}",
        {"t": "x,y", "b": "x", "c": "y"},
        None,
    ),
    (
        "{action: drop_if_contains, target_label: t, source_labels: [b, c]}",
        {"t": "x,y", "b": "x", "c": "z"},
        {"t": "x,y", "b": "x", "c": "z"},
    ),
    ("{action: keep_if_equal, source_labels: [b, c]}", {"b": "x", "c": "x"}, {"b": "x", "c": "x"}),
    ("{action: keep_if_equal, source_labels: [b, c]}", {"b": "x"}, None),
    ("{action: drop_if_equal, source_labels: [b, c]}", {"b": "x", "c": "x"}, None),
    ("{action: drop_if_equal, source_labels: [b, c]}", {"b": "x"}, {"b": "x"}),
    (
        "{action: keepequal, source_labels: [b], target_label: c}",
        {"b": "x", "c": "x"},
        {"b": "x", "c": "x"},
    ),
    ("{action: keepequal, source_labels: [b], target_label: c}", {"b": "x", "c": "y"}, None),
    ("{action: dropequal, source_labels: [b], target_label: c}", {"b": "x", "c": "x"}, None),
    (
        "{action: dropequal, source_labels: [b], target_label: c}",
        {"b": "x", "c": "y"},
        {"b": "x", "c": "y"},
    ),
    ("{action: keep_metrics, regex: [m, n]}", {NAME: "n"}, {NAME: "n"}),
    ("{action: keep_metrics, regex: [m, n]}", {NAME: "mn"}, None),
    ("{action: drop_metrics, regex: [m, n]}", {NAME: "n"}, None),
    ("{action: drop_metrics, regex: [m, n]}", {NAME: "o"}, {NAME: "o"}),
    ("{action: drop_metrics, if: m}", {NAME: "m"}, None),
    ("{action: keep_metrics, if: m}", {NAME: "o"}, None),
    # the numbers are those of VictoriaMetrics, which hashes with xxhash (Prometheus: MD5)
    (
        "{action: hashmod, source_labels: [b], target_label: h, modulus: 123}",
        {"b": "yyy"},
        {"b": "yyy", "h": "73"},
    ),
    (
        "{action: hashmod, source_labels: [c], target_label: h, modulus: 123}",
        {"b": "yyy"},
        {"b": "yyy", "h": "81"},
    ),
    (
        "{action: labelmap, regex: 'b(.+)'}",
        {"b": "x", "bc": "y"},
        {"b": "x", "bc": "y", "c": "y"},
    ),
    (
        "{action: labelmap, regex: b, replacement: c}",
        {"b": "x", "bb": "y"},
        {"b": "x", "bb": "y", "c": "x"},
    ),
    (
        "{action: labelmap_all, regex: '[.]', replacement: _}",
        {"b.c.d": "x", "e": "y"},
        {"b_c_d": "x", "e": "y"},
    ),
    ("{action: labeldrop, regex: b.}", {"b": "x", "bc": "y", "abc": "z"}, {"b": "x", "abc": "z"}),
    ("{action: labeldrop, regex: b}", {"b": "x"}, None),
    ("{action: labelkeep, regex: b.}", {"b": "x", "bc": "y", "abc": "z"}, {"bc": "y"}),
    (
        "{action: uppercase, source_labels: [b, c], target_label: d}",
        {"b": "x", "c": "y"},
        {"b": "x", "c": "y", "d": "X;Y"},
    ),
    ("{action: LowerCase, source_labels: [b], target_label: b}", {"b": "XyZ"}, {"b": "xyz"}),
    ("{action: lowercase, source_labels: [c], target_label: d}", {"b": "X"}, {"b": "X"}),
    # what is left out, or is null, is as by default
    (
        "{source_labels: [b], target_label: a, action: null, regex: null, if: null}",
        {"b": "x"},
        {"a": "x", "b": "x"},
    ),
]


def rule_with(*steps: str) -> Rule:
    listed = "".join(f"  - {step}\n" for step in steps)
    text = f"- interval: 1m\n  outputs: [avg]\n  input_relabel_configs:\n{listed}"
    (rule,) = parse_rules(text)
    return rule


def relabeled(labels: Labels, *steps: str) -> Labels | None:
    return Relabeling(rule_with(*steps).input_relabel_configs).apply(dict(labels))


@pytest.mark.parametrize(("step", "before", "after"), TABLE)
def test_a_step_makes_of_labels_what_its_action_says(
    step: str, before: Labels, after: Labels | None
) -> None:
    assert relabeled(before, step) == after


def test_the_table_has_every_action() -> None:
    steps = [yaml.safe_load(step) for step, _, _ in TABLE]
    assert {str(step.get("action") or "replace").lower() for step in steps} == ACTIONS


def test_steps_run_one_after_the_other_on_what_the_last_one_left() -> None:
    steps = [
        "{source_labels: [b], target_label: c, replacement: 'c-$1'}",
        "{source_labels: [c], target_label: d, replacement: 'd-$1'}",
        "{action: labeldrop, regex: c}",
    ]
    assert relabeled({"b": "x"}, *steps) == {"b": "x", "d": "d-c-x"}


def test_nothing_runs_on_a_series_once_it_is_dropped() -> None:
    steps = ["{action: drop, if: m}", "{target_label: a, replacement: back}"]
    assert relabeled({NAME: "m"}, *steps) is None


def test_labels_without_a_value_are_gone_after_the_last_step_only() -> None:
    empty = "{target_label: b, replacement: ''}"
    assert relabeled({"b": "x", "c": "y"}, empty) == {"c": "y"}
    assert relabeled({"b": "x"}, empty, "{target_label: b, replacement: z}") == {"b": "z"}


FAULTY = [
    "{action: replace, source_labels: [a]}",
    "{action: replace_all, target_label: a}",
    "{action: keep}",
    "{action: drop}",
    "{action: keep_metrics}",
    "{action: drop_metrics}",
    "{action: keep_metrics, source_labels: [a], regex: b}",
    "{action: hashmod, source_labels: [a], modulus: 1}",
    "{action: hashmod, target_label: a, modulus: 1}",
    "{action: hashmod, source_labels: [a], target_label: b}",
    "{action: hashmod, source_labels: [a], target_label: b, modulus: -1}",
    "{action: keep_if_equal, source_labels: [a]}",
    "{action: keep_if_equal, source_labels: [a, b], regex: c}",
    "{action: drop_if_equal, source_labels: [a, b], target_label: c}",
    "{action: keepequal, source_labels: [a]}",
    "{action: dropequal, source_labels: [a], target_label: b, regex: c}",
    "{action: keep_if_contains, source_labels: [a]}",
    "{action: drop_if_contains, target_label: a}",
    "{action: uppercase, target_label: a}",
    "{action: lowercase, source_labels: [a]}",
]


@pytest.mark.parametrize("step", FAULTY)
def test_a_step_that_lacks_or_has_too_much_is_refused_by_its_action(step: str) -> None:
    action = yaml.safe_load(step)["action"]
    with pytest.raises(ValueError, match=rf"^rule 0: input_relabel_configs: \[0\]: .*{action}"):
        rule_with(step)
