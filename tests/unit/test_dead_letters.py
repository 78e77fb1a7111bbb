"""What a dead letter says of itself, and what a redriven job carries."""

from __future__ import annotations

import datetime as dt

import pytest

from shared import subjects
from shared.contracts import headers
from shared.letters import parse
from shared.work_queue.redrive import redriven_headers

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.d", False),
    ],
)
def test_subjects_match_as_in_nats(pattern: str, subject: str, *, matches: bool) -> None:
    assert subjects.matches(pattern, subject) is matches


def test_a_letter_without_our_headers_is_read_nevertheless() -> None:
    letter = parse("dead.mailer.invalid", 7, NOW, {}, b"x")
    assert (letter.service, letter.reason, letter.attempts) == ("mailer", "invalid", None)
    assert (letter.origin_subject, letter.origin_sequence) == ("", None)
    odd = parse("dead.mailer", 7, NOW, {headers.DEAD_ATTEMPTS: "many"}, b"")
    assert (odd.service, odd.reason, odd.attempts) == ("mailer", "", None)


def test_a_redriven_job_carries_no_instruction_and_no_mark_of_death() -> None:
    letter = parse(
        "dead.mailer.invalid",
        7,
        NOW,
        {
            "traceparent": "t",
            "Nats-Msg-Id": "JOBS:1",
            "Nats-Expected-Last-Sequence": "9",
            "Nats-Schedule": "@at 2030-01-01T00:00:00Z",
            "Nats-TTL": "1s",
            headers.DEAD_ID: "mine",
            headers.DEAD_ERROR: "why",
            headers.REDRIVEN_FROM: "DEAD_LETTERS:3",
        },
        b"",
    )
    assert redriven_headers(letter, "token") == {
        "traceparent": "t",
        headers.MESSAGE_ID: "redrive:7:token",
        headers.REDRIVEN_FROM: "DEAD_LETTERS:7",
    }
