"""Rules are parsed strictly; what is wrong is named by its path. The examples of the docs parse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.kinds import KINDS
from services.fraud_detector.domain.refusal import RuleError
from services.fraud_detector.domain.rules import parse_rule
from services.fraud_detector.domain.starter import starter_rules
from tests.unit.fraud_detector.payment_facts import HOUR, aggregate

DOCS = Path(__file__).parents[3] / "docs" / "fraud-rules.md"
COUNT = aggregate("count", "1h", ">=", 5)


def test_the_rule_of_the_contract_is_read() -> None:
    text = """{"id": "velocity-1h", "state": "active", "group_by": ["card"],
     "where": "channel == 'ecom'", "aggregate": {"function": "count", "field": null},
     "window": "1h", "limit": {"operator": ">=", "value": 5}, "action": "review", "version": 3}"""
    got = parse_rule(text, "velocity-1h", 9)
    assert (got.id, got.state, got.group_by, got.window_ms) == (
        *("velocity-1h", "active", ("card",)),
        HOUR,
    )
    assert (got.version, got.action, str(got.limit)) == (3, "review", ">= 5")
    assert not got.uses_score


def test_what_is_left_out_has_a_default() -> None:
    got = parse_rule(json.dumps(COUNT), "r", 9)
    assert (got.id, got.state, got.group_by, got.action, got.version) == (
        *("r", "active", ("card",), "review"),
        9,
    )
    assert parse_rule(json.dumps(COUNT | {"where": "score > 0.9"}), "r", 1).uses_score


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": "other"}, "id: 'other' is not the rule's key 'r'"),
        ({"wher": "true"}, "Object contains unknown field wher"),
        ({"aggregate": {"function": "median"}}, "aggregate.function: Invalid enum value 'median'"),
        ({"aggregate": {"function": "sum"}}, "aggregate.field: sum needs amount"),
        ({"aggregate": {"function": "distinct"}}, "aggregate.field: distinct needs a field"),
        ({"aggregate": {"function": "count", "feld": 1}}, "aggregate: Object contains unknown"),
        ({"aggregate": None}, "aggregate: a rule has either an aggregate or a kind"),
        ({"kind": "first_seen"}, "aggregate: a rule has either an aggregate or a kind"),
        ({"parameters": {"a": 1}}, "parameters: are for kinds"),
        ({"window": "9s"}, "window: must be from 10s to 30d"),
        ({"window": "31d"}, "window: must be from 10s to 30d"),
        ({"window": "1 h"}, "window: '1 h' is no span of time"),
        ({"window": None}, "window: is missing"),
        ({"limit": None}, "limit: is missing"),
        ({"limit": {"operator": "=>", "value": 1}}, "limit.operator: Invalid enum value '=>'"),
        ({"limit": {"operator": ">", "value": "NaN"}}, "limit.value: must be at least 0"),
        ({"limit": {"operator": ">", "value": -1}}, "limit.value: must be at least 0"),
        ({"limit": {"operator": ">", "value": "0.0000001"}}, "limit.value: must be at least 0"),
        ({"where": "amont > 1"}, "where: column 1: expected one of amount"),
        ({"where": "card == '4111111111111111'"}, "where: holds a card number"),
        ({"group_by": []}, "group_by: must name one or more fields"),
        ({"group_by": ["card", "card"]}, "group_by: must name one or more fields, each once"),
        ({"group_by": ["kard"]}, "group_by[0]: Invalid enum value 'kard'"),
        ({"state": "on"}, "state: Invalid enum value 'on'"),
        ({"action": "two words"}, "action: 'two words' is no word"),
        ({"version": -1}, "version: must not be negative"),
        ({"action": "x" * 8_000}, "is longer than 8000 bytes"),
    ],
)
def test_a_wrong_rule_is_refused_by_the_path_of_the_fault(change: Any, error: str) -> None:
    text = {name: value for name, value in (COUNT | change).items() if value is not None}
    with pytest.raises(RuleError) as caught:
        parse_rule(json.dumps(text), "r", 1)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("kind", "parameters", "error"),
    [
        ("travel", {}, "kind: 'travel' is none of impossible_travel, "),
        ("first_seen", {"feld": 1}, "parameters: Object contains unknown field feld"),
        ("first_seen", {"field": "amount"}, "parameters.field: Invalid enum value 'amount'"),
        ("first_seen", {"memory": "401d"}, "parameters.memory: must be from 10s to 400d"),
        ("impossible_travel", {"speed_kmh": -1}, "parameters.speed_kmh: must be at least 0"),
        ("small_then_large", {"large_amount": 1}, "parameters.large_amount: must be above small"),
        ("declines_then_approval", {"declines": 0}, "parameters.declines: must be from 1 to 1000"),
        ("amount_deviation", {"least": 1}, "parameters.least: must be from 2 to 1000"),
        ("dormant_then_active", {"memory": "29d"}, "parameters.memory: must be longer than"),
    ],
)
def test_wrong_parameters_are_refused_by_their_path(
    kind: str, parameters: dict[str, object], error: str
) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(json.dumps({"kind": kind, "parameters": parameters}), "r", 1)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize("key", ["", "a.b", "x" * 65, "4111111111111111"])
def test_a_rules_id_is_a_token(key: str) -> None:
    with pytest.raises(RuleError, match="id: "):
        parse_rule(json.dumps(COUNT), key, 1)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_needs_no_parameters_and_tells_how_far_back_it_looks(kind: str) -> None:
    got = parse_rule(json.dumps({"kind": kind}), "r", 1)
    assert 0 < got.memory_ms <= 400 * 24 * HOUR
    assert Board([got]).use([got]) == []


def test_a_definition_is_what_the_state_depends_on() -> None:
    def definition(**change: object) -> object:
        return parse_rule(json.dumps(COUNT | change), "r", 1).definition

    assert definition(limit={"operator": "<", "value": 1}, action="x", version=7) == definition()
    assert definition(state="shadow") == definition()
    for change in (
        {"window": "2h"},
        {"where": "late"},
        {"group_by": ["ip"]},
        {"aggregate": {"function": "count", "field": "ip"}},
    ):
        assert definition(**change) != definition()


def test_every_rule_in_the_docs_parses_and_the_starter_set_is_all_there() -> None:
    text = DOCS.read_text()
    blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        written = json.loads(block)
        parse_rule(block, written["id"], 1)
    shown = {json.loads(block).get("kind") for block in blocks}
    assert set(KINDS) <= shown
    for key in starter_rules():
        assert f"`{key}`" in text
    (examples,) = re.findall(r"^Examples: (.*)$", text, re.MULTILINE)
    for where in re.findall(r"`([^`]*)`", examples):
        parse_rule(json.dumps(COUNT | {"where": where}), "r", 1)
