"""Dashboards and alerts ask only for metrics that are exposed, and each alert has its page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.integration.test_docs_contract import OPERATIONS, code, rows

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/headrace.json").read_text("utf-8"))
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
_NAME = re.compile(r"\b(?:headrace|process)_[a-z_]+")
_OF_THE_RUNTIME = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def exposed() -> set[str]:
    names = {code(row[0])[0] for row in rows(OPERATIONS, "metric")}
    return names | {f"{name}_bucket" for name in names} | _OF_THE_RUNTIME


def test_the_dashboard_asks_for_what_is_there() -> None:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(asked) > 15
    for expression in asked:
        assert set(_NAME.findall(expression)) <= exposed(), expression


def test_the_alerts_ask_for_what_is_there_and_operations_says_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    for rule in rules:
        assert set(_NAME.findall(rule["expr"])) <= exposed(), rule["expr"]
    assert [code(row[0])[0] for row in rows(OPERATIONS, "alert")] == [
        rule["alert"] for rule in rules
    ]
