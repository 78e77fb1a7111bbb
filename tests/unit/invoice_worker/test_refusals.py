"""Each fault of a job, and the words with which it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.invoice_worker.domain import Refusal, parse_job, unknown_fields
from tests.unit.invoice_worker.samples import (
    EXAMPLE,
    MISSING,
    SELLERS,
    changed,
    refusal,
    seller_other,
)

_BIDI = "a\u202eb"

_DEAR = {"description": "Bridge", "quantity": 1_000, "unit_price": "900000000"}

_ONE_FIELD: list[tuple[str, Any, str]] = [
    ("order_id", MISSING, "is missing"),
    ("order_id", "", "must not be empty"),
    ("order_id", 7, "must be text, not a number"),
    ("order_id", "x" * 201, "must have at most 200 characters"),
    ("order_id", "a\u0000b", "contains U+0000, a control character"),
    ("order_id", "a\u2028b", "contains U+2028, a control character"),
    ("order_id", "a\ufffeb", "contains U+FFFE, a control character"),
    ("type", "bill", "must be one of invoice, credit_note"),
    ("type", None, "must be one of invoice, credit_note"),
    ("issue_date", "2026-02-30", "must be a date, such as 2026-11-23"),
    ("issue_date", 20261123, "must be a date, such as 2026-11-23, not a number"),
    ("issue_date", "2016-11-01", "is more than ten years before the job's arrival"),
    ("issue_date", "0001-01-01", "is more than ten years before the job's arrival"),
    ("due_date", "2026-11-22", "must not be before issue_date"),
    ("due_date", "9999-12-31", "is more than ten years after issue_date"),
    ("currency", "XYZ", "is not an ISO 4217 currency of the EN 16931 code list"),
    ("currency", "XAU", "is not an ISO 4217 currency of the EN 16931 code list"),
    ("currency", "KWD", "KWD has 3 decimals, EN 16931 allows two"),
    ("currency", "CLF", "CLF has 4 decimals, EN 16931 allows two"),
    ("buyer", MISSING, "is missing"),
    ("buyer", [], "must be an object, not an array"),
    ("buyer.name", MISSING, "is missing"),
    ("buyer.name", " \t ", "must not be empty"),
    ("buyer.name", _BIDI, "contains U+202E, a mark of text direction"),
    ("buyer.street", "a\u2066b", "contains U+2066, a mark of text direction"),
    ("buyer.city", "a\u200fb", "contains U+200F, a mark of text direction"),
    ("buyer.city", "a\u061cb", "contains U+061C, a mark of text direction"),
    ("buyer.country", "XX", "is not an ISO 3166-1 alpha-2 country code, such as DE"),
    ("buyer.country", "Germany", "is not an ISO 3166-1 alpha-2 country code, such as DE"),
    ("buyer.vat_id", "DE136695977", "is not a valid VAT id (country prefix, form, check digits)"),
    ("buyer.vat_id", "136695976", "is not a valid VAT id (country prefix, form, check digits)"),
    ("buyer.vat_id", "ZZ136695976", "is not a valid VAT id (country prefix, form, check digits)"),
    ("buyer.email", "nobody", "is not an e-mail address"),
    ("lines", MISSING, "is missing"),
    ("lines", [], "must not be empty"),
    ("lines", EXAMPLE["lines"] * 501, "must have at most 1000 entries"),
    ("lines[0]", None, "must be an object, not null"),
    ("lines[1].description", MISSING, "is missing"),
    ("lines[1].description", "a\nb", "contains U+000A, a control character"),
    ("lines[1].description", "x" * 1_001, "must have at most 1000 characters"),
    ("lines[1].quantity", 0, "must be greater than 0"),
    ("lines[1].quantity", "-1", "must be greater than 0"),
    ("lines[1].quantity", "-0.0", "must be greater than 0"),
    ("lines[1].quantity", "NaN", "must be a finite number"),
    ("lines[1].quantity", "sNaN", "must be a finite number"),
    ("lines[1].quantity", "-Infinity", "must be a finite number"),
    ("lines[1].quantity", "many", "must be a decimal number"),
    ("lines[1].quantity", "", "must be a decimal number"),
    ("lines[1].quantity", True, "must be a decimal number, not true or false"),
    ("lines[1].quantity", None, "must be a decimal number, not null"),
    ("lines[1].quantity", [1], "must be a decimal number, not an array"),
    ("lines[1].quantity", "1e999999", "must be at most 999999999"),
    ("lines[1].quantity", "1e99999999999999", "must be at most 999999999"),
    ("lines[1].quantity", "1e-999999", "must have at most 6 decimals"),
    ("lines[1].quantity", "1." + "0" * 70 + "1", "must have at most 6 decimals"),
    ("lines[1].unit_price", "-0.01", "must be at least 0"),
    ("lines[1].unit_price", "0.0000001", "must have at most 6 decimals"),
    ("lines[1].unit", "hour", "is not a unit of UN/ECE Recommendation 20 or 21, such as C62, HUR"),
    ("lines[1].vat_category", "X", "must be one of S, Z, E, AE, K, G, O"),
    ("lines[1].vat_rate", "101", "must be at most 100"),
    ("lines[1].vat_rate", 0, "must be greater than 0 in category S, without VAT use Z or E"),
    ("lines[1].discount_percent", "100.1", "must be at most 100"),
    ("allowances", {}, "must be an array, not an object"),
    ("allowances[0].reason", "", "must not be empty"),
    ("allowances[0].percent", MISSING, "is missing, give either percent or amount"),
    ("allowances[0].percent", "-1", "must be at least 0"),
    ("allowances[0].vat_rate", "16", "has no line with VAT category S at 16 % to be taken of"),
    ("charges[0].percent", "5", "must not be given together with amount"),
    ("charges[0].amount", "0", "must be greater than 0"),
    ("charges[0].amount", "7.901", "must have at most 2 decimals"),
    ("payment.iban", "DE89370400440532013001", "is not a valid IBAN (form, check digits)"),
    ("payment.bic", "NOBANK", "is not a BIC of 8 or 11 characters"),
    ("payment.terms", "a\x1b[31m", "contains U+001B, a control character"),
    ("note", _BIDI, "contains U+202E, a mark of text direction"),
]


@pytest.mark.parametrize(("path", "value", "words"), _ONE_FIELD)
def test_a_bad_field_is_refused_by_its_path(path: str, value: object, words: str) -> None:
    named = "allowances[0].percent" if path == "allowances[0].vat_rate" else path
    assert refusal(changed(EXAMPLE, path, value)).startswith(f"invalid {named}: {words}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "credit_note"}, "preceding_invoice: is missing, a credit note must name"),
        ({"issue_date": "2027-12-01", "due_date": None}, "issue_date: is more than a year after"),
        ({"payment": {"bic": "COBADEFFXXX"}}, "payment.iban: is missing, a bic needs it"),
        ({"issue_date": None, "due_date": "2026-11-22"}, "due_date: must not be before issue_date"),
        ({"lines": [_DEAR | {"quantity": 2_000}]}, "lines[0].unit_price: times quantity must be"),
        ({"lines": [_DEAR, _DEAR]}, "lines: must not sum up to more than 999999999999.99"),
        ({"currency": "JPY"}, "charges[0].amount: has more decimals than the currency"),
        (
            {"allowances": [{"reason": "Gift", "amount": "27", "vat_rate": "7"}]},
            "allowances: exceed lines and charges with VAT category S at 7 %",
        ),
        (
            {"allowances": [{"reason": "Gift", "amount": "1", "vat_category": "Z"}]},
            "allowances: exceed lines and charges with VAT category Z",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused(changes: dict[str, Any], words: str) -> None:
    assert refusal(EXAMPLE | changes).startswith(f"invalid {words}")


def _taxed(category: str, country: str = "FR", vat_id: str | None = "FR40303265045") -> Any:
    buyer = {"name": "Rouge SA", "country": country, "vat_id": vat_id}
    line = {"description": "Thing", "quantity": 1, "unit_price": 1, "vat_category": category}
    return {"order_id": "1", "buyer": buyer, "lines": [line]}


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (_taxed("AE", vat_id=None), "buyer.vat_id: is missing, VAT category AE needs it"),
        (_taxed("K", vat_id=None), "buyer.vat_id: is missing, VAT category K needs it"),
        (_taxed("K", "DE"), "buyer.country: must be another EU country in VAT category K"),
        (_taxed("K", "US"), "buyer.country: must be another EU country in VAT category K"),
        (_taxed("K", "FR", "DE136695976"), "buyer.vat_id: must be of another EU country"),
        (_taxed("K", "FR", "CHE123456788"), "buyer.vat_id: must be of another EU country"),
        (
            changed(_taxed("O"), "charges", [{"reason": "Freight", "amount": 1}]),
            "charges[0].vat_category: must be O, which allows no other beside it",
        ),
    ],
)
def test_a_category_whose_obligations_are_unmet_is_refused(job: dict[str, Any], words: str) -> None:
    assert refusal(job).startswith(f"invalid {words}")


@pytest.mark.parametrize("category", ["Z", "E", "AE", "K", "G", "O"])
def test_a_category_without_vat_has_no_rate_but_zero(category: str) -> None:
    job = _taxed(category)
    words = f"lines[0].vat_rate: must be 0 or left out in category {category}"
    assert refusal(changed(job, "lines[0].vat_rate", "0.00")) == ""
    assert refusal(changed(job, "lines[0].vat_rate", "7")) == f"invalid {words}"


@pytest.mark.parametrize(
    ("category", "profile", "words"),
    [
        ("S", {"vat_id": None, "registration": "FN 1"}, "S needs a seller with a VAT id"),
        ("Z", {"vat_id": None, "registration": "FN 1"}, "Z needs a seller with a VAT id"),
        ("K", {"vat_id": None, "registration": "FN 1"}, "K needs a seller with a VAT id"),
        ("G", {"vat_id": None, "registration": "1", "tax_number": "2"}, "G needs a seller with"),
        ("K", {"country": "CH", "vat_id": "CHE123456788"}, "K needs a seller in the EU"),
        ("O", {}, "O needs a seller with a registration"),
    ],
)
def test_a_category_that_this_seller_may_not_use_is_refused(
    category: str, profile: dict[str, Any], words: str, tmp_path: Path
) -> None:
    sellers = seller_other(tmp_path, **profile)
    assert refusal(_taxed(category), sellers).startswith(f"invalid lines[0].vat_category: {words}")


def test_without_a_standard_rate_the_line_must_give_one(tmp_path: Path) -> None:
    sellers = seller_other(tmp_path, standard_rate=None)
    words = "lines[0].vat_rate: is missing, the seller has no standard rate"
    assert refusal(_taxed("S"), sellers) == f"invalid {words}"
    assert refusal(changed(_taxed("S"), "lines[0].vat_rate", 20), sellers) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SO-1001",
        b"{",
        b'{"order_id": NaN}',
        b'{"order_id": 1, "note": Infinity}',
        b"[" * 100_000,
        b'{"x":' * 100_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe{}",
        b'{"order_id": "\\ud800"}',
        b'{"order_id": "\xed\xa0\x80"}',
        json.dumps(EXAMPLE).encode("utf-16"),
        json.dumps(EXAMPLE).encode() + b"{}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert refusal(body).startswith("malformed body: ")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"order_id": "1", "order_id": "2", %s', "order_id"),
        (b'{"buyer": {"name": "a", "name": "a", "country": "DE"}, "order_id": "1", %s', None),
        (b'{"order_id": "1", "colour": [0, {"a": "x:y", "a": ""}], %s', "colour[1].a"),
    ],
)
def test_a_key_given_twice_is_refused(body: bytes, path: str | None) -> None:
    rest = dict(EXAMPLE)
    del rest["order_id"]
    if path is None:
        del rest["buyer"]
    whole = body % json.dumps(rest).encode()[1:]
    assert refusal(whole) == f"invalid {path or 'buyer.name'}: is given twice"


def test_a_strangers_key_breaks_no_line_of_the_error() -> None:
    body = b'{"a\\r\\nNats-Msg-Id: x": {"b": 1, "b": 2}, ' + json.dumps(EXAMPLE).encode()[1:]
    assert refusal(body) == r"invalid 'a\r\nNats-Msg-Id: x'.b: is given twice"
    long = b'{"%s": [{"b": 1, "b": 2}], ' % (b"x" * 5_000) + json.dumps(EXAMPLE).encode()[1:]
    assert len(refusal(long)) < 100


def test_unknown_fields_are_told_by_their_path() -> None:
    job = changed(changed(EXAMPLE, "colour", 1.5), "lines[1].sku", {"x": "many"})
    job = changed(changed(job, "buyer.fax", None), "charges[0].a\nb", [])
    paths = ["colour", "buyer.fax", "lines[1].sku", r"charges[0].'a\nb'"]
    body = json.dumps(job).encode()
    assert unknown_fields(body) == paths
    assert unknown_fields(body.replace(b'"many"', b"9" * 5_000)) == ["(not listed)"]
    assert unknown_fields(json.dumps(EXAMPLE).encode()) == []


def test_megabytes_of_digits_are_refused_at_once() -> None:
    body = json.dumps(EXAMPLE).encode().replace(b'"2.5"', b"9" * 2_000_000)
    assert refusal(body) == "invalid lines[0].quantity: must be at most 999999999"


@pytest.mark.parametrize("name", ["", "*", ">", "a.b", "a b", "../x", "ä", "x" * 65])
def test_a_seller_that_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=r"^invalid: seller: must be"):
        parse_job(name, json.dumps(EXAMPLE).encode())


def test_an_unknown_seller_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^invalid: seller: acme is unknown"):
        SELLERS.get("acme")
