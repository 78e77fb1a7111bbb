"""Laws of routing: which rule takes a series, into which group, and how its results are named."""

from __future__ import annotations

import pytest

from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.closing import Window
from services.metrics_aggregator.domain.finishing import Finishing
from services.metrics_aggregator.domain.routing import Route, Router
from services.metrics_aggregator.domain.rule_file import parse_rules
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.selectors import NAME
from services.metrics_aggregator.domain.series import labels_of_key, series_of

SERIES = series_of("foo", {"app": "bar", "instance": "host1", "job": "web"}.items())
BARE = series_of("foo", ())


def rule_of(options: str) -> Rule:
    (rule,) = parse_rules(f"- {{interval: 1m, outputs: [max], {options}}}")
    return rule


def shown(labels: dict[str, str]) -> str:
    inner = ",".join(f"{label}={value}" for label, value in sorted(labels.items()) if label != NAME)
    return labels.get(NAME, "") + (f"{{{inner}}}" if inner else "")


def results(rule: Rule, key: str) -> list[str]:
    """Return the names and labels of what a rule says of one sample in the group."""
    aggregate = RuleAggregate(rule)
    value = (1, 1.0, 7) if aggregate.pointed else 1.0
    state = aggregate.add(aggregate.new(), value)
    found = Finishing(rule).results(Window(key, 0, 60_000, 0, final=True), aggregate.slots(state))
    return [shown({NAME: result.metric, **result.labels}) for result in found]


@pytest.mark.parametrize(
    ("options", "group", "result"),
    [
        # each series for itself, by default
        ("", "foo{app=bar,instance=host1,job=web}", "foo:1m_max{app=bar,instance=host1,job=web}"),
        ("by: [app]", "foo{app=bar}", "foo:1m_by_app_max{app=bar}"),
        ("by: [job, app, job]", "foo{app=bar,job=web}", "foo:1m_by_app_job_max{app=bar,job=web}"),
        ("by: [none]", "foo", "foo:1m_by_none_max"),
        ("by: [__name__]", "foo", "foo:1m_max"),
        ("by: [__name__, app]", "foo{app=bar}", "foo:1m_by_app_max{app=bar}"),
        (
            "without: [instance]",
            "foo{app=bar,job=web}",
            "foo:1m_without_instance_max{app=bar,job=web}",
        ),
        ("without: [job, instance, app]", "foo", "foo:1m_without_app_instance_job_max"),
        (
            "without: [__name__, job, app]",
            "{instance=host1}",
            ":1m_without_app_job_max{instance=host1}",
        ),
        ("without: [__name__, job, app, instance]", "", ":1m_without_app_instance_job_max"),
        ("by: [app], keep_metric_names: true", "foo{app=bar}", "foo{app=bar}"),
        ("drop_input_labels: [app, job]", "foo{instance=host1}", "foo:1m_max{instance=host1}"),
        ("drop_input_labels: [app], by: [app]", "foo", "foo:1m_by_app_max"),
        # matched, then dropped, then relabeled, then grouped
        (
            """match: '{app="bar"}', by: [app], drop_input_labels: [app],
            input_relabel_configs: [{source_labels: [app, job], target_label: app}]""",
            "foo{app=;web}",
            "foo:1m_by_app_max{app=;web}",
        ),
        (
            "input_relabel_configs: [{target_label: __name__, replacement: all}], by: [job]",
            "all{job=web}",
            "all:1m_by_job_max{job=web}",
        ),
        (
            """by: [app], output_relabel_configs: [{action: replace_all, source_labels: [__name__],
            regex: ':|_', replacement: '-', target_label: __name__}]""",
            "foo{app=bar}",
            "foo-1m-by-app-max{app=bar}",
        ),
    ],
)
def test_a_series_goes_to_its_group_and_results_are_named_as_victoriametrics_does(
    options: str, group: str, result: str
) -> None:
    rule = rule_of(options)
    (route,) = Router([rule]).routes(SERIES)
    assert shown(labels_of_key(route.key)) == group
    assert results(rule, route.key) == [result]


def test_a_session_is_named_by_its_gap() -> None:
    (rule,) = parse_rules("- {window: session, gap: 5m, by: [app], outputs: [max]}")
    (route,) = Router([rule]).routes(SERIES)
    assert results(rule, route.key) == ["foo:5m_by_app_max{app=bar}"]


def test_results_come_in_the_order_of_the_outputs() -> None:
    (rule,) = parse_rules('- {interval: 90s, outputs: ["quantiles(0.5, 1, 0)", last, avg]}')
    (route,) = Router([rule]).routes(BARE)
    assert results(rule, route.key) == [
        "foo:90s_quantiles{quantile=0.5}",
        "foo:90s_quantiles{quantile=1}",
        "foo:90s_quantiles{quantile=0}",
        "foo:90s_last",
        "foo:90s_avg",
    ]


def test_results_that_output_relabeling_drops_are_not_there() -> None:
    rule = rule_of("output_relabel_configs: [{action: drop, source_labels: [app], regex: bar}]")
    (route,) = Router([rule]).routes(SERIES)
    assert results(rule, route.key) == []


@pytest.mark.parametrize(
    "options",
    [
        "match: bar",
        "match: [bar, '{app=\"foo\"}']",
        "match: '{none!=\"\"}'",
        "input_relabel_configs: [{action: drop, if: foo}]",
        "drop_input_labels: [__name__, app, instance, job]",
    ],
)
def test_a_series_that_a_rule_does_not_take_has_no_route(options: str) -> None:
    assert Router([rule_of(options)]).routes(SERIES) == ()


def test_a_rule_with_several_selectors_takes_what_any_of_them_takes() -> None:
    router = Router([rule_of("match: [bar, '{job=~\"w.+\"}']")])
    assert len(router.routes(SERIES)) == 1
    assert router.routes(BARE) == ()


def test_a_series_goes_once_to_each_rule_that_takes_it_in_the_order_of_the_file() -> None:
    rules = [rule_of("match: foo"), rule_of("match: bar"), rule_of("id: all, by: [job]")]
    routes = Router(rules).routes(SERIES)
    assert [(route.rule, shown(labels_of_key(route.key))) for route in routes] == [
        (0, "foo{app=bar,instance=host1,job=web}"),
        (2, "foo{job=web}"),
    ]


def test_members_tell_apart_series_as_relabeled_and_only_where_an_output_asks() -> None:
    other = series_of("foo", {"app": "bar", "instance": "host2", "job": "web"}.items())
    (counting,) = parse_rules("- {interval: 1m, by: [app], outputs: [count_series]}")
    (dropping,) = parse_rules(
        "- {interval: 1m, by: [app], outputs: [count_series], drop_input_labels: [instance]}"
    )
    routes = [
        [Router([rule]).routes(series)[0] for series in (SERIES, other)]
        for rule in (counting, dropping, rule_of("by: [app]"))
    ]
    assert [len({route.key for route in pair}) for pair in routes] == [1, 1, 1]
    assert [len({route.member for route in pair}) for pair in routes] == [2, 1, 1]
    assert routes[2][0].member == 0


@pytest.mark.parametrize("limit", [1, 3, 1_000])
def test_each_series_has_its_own_answer_however_many_are_kept(limit: int) -> None:
    rules = [rule_of("match: '{host=~\"h[0-4]\"}'")]
    many = [series_of("foo", [("host", f"h{number % 9}")]) for number in range(40)]
    router = Router(rules, limit)
    for series in many:
        taken = series.labels[0][1] <= "h4"
        assert router.routes(series) == ((Route(0, series.key, 0),) if taken else ())
