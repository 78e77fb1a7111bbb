"""Payments and labels are read exactly, or refused by the field's path; card numbers hide."""

from __future__ import annotations

import json
import random
from decimal import Decimal

import pytest

from services.fraud_detector.domain.card_numbers import masked_body
from services.fraud_detector.domain.reading import read_label, read_payment
from services.fraud_detector.domain.refusal import Refusal, RuleError
from services.fraud_detector.domain.rules import parse_rule
from services.fraud_detector.domain.starter import starter_rules

ARRIVAL_NS = 1_795_420_800_000_000_000  # 23 November 2026, 08:00 UTC
BODY = (
    b'{"payment_id": "p-1", "amount": "12.50", "currency": "EUR", "time": "2026-11-23T08:00:00Z",'
    b' "terminal": "t-9", "merchant": "m-3", "mcc": "5411", "country": "DE", "latitude": 52.5,'
    b' "longitude": 13.4, "channel": "pos", "ip": "::1", "device": "d", "declined": false}'
)
LABEL = b'{"payment_id": "p-1", "fraud": true, "time": "2026-11-23T08:00:00Z"}'
NUMBERS = ("4111111111111111", "5500-0000-0000-0004", "3400 000000 00009", "4222222222222")


def named(message_id: str | None) -> dict[str, str] | None:
    """Return the headers of a message of that id."""
    return None if message_id is None else {"Nats-Msg-Id": message_id}


def refused(body: bytes, card: str = "card-17", message_id: str | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        read_payment(body, card, named(message_id), 5, ARRIVAL_NS)
    return str(caught.value)


def test_the_payment_of_the_contract_is_read() -> None:
    got = read_payment(BODY, "card-17", named("id"), 5, ARRIVAL_NS)
    assert (got.sequence, got.card, got.payment_id) == (5, "card-17", "p-1")
    assert (got.time_ms, got.amount, got.micros) == (
        1_795_420_800_000,
        Decimal("12.50"),
        12_500_000,
    )
    assert (got.currency, got.terminal, got.merchant, got.mcc) == ("EUR", "t-9", "m-3", "5411")
    assert (got.country, got.latitude, got.longitude) == ("DE", 52.5, 13.4)
    assert (got.channel, got.ip, got.device, got.declined) == ("pos", "::1", "d", False)
    assert (got.late, got.score) == (False, None)


def test_what_is_left_out_is_taken_from_the_log() -> None:
    got = read_payment(b'{"amount": 1}', "c", None, 5, ARRIVAL_NS + 999_999)
    assert (got.payment_id, got.time_ms) == ("PAYMENTS:5", 1_795_420_800_000)
    assert read_payment(b'{"amount": 1}', "c", named("m-1"), 5, ARRIVAL_NS).payment_id == "m-1"


def test_what_the_log_knows_is_not_taken_from_the_publisher() -> None:
    body = b'{"amount": 1, "score": "x", "late": 3, "sequence": 9, "card": "d", "micros": []}'
    got = read_payment(body, "c", None, 5, ARRIVAL_NS)
    assert (got.score, got.late, got.sequence, got.card, got.micros) == (None, False, 5, "c", 10**6)


def test_empty_text_is_absent() -> None:
    body = b'{"amount": "1.10", "payment_id": "", "country": "", "time": "", "x": ""}'
    got = read_payment(body, "c", None, 5, ARRIVAL_NS)
    assert (got.payment_id, got.country, got.micros) == ("PAYMENTS:5", None, 1_100_000)


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("0.1", 100_000),
        ('"0.10"', 100_000),
        ("1e3", 1_000_000_000),
        ("1.5E-5", 15),
        ("999999999999.999999", 999_999_999_999_999_999),
        ('"0.1000000000000"', 100_000),
        ("0", 0),
        ("0.0e99", 0),
        ("4503599627370.497", None),
    ],
)
def test_an_amount_is_exact_never_a_binary_fraction(written: str, micros: int | None) -> None:
    body = f'{{"amount": {written}}}'.encode()
    if micros is None:
        assert refused(body) == "invalid: amount: must be below a million millions"
        return
    got = read_payment(body, "c", None, 5, ARRIVAL_NS)
    assert got.micros == micros
    assert got.amount == Decimal(micros) / 1_000_000


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ("", "amount: is missing"),
        ('"amount": null', "amount: is no decimal number"),
        ('"amount": -0.01', "amount: must not be negative"),
        ('"amount": "1.0000001"', "amount: must not have more than six decimals"),
        ('"amount": 1000000000000', "amount: must be below a million millions"),
        ('"amount": "1e999"', "amount: must be below a million millions"),
        ('"amount": "NaN"', "amount: is no decimal number"),
        ('"amount": "Infinity"', "amount: is no decimal number"),
        ('"amount": " 1"', "amount: is no decimal number"),
        ('"amount": "1_0"', "amount: is no decimal number"),
        ('"amount": [1]', "amount: is no decimal number"),
        ('"amount": 1, "latitude": 90.1', "latitude: Expected float <= 90.0"),
        ('"amount": 1, "longitude": -180.1', "longitude: Expected float >= -180.0"),
        ('"amount": 1, "country": 5', "country: Expected str | null, got int"),
        ('"amount": 1, "declined": "no"', "declined: Expected bool, got str"),
        ('"amount": 1, "merchant": "' + "x" * 129 + '"', "merchant: Expected str of length <= 128"),
        ('"amount": 1, "time": -1', "time: is not between the years 1970 and 9999"),
        ('"amount": 1, "time": 1e30', "time: is not between the years 1970 and 9999"),
        ('"amount": 1, "time": "1969-12-31T23:59:59Z"', "time: is not between the years 1970"),
        ('"amount": 1, "time": "yesterday"', "time: Invalid RFC3339 encoded datetime"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_the_fields_path(fields: str, error: str) -> None:
    assert refused(f"{{{fields}}}".encode()).startswith(f"invalid: {error}")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"amount": NaN}', b"[" * 100_000, BODY[:-1]]
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert refused(body).startswith("malformed: body: ")


def test_a_time_may_be_ten_minutes_ahead_and_no_more() -> None:
    for seconds, fine in ((600, True), (600.001, False)):
        body = f'{{"amount": 1, "time": {1_795_420_800 + seconds}}}'.encode()
        if fine:
            assert read_payment(body, "c", None, 5, ARRIVAL_NS).time_ms == 1_795_421_400_000
        else:
            assert refused(body).startswith("future: time: ")


@pytest.mark.parametrize(
    "time",
    [
        "1795420800.5",
        '"2026-11-23T08:00:00.5"',
        '"2026-11-23T08:00:00.500Z"',
        '"2026-11-23T09:00:00.5+01:00"',
    ],
)
def test_times_are_rfc_3339_or_seconds_and_utc_where_they_name_no_zone(time: str) -> None:
    body = f'{{"amount": 1, "time": {time}}}'.encode()
    assert read_payment(body, "c", None, 5, ARRIVAL_NS).time_ms == 1_795_420_800_500


@pytest.mark.parametrize("number", NUMBERS)
def test_a_card_number_is_refused_wherever_it_is(number: str) -> None:
    digits = number.replace("-", "").replace(" ", "")
    assert refused(b'{"amount": 1}', card=digits) == "invalid: card: a card number"
    assert refused(b'{"amount": 1}', message_id=number) == "invalid: payment_id: a card number"
    escaped = "".join(f"\\u00{ord(letter):02x}" for letter in number)
    for body, place in (
        (f'{{"amount": 1, "merchant": "to {number}"}}', "merchant"),
        (f'{{"amount": 1, "merchant": "{escaped}"}}', "merchant"),
        (f'{{"amount": 1, "note": {{"pans": ["", {digits}]}}}}', "note.pans[1]"),
        (f'{{"amount": 1, "note": {digits}.0}}', "note"),
    ):
        assert refused(body.encode()) == f"invalid: {place}: a card number"
    assert number not in refused(f'{{"amount": 1, "{number}": 1}}'.encode())


def test_decimals_of_a_place_are_no_card_number() -> None:
    body = b'{"amount": 1, "latitude": 52.4111111111111111, "longitude": 4.4222222222222}'
    assert read_payment(body, "c", None, 5, ARRIVAL_NS).latitude == 52.4111111111111111


def test_what_is_set_apart_like_a_place_inside_a_text_is_a_card_number_still() -> None:
    for note in ("1.4111111111111111,", '\\": 1.4111111111111111,', ": 1.4111111111111111,"):
        body = f'{{"amount": 1, "latitude": 52.4111111111111111, "note": "{note}"}}'
        assert refused(body.encode()) == "invalid: note: a card number"


def test_labels_are_read_and_refused() -> None:
    got = read_label(LABEL, "c", 7, ARRIVAL_NS)
    assert (got.sequence, got.card, got.payment_id) == (7, "c", "p-1")
    assert (got.time_ms, got.fraud) == (1_795_420_800_000, True)
    for body, error in (
        (b'{"fraud": true}', "invalid: body: Object missing required field payment_id"),
        (b'{"payment_id": "", "fraud": true}', "invalid: payment_id: is missing"),
        (b'{"payment_id": "p", "fraud": 1}', "invalid: fraud: Expected bool, got int"),
        (b'{"payment_id": "4111111111111111", "fraud": true}', "invalid: payment_id: a card"),
        (b'{"payment_id": "p", "fraud": true, "time": 1795430800}', "future: time: "),
        (b"nonsense", "malformed: body: "),
    ):
        with pytest.raises(Refusal) as caught:
            read_label(body, "c", 7, ARRIVAL_NS)
        assert str(caught.value).startswith(error)


def mutilated(text: bytes, chance: random.Random) -> bytes:
    body = bytearray(text)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(body) or 1)
        match chance.randrange(5):
            case 0:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del body[at : at + chance.randint(1, 9)]
            case 2:
                body[at:at] = chance.choice(
                    [b'"', b"{", b"[", b"\\", b"9" * 30, b"-", b"null", b"\x00"]
                )
            case 3:
                body[at:at] = text[: chance.randrange(len(text))]
            case _:
                body[at:at] = chance.choice([b"1e999", b"NaN", b"\\ud800", "é".encode(), b"\xc3"])
    return bytes(body)


def test_whatever_is_mutilated_is_read_or_refused() -> None:
    chance = random.Random(7)
    rules = [text.encode() for text in starter_rules().values()]
    outcomes = {True: 0, False: 0}
    for _ in range(2_000):
        for read in (
            lambda: read_payment(mutilated(BODY, chance), "c", None, 1, ARRIVAL_NS),
            lambda: read_label(mutilated(LABEL, chance), "c", 1, ARRIVAL_NS),
            lambda: parse_rule(mutilated(chance.choice(rules), chance), "spend-24h", 1),
        ):
            try:
                read()
                outcomes[True] += 1
            except (Refusal, RuleError) as error:
                outcomes[False] += 1
                json.dumps(str(error)).encode()
        masked_body(mutilated(BODY, chance))
    assert min(outcomes.values()) > 200
