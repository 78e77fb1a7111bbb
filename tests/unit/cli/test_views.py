"""What the CLI prints: safe on a terminal, true to the message."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

from msgspec import Struct

from services.invoice_worker.entry import ENTRY
from shared.cli.dead_view import as_json, readable
from shared.cli.greeting import greeting
from shared.cli.schema import schema_of, unknown_name
from shared.cli.terminal import printable
from shared.letters import parse
from shared.registry import MessageType


class Priced(Struct):
    """A thing with a price."""

    price: Decimal = Decimal("1.5")
    rebate: Decimal | None = None


def test_control_and_direction_characters_are_escaped() -> None:
    assert printable("a\x1b[2Jb\u202ec\u2028\x7f\ud800") == (
        "a\\x1b[2Jb\\u202ec\\u2028\\x7f\\ud800"
    )
    assert printable("Österle 100 €\n", keep="\n") == "Österle 100 €\n"


def test_a_body_is_shown_by_what_it_is() -> None:
    assert readable(b'{"a":[1.50]}') == '{\n  "a": [\n    1.50\n  ]\n}'
    assert readable(b'{"a":') == '{"a":'
    assert readable(b"\xff\x00") == "ff 00"
    assert readable(b"[" * 100_000) == "[" * 100_000


def test_json_of_a_letter_keeps_a_body_that_is_no_text() -> None:
    letter = parse("dead.m.invalid", 1, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), {}, b"\xff")
    assert json.loads(as_json(letter, with_body=True))["body_base64"] == "/w=="


def test_a_schema_takes_decimals_as_strings_or_numbers() -> None:
    document = schema_of(MessageType("priced", "p.<id>", Priced, "A price"))
    price = document["$defs"]["Priced"]["properties"]["price"]
    assert price["type"] == ["string", "number"]
    assert price["default"] == "1.5"
    rebate = document["$defs"]["Priced"]["properties"]["rebate"]["anyOf"]
    assert rebate[0]["type"] == ["string", "number"]
    assert document["title"] == "priced"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert unknown_name("invoice-jb", ["invoice-job", "x"]).endswith(
        "did you mean invoice-job? There are: invoice-job, x"
    )


def test_the_greeting_names_the_server_where_it_is_not_the_default() -> None:
    at_home = "\n".join(greeting([ENTRY], "nats://127.0.0.1:4222"))
    assert "  nats pub -J jobs.invoice.demo" in at_home
    elsewhere = greeting([ENTRY, ENTRY], "nats://me:pw@127.0.0.1:4333")
    assert sum("jobs.invoice.demo" in line for line in elsewhere) == 1
    assert any("nats -s nats://***@127.0.0.1:4333 pub" in line for line in elsewhere)
    assert "pw" not in "\n".join(elsewhere)
