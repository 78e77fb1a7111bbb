"""The table in `shared/work_queue/attempts.py`, and what follows from it."""

from __future__ import annotations

import pytest

from shared.work_queue.attempts import History, Record, judge


@pytest.mark.parametrize(
    ("delivered", "record", "expected"),
    [
        (1, None, History(0, "none")),
        (2, Record(1, 1, "settled"), History(1, "none")),  # failed once, waits for its next
        (2, Record(0, 1, "settled"), History(0, "none")),  # handed back by a soft stop
        (2, None, History(1, "once")),  # a worker vanished with it
        (5, None, History(1, "once")),  # and several more before anyone began it
        (4, Record(2, 2, "settled"), History(3, "once")),  # vanished after orderly failures
        (3, Record(2, 2, "open"), History(2, "twice")),  # died while it was watched
        (9, Record(2, 2, "open"), History(2, "twice")),  # not begun since: counts no more
    ],
)
def test_what_a_delivery_number_and_a_record_tell(
    delivered: int, record: Record | None, expected: History
) -> None:
    assert judge(delivered, record) == expected


def test_a_deadly_job_is_begun_exactly_as_often_as_allowed() -> None:
    allowed = 5
    begun = 0
    record: Record | None = None
    for delivered in range(1, 100):
        history = judge(delivered, record)
        if history.made >= allowed:
            break
        begun += 1  # and the worker dies
        if history.suspicion != "none":
            record = Record(history.made + 1, delivered, "open")
    assert begun == allowed


def test_a_job_that_only_waits_in_dying_workers_uses_up_no_more_than_one_attempt() -> None:
    assert {judge(delivered, None).made for delivered in range(2, 1000)} == {1}
