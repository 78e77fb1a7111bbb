"""Fixtures of the chaos suite: its settings in this process too, and the table that it writes."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.chaos.fleet import PARTITIONS, rules_file
from tests.chaos.report import Report

_PAGE = os.environ.get("CHAOS_PAGE")
_IN_WORDS = str.maketrans({"_": " ", "[": " ", "]": None})
_FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the stages that are asked here be those that the members run."""
    for name, value in {**PARTITIONS, "METRICS_RULES": rules_file(tmp_path)}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """Takes the scenario's row; `make chaos` says by CHAOS_PAGE where it is written."""
    name = request.node.name.removeprefix("test_").translate(_IN_WORDS)
    made = Report(name, Path(_PAGE) if _PAGE else None)
    yield made
    if request.node.stash.get(_FAILED, False):
        made.failed()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixture whether its scenario failed."""
    told = yield
    if told.when == "call" and told.failed:
        item.stash[_FAILED] = True
    return told
