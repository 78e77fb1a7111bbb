"""When a log is about to forget what a restore would fold. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from shared.log_stream.guard import Place, is_fading, nanoseconds

SECOND = 1_000_000_000
NOW = "2026-11-24T10:00:00.000000001Z"
FIRST = "2026-11-24T09:00:00Z"


def log(*, first: int = 101, last: int = 200, size: int = 1000, **limits: int) -> dict[str, Any]:
    """Return what the server says of a log whose first message is an hour old."""
    return {
        "ts": NOW,
        "config": {"max_age": 0, "max_msgs": -1, "max_bytes": -1} | limits,
        "state": {
            "messages": last - first + 1,
            "bytes": size,
            "first_seq": first,
            "last_seq": last,
            "first_ts": FIRST,
        },
    }


def minutes_ago(minutes: int) -> int:
    return nanoseconds(NOW) - minutes * 60 * SECOND


@pytest.mark.parametrize(
    ("limits", "place", "fading"),
    [
        ({}, (101, minutes_ago(600)), False),  # it keeps all for ever
        ({"max_age": 7200 * SECOND}, (150, minutes_ago(59)), False),
        ({"max_age": 7200 * SECOND}, (150, minutes_ago(61)), True),
        ({"max_age": 7200 * SECOND}, (0, 0), True),  # no snapshot: what counts is the first event
        ({"max_age": 8000 * SECOND}, (0, 0), False),
        ({"max_msgs": 100}, (151, 0), False),
        ({"max_msgs": 100}, (149, 0), True),
        ({"max_msgs": 300}, (0, 0), False),
        ({"max_bytes": 1000}, (151, 0), False),
        ({"max_bytes": 1000}, (149, 0), True),
        ({"max_bytes": 5000}, (0, 0), False),
        ({"max_age": 7200 * SECOND, "max_msgs": 100}, (149, minutes_ago(1)), True),
    ],
)
def test_a_log_fades_when_half_of_any_limit_is_used(
    limits: dict[str, int], place: Place, *, fading: bool
) -> None:
    assert is_fading(log(**limits), place) is fading


def test_an_empty_log_does_not_fade() -> None:
    assert not is_fading(log(first=201, last=200, max_age=1), (0, 0))


def test_times_of_the_server_are_exact() -> None:
    assert nanoseconds("1970-01-01T00:00:01.000000001Z") == SECOND + 1
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert nanoseconds("1970-01-01T00:00:01Z") == SECOND
