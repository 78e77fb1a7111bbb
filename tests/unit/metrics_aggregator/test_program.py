"""When changed rules are proposed to a partition's log, and how."""

from __future__ import annotations

from pathlib import Path

from services.metrics_aggregator.fold import RULES
from services.metrics_aggregator.program import MetricsProgram
from shared.log_stream.fold import Event

OLD = "- {interval: 1m, outputs: [max]}\n"
NEW = "- {interval: 1m, outputs: [min]}\n"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_changed_rules_wait_for_the_last_event_but_not_for_ever(tmp_path: Path) -> None:
    file, clock = tmp_path / "rules.yaml", Clock()
    file.write_text(NEW, "utf-8")
    program = MetricsProgram(file, clock=clock)
    fold = program.fold(OLD, 3)
    assert program.proposal(fold, caught_up=False) is None
    clock.now += 1
    first = program.proposal(fold, caught_up=True)
    assert first is not None
    assert (first.name, first.body, first.fenced) == ("rules", NEW.encode(), True)
    clock.now += 2
    behind = program.proposal(fold, caught_up=False)
    assert behind is not None
    assert not behind.fenced
    clock.now += 9
    assert program.proposal(fold, caught_up=False) is None  # it may lie in the backlog
    clock.now += 1
    assert program.proposal(fold, caught_up=False) is not None
    fold.apply(Event(1, 0, RULES, NEW.encode(), None))
    assert program.proposal(fold, caught_up=True) is None
