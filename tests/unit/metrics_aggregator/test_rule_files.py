"""Laws of rule files as texts: rendered and parsed again, and whatever else may be in them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.domain.rule_file import parse_rules, render_rules
from tests.unit.metrics_aggregator.rule_samples import EVERYTHING, PARSED, refusal, rule


def test_every_option_parses_to_its_value() -> None:
    assert parse_rules(EVERYTHING) == PARSED


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "~", "---\n"])
def test_a_file_without_rules_has_none(text: str) -> None:
    assert parse_rules(text) == ()


def test_rules_share_options_by_anchors_and_merge_keys() -> None:
    first, second = parse_rules("""
- &minute {interval: 1m, outputs: &both [min, max], by: [a]}
- {<<: *minute, interval: 2m, outputs: *both}
""")
    assert (first.interval.text, second.interval.text) == ("1m", "2m")
    assert first.outputs == second.outputs == ("min", "max")
    assert second.by == ("a",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foobar", "must be a list"),
        ("interval: 1m", "must be a list"),
        ("- foobar", "rule 0: must be a mapping"),
        ("- [", "no YAML"),
        ("--- a\n--- b", "no YAML"),
        ("- {interval: 1m, by: [a], by: [b]}", "line 1: 'by' is given twice"),
        ("- {from: {name: a,\n  name: b}}", "line 2: 'name' is given twice"),
        ("- {? [a] : b}", "a key must be text"),
        ("- {interval: '%{INTERVAL}'}", "environment variables are not filled in"),
        (r'- {name: "\x25{A}"}', "environment variables are not filled in"),
        (r'- {by: ["\ud800"]}', "no YAML"),
        ("- !!python/object/apply:os.getcwd []", "no YAML"),
        ("- !!bool x", "no YAML"),
        ("- !!timestamp x", "no YAML"),
        ("- !!map [a]", "no YAML"),
        ("- 2026-13-45", "no YAML"),
        ("- 0x" + "f" * 5_000, "a number of more than"),
        ("- 1" + ":00" * 300 + ".5", "a number of more than"),
        ("- &a [*a]", "an alias that contains itself"),
        ("- {regex: &a [*a]}", "an alias that contains itself"),
        ("- &a [" + "x," * 1_000 + "]\n- [" + "*a," * 600 + "]", "its aliases filled in"),
        ("[" * 400, "no YAML"),
        ("- " + "[" * 40 + "]" * 40, "levels deep"),
        ("\x00", "no YAML"),
        ("[" + "a," * 1_001 + "]", "at most 1000 rules"),
        ("#" * 1_000_001, "more than 1000000 characters"),
    ],
)
def test_what_is_no_rule_file_is_refused(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize("nested", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_cannot_multiply_a_small_text_into_a_large_value(nested: str) -> None:
    bomb = "- &a0 {a: x}\n" + "".join(
        f"- &a{level} {nested.format(','.join([f'*a{level - 1}'] * 9))}\n" for level in range(1, 30)
    )
    assert "its aliases filled in" in refusal(bomb)


def test_whatever_the_text_a_rule_file_parses_or_is_refused() -> None:
    chance = random.Random(3)
    pieces = [*EVERYTHING.split(), *"[]{}:,&*!|>%@#'\"-\n", "\n- ", ": ", "<<: ", "&a ", "*a", "~"]
    pieces += ["!!set ", "!!binary ", "1e999", "-1", "0x1f", "\t", "\u2028", "\ud800", "2026-01-01"]
    sources = ["- {interval: 1m, by: [a], outputs: [avg]}", *EVERYTHING.split("\n- id: ")[1:]]
    sources = [text if text[0] == "-" else f"- id: {text}" for text in sources]
    refused = 0
    for _ in range(300):
        text = chance.choice(sources)
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(pieces) + text[at + chance.randrange(6) :]
        try:
            parse_rules(text)
        except RuleError:
            refused += 1
    assert 0 < refused < 300


names = st.text(st.characters(codec="utf-8", exclude_characters="%"), min_size=1, max_size=5)
spans = st.sampled_from(["1m", "60s", "1.5h", "1h30m", "2d"])
steps = st.one_of(
    st.fixed_dictionaries({"target_label": names, "replacement": names}, optional={"if": names}),
    st.fixed_dictionaries({"action": st.just("labeldrop"), "regex": names | st.lists(names)}),
)
options = st.fixed_dictionaries(
    {"interval": spans, "outputs": st.sampled_from([["avg"], ["min", "quantiles(0.5,1)"]])},
    optional={
        "name": names,
        "by": st.lists(names),
        "match": st.sampled_from(["a", ["a", '{b=~"c|d"}'], []]),
        "grace": spans | st.just("0"),
        "allowed_lateness": spans,
        "drop_input_labels": st.lists(names),
        "input_relabel_configs": st.lists(steps, max_size=2),
        "ignore_first_intervals": st.integers(0, 9),
        "from": st.fixed_dictionaries({"stream": st.just("A"), "name": st.just("m")}),
    },
)


@settings(max_examples=12, deadline=None)
@given(st.lists(options, max_size=2))
@example([rule(name="\x85")])  # a line break to YAML
def test_a_rendered_file_parses_to_the_same_rules(given_rules: list[Any]) -> None:
    try:
        rules = parse_rules(json.dumps(given_rules))
    except RuleError:
        return  # a regex or selector of chance that is none
    assert parse_rules(render_rules(rules)) == rules


def test_every_option_survives_rendering() -> None:
    assert parse_rules(render_rules(PARSED)) == PARSED
