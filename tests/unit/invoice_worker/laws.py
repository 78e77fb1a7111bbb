"""Laws that hold for every invoice, recomputed here with fractions from the job itself."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

from services.invoice_worker.domain import content_of, parse_job
from shared.contracts.invoices import InvoiceIssued

Json = dict[str, Any]


def assert_amounts_follow_from_the_job(job: Json, fact: InvoiceIssued) -> None:
    places = _places(fact)
    of_lines: dict[tuple[str, Fraction], Fraction] = {}
    for given_line, line in zip(job["lines"], fact.lines, strict=True):
        gross = _half_up(_exact(given_line["quantity"]) * _exact(given_line["unit_price"]), places)
        percent = _exact(given_line.get("discount_percent", 0))
        assert line.net == gross - _half_up(gross * percent / 100, places)
        of_lines[_group(line)] = of_lines.get(_group(line), Fraction(0)) + Fraction(line.net)
    adjusted = [*job.get("allowances", []), *job.get("charges", [])]
    for given_one, one in zip(adjusted, [*fact.allowances, *fact.charges], strict=True):
        if "percent" in given_one:
            share = of_lines[_group(one)] * _exact(given_one["percent"]) / 100
            assert one.amount == _half_up(share, places)
        else:
            assert one.amount == _exact(given_one["amount"])


def assert_totals_obey_br_co_10_to_16(fact: InvoiceIssued) -> None:
    totals = fact.totals
    assert totals.lines == sum(line.net for line in fact.lines)  # BR-CO-10
    assert totals.allowances == sum(one.amount for one in fact.allowances)  # BR-CO-11
    assert totals.charges == sum(one.amount for one in fact.charges)  # BR-CO-12
    assert totals.net == totals.lines - totals.allowances + totals.charges  # BR-CO-13
    assert totals.vat == sum(row.amount for row in fact.vat)  # BR-CO-14
    assert totals.gross == totals.net + totals.vat  # BR-CO-15
    assert totals.due == totals.gross >= 0  # BR-CO-16
    assert totals.net == sum(row.base for row in fact.vat)


def assert_breakdown_is_of_its_parts(fact: InvoiceIssued) -> None:
    """BR-CO-17 and BR-S-8 with its sisters: a row for each category and rate, of its parts."""
    parts: dict[tuple[str, Fraction], Fraction] = {}
    for sign, group, amount in [
        *[(1, _group(line), line.net) for line in fact.lines],
        *[(-1, _group(one), one.amount) for one in fact.allowances],
        *[(1, _group(one), one.amount) for one in fact.charges],
    ]:
        parts[group] = parts.get(group, Fraction(0)) + sign * Fraction(amount)
    rows = {(row.category, Fraction(row.rate)): row for row in fact.vat}
    assert len(rows) == len(fact.vat)
    assert {group: Fraction(row.base) for group, row in rows.items()} == parts
    for (_, rate), row in rows.items():
        assert row.amount == _half_up(Fraction(row.base) * rate / 100, _places(fact))


def assert_amounts_have_the_decimals_of_the_currency(fact: InvoiceIssued) -> None:
    totals = fact.totals
    amounts = [totals.lines, totals.allowances, totals.charges, totals.net, totals.vat]
    amounts += [totals.gross, totals.due, *[line.net for line in fact.lines]]
    amounts += [one.amount for one in (*fact.allowances, *fact.charges)]
    amounts += [amount for row in fact.vat for amount in (row.base, row.amount)]
    assert {amount.as_tuple().exponent for amount in amounts} == {-_places(fact)}


def assert_spelling_makes_no_difference(job: Json, seed: int) -> None:
    """Order of keys, blanks, spelled-out defaults, nulls, unknown fields, forms of numbers."""
    chance = random.Random(seed)
    respelled = json.dumps(_respelled(chance, job), indent=3, ensure_ascii=False)
    original = parse_job("demo", json.dumps(job).encode())
    assert content_of(parse_job("demo", respelled.encode())) == content_of(original)


def _respelled(chance: random.Random, value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        members = [(name, _respelled(chance, inner, name)) for name, inner in value.items()]
        members += [(name, extra) for name, extra in _idle(value).items() if name not in value]
        chance.shuffle(members)
        return dict(members)
    if isinstance(value, list):
        return [_respelled(chance, inner) for inner in value]
    if key in {"quantity", "unit_price", "vat_rate", "percent", "amount", "discount_percent"}:
        plain = f"{Decimal(str(value)):f}"
        more = plain + ("0" if "." in plain else ".0")
        return chance.choice([plain, more, f"{Decimal(plain):e}"])
    if key in {"name", "description", "reason", "order_id"}:
        return f" {value}\t"
    return value


def _idle(value: Json) -> Json:
    """Members that say nothing new about this object."""
    if "quantity" in value:
        return {"unit": "C62", "vat_category": "S", "vat_rate": None, "extra": [{}]}
    if "lines" in value:
        return {"type": "invoice", "charges": [], "note": None, "currency": None}
    return {"unknown": {"quantity": "NaN", "amount": "a:b"}}


def _places(fact: InvoiceIssued) -> int:
    return 0 if fact.currency in {"JPY", "KRW", "ISK"} else 2


def _group(taxed: Any) -> tuple[str, Fraction]:
    return taxed.vat_category, Fraction(taxed.vat_rate)


def _exact(number: str | float) -> Fraction:
    return Fraction(str(number))


def _half_up(value: Fraction, places: int) -> Fraction:
    scaled = value * 10**places
    return Fraction((scaled + Fraction(1, 2)).__floor__(), 10**places)
