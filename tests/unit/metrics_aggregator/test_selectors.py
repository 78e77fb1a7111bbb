"""Laws of series selectors and of the regular expressions in them."""

from __future__ import annotations

import itertools

import pytest

from services.metrics_aggregator.domain.patterns import Pattern
from services.metrics_aggregator.domain.selectors import NAME, Filter, Operator, Selector

Labels = dict[str, str]
CPU: Labels = {NAME: "cpu", "host": "a", "mode": "idle"}


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("cpu", True),
        ("cp", False),
        ("cpu2", False),
        ("cpu{}", True),
        ("{}", True),
        ('{__name__="cpu"}', True),
        ('{__name__!="cpu"}', False),
        ('{__name__=~"mem|cpu"}', True),
        ('{__name__!~"c.+"}', False),
        ('{"cpu"}', True),
        ('{"cpu", host="b"}', False),
        ('cpu{host="a"}', True),
        ('mem{host="a"}', False),
        ("cpu{host='a'}", True),
        ("cpu{host=`a`}", True),
        ('{"host"="a"}', True),
        ('cpu{host="a",mode="idle"}', True),
        ('cpu{host="a",mode="user"}', False),
        (' cpu { host = "a" , } ', True),
        ('cpu{\n  host="b" or\n  mode="idle"\n}', True),
        ('{host="b" or mode="user"}', False),
        ('{host="a",mode="user" or host="b",mode="idle"}', False),
        ('mem{host="b" or mode="idle"}', False),  # the name holds for each group
        ('{or="" or or="x"}', True),
        # both sides of a regex are anchored, alternatives too
        ('{mode=~"id"}', False),
        ('{mode=~"dle"}', False),
        ('{mode=~"id.*"}', True),
        ('{mode=~"id|le"}', False),
        ('{mode=~"^idle$"}', True),
        ('{mode!~"id"}', True),
        ('{mode!~"i.+"}', False),
        # a label that is missing is one that is empty
        ('{zone=""}', True),
        ('{zone!=""}', False),
        ('{zone=~".*"}', True),
        ('{zone=~".+"}', False),
        ('{zone!~".+"}', True),
        ('{zone=~"x|"}', True),
        ('{zone!~"x|"}', False),
        ('{zone!="x"}', True),
        ('{host=""}', False),
        ('{host!=""}', True),
    ],
)
def test_a_selector_takes_the_series_it_describes(text: str, *, matched: bool) -> None:
    assert Selector(text).matches(CPU) is matched


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("node.cpu:rate", {NAME: "node.cpu:rate"}),
        (r"cpu\ load", {NAME: "cpu load"}),
        ('{"cpu load", "host name"="a"}', {NAME: "cpu load", "host name": "a"}),
        (r'{a="q\"\\\n\x41\u0042\101"}', {"a": 'q"\\\nABA'}),
        (r"{a='\''}", {"a": "'"}),
        (r"{a=`\d`}", {"a": r"\d"}),
        (r'{a=~"\\d+"}', {"a": "42"}),
        ("größe", {NAME: "größe"}),
        ('{a=~"x.y"}', {"a": "x\ny"}),  # as in VictoriaMetrics a dot is any character
    ],
)
def test_names_and_values_are_unescaped(text: str, labels: Labels) -> None:
    assert Selector(text).matches(labels)
    assert not Selector(text).matches({"b": "c"})


NONE = [
    *("", "{", "}", "{foo", "foo{", "foo{bar", "foo{bar}", "foo{bar=", 'foo{bar="', "foo{bar='"),
    *('foo{bar=="b"}', "foo{bar==aaa}", "foo+bar", "{x:y}", "[1]", "foo bar", "1foo", "foo}"),
    *('foo{bar="a" or}', '{or bar="a"}', '{a="b" c="d"}', '{a="b",,}', '{a="b"}x', '{a=~"("}'),
    *('{a!~"["}', r'{a=~"(?=b)"}', r'{a=~"\\1(b)"}', r'{a="\d"}', r'{a="\ud800"}'),
    *(r'{a="\U00110000"}', f'{{a=~"{"b" * 5000}"}}', '{a=~"(b{1000}){1000}"}'),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_selector_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"selector|regex|chr"):
        Selector(text)


VALUES = ["", "a", "b", "ab", "a.b"]
SERIES: list[Labels] = [
    {label: value for label, value in [("x", x), ("y", y)] if value is not None}
    for x, y in itertools.product([None, *VALUES], repeat=2)
]


@pytest.mark.parametrize(("operator", "negation"), [("=", "!="), ("=~", "!~")])
def test_a_negated_filter_takes_what_the_filter_leaves(
    operator: Operator, negation: Operator
) -> None:
    for label, value in itertools.product(["x", "y"], VALUES):
        takes, leaves = Filter(label, operator, value), Filter(label, negation, value)
        assert all(takes.matches(labels) is not leaves.matches(labels) for labels in SERIES)


@pytest.mark.parametrize("text", ['x="a"', 'y=~"a.*"', 'x!=""', 'y!~".+"', 'x=~"b|",y!="a"'])
def test_an_empty_label_is_a_missing_one(text: str) -> None:
    selector = Selector(f"{{{text}}}")
    for labels in SERIES:
        filled = {label: value for label, value in labels.items() if value}
        assert selector.matches(labels) is selector.matches(filled)


def test_a_hostile_value_takes_linear_time() -> None:
    assert not Pattern("(a*)*b").matches("a" * 20_000)


@pytest.mark.parametrize(
    ("regex", "value", "template", "expanded"),
    [
        ("(.*)", "ab", "$1", "ab"),
        ("(a)(b)", "ab", "$2-${1}x", "b-ax"),
        ("(?P<first>a)b", "ab", "${first}$first", "aa"),
        ("(a)b", "ab", "$1x", ""),  # Go reads a name as long as it can
        ("(a)b", "ab", "$2$nobody", ""),
        ("(a)|b", "b", "<$1>", "<>"),
        ("a", "a", "$$1", "$1"),
        ("a", "a", "$", "$"),
        ("a", "ab", "x", None),
    ],
)
def test_a_template_is_filled_as_go_does(
    regex: str, value: str, template: str, expanded: str | None
) -> None:
    assert Pattern(regex).expand(value, template) == expanded
