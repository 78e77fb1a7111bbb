"""`headrace dead list` and `show`: every letter, for people and for machines."""

from __future__ import annotations

import json

from nats.aio.client import Client

from tests.dead_letter_rig import park, prepare
from tests.headrace import headrace
from tests.server import Server


async def test_the_table_shows_what_an_operator_needs(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client)
    await park(own_client, 41)
    listed = await headrace("dead", "list", url=own_server.url)
    assert listed.code == 0, listed.err
    for fact in (
        "mailer",
        "invalid",
        "lines[3].quantity: must be positive",
        "jobs.mail.a (JOBS:41)",
    ):
        assert fact in listed.out


async def test_json_is_one_object_a_line(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 41)
    await park(own_client, 42, reason="exhausted")
    listed = await headrace("dead", "list", "--json", url=own_server.url)
    first, second = map(json.loads, listed.out.splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "sequence": 1,
        "service": "mailer",
        "reason": "invalid",
        "error": "lines[3].quantity: must be positive",
        "attempts": 2,
        "origin": {
            "stream": "JOBS",
            "sequence": 41,
            "subject": "jobs.mail.a",
            "time": "2026-11-23T08:00:00Z",
            "id": "job-41",
        },
    }
    assert second["reason"] == "exhausted"


async def test_a_long_table_says_that_there_is_more(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    for sequence in range(1, 4):
        await park(own_client, sequence)
    listed = await headrace("dead", "list", "--limit", "2", url=own_server.url)
    assert "there are more than these 2" in listed.out
    listed = await headrace("dead", "list", "--limit", "3", url=own_server.url)
    assert "more" not in listed.out


async def test_show_prints_headers_and_body(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    sequence = await park(own_client, 41)
    shown = await headrace("dead", "show", str(sequence), url=own_server.url)
    assert shown.code == 0, shown.err
    for fact in ("traceparent: 00-", "X-Mine: kept", '"order_id": "SO-1"', "job-41"):
        assert fact in shown.out
    as_json = await headrace("dead", "show", str(sequence), "--json", url=own_server.url)
    assert json.loads(as_json.out)["body"] == '{"order_id": "SO-1",  "spaced":   true}'


async def test_hostile_text_does_not_steer_the_terminal(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client)
    sequence = await park(
        own_client, 1, body=b"\x1b[2J[bold]\xe2\x80\xae", error="[red]x\x1b]0;y", subject="jobs.a"
    )
    for command in (("list",), ("show", str(sequence))):
        shown = await headrace("dead", *command, url=own_server.url)
        assert shown.code == 0, shown.err
        assert "\x1b" not in shown.out
        assert "\u202e" not in shown.out
        assert "[red]x\\x1b]0;y" in shown.out


async def test_a_body_that_is_no_text_is_shown_nevertheless(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client)
    sequence = await park(own_client, 1, body=b"\xff\x00")
    shown = await headrace("dead", "show", str(sequence), url=own_server.url)
    assert "ff 00" in shown.out


async def test_no_such_letter_and_no_stream_are_said_in_words(
    own_server: Server, own_client: Client
) -> None:
    missing = await headrace("dead", "list", url=own_server.url)
    assert missing.code == 1
    assert "headrace provision" in missing.err
    await prepare(own_client)
    empty = await headrace("dead", "list", url=own_server.url)
    assert (empty.code, empty.out) == (0, "no dead letters\n")
    shown = await headrace("dead", "show", "9", url=own_server.url)
    assert shown.code == 1
    assert "there is no dead letter 9" in shown.err
