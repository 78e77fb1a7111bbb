"""Random invoice jobs for tests: valid ones, and bad ones with the reason they must get.

All are for the built-in seller `demo` (in Germany, with VAT id and registration) and for an
arrival at `ARRIVAL`. See `tests.invoice_fuzz` for damaged bytes by the thousand.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.invoice_fuzz import fuzzed_jobs

__all__ = ["ARRIVAL", "bad_jobs", "fuzzed_jobs", "jobs"]

ARRIVAL = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)

Job = dict[str, Any]

_EU_BUYERS = {
    "AT": "ATU13585627",
    "BE": "BE0697449992",
    "ES": "ESB58378431",
    "FR": "FR40303265045",
    "GR": "EL094259216",
    "IT": "IT00743110157",
    "NL": "NL004495445B01",
    "PL": "PL8567346215",
    "SE": "SE123456789701",
}
_CURRENCIES = ["EUR", "EUR", "USD", "GBP", "CHF", "SEK", "PLN", "JPY", "KRW", "ISK"]
_NO_DECIMALS = {"JPY", "KRW", "ISK"}
_UNITS = ["C62", "HUR", "DAY", "KGM", "MTR", "LTR", "XPK", "MON"]
# What a line may be taxed as, and which buyers that asks for.
_REGIMES: dict[str, list[tuple[str, list[str | None]]]] = {
    "domestic": [("S", [None, "19", "7", "19.00"]), ("Z", [None, "0"]), ("E", [None])],
    "reverse charge": [("AE", [None, "0"]), ("S", ["19"])],
    "intra-community": [("K", [None, "0.0"]), ("AE", [None]), ("S", ["7", None])],
    "export": [("G", [None, "0"]), ("S", ["19"]), ("Z", [None])],
    "outside scope": [("O", [None])],
}

_WORDS = st.one_of(
    st.sampled_from([
        "Blue GmbH", "Müller & Söhne <KG>", "Ελληνική Εταιρεία", "Фирма «Ромашка»", "株式会社",
        "#set page(1pt) $x^2$ *a* _b_ `c`", "]]> & </cbc:ID> \"'", "Crème brûlée №5", "🧾 Beleg",
        "../../etc/passwd", "{{7*7}} \\ %s", "jobs.*.>", "Złoty Łódź", "e\u0301clair",
    ]),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=60),
    st.text(st.sampled_from("abcdefghij ÄÖÜßéñ0123456789"), min_size=1, max_size=120)
    .map(str.strip).filter(bool),
)  # fmt: skip
_PARAGRAPHS = st.lists(_WORDS, min_size=1, max_size=4).map("\n".join)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Return a random job that is valid: every category, currency and kind of text occurs."""
    regime = draw(st.sampled_from(sorted(_REGIMES)))
    currency = draw(st.sampled_from([None, *_CURRENCIES]))
    decimals = 0 if currency in _NO_DECIMALS else 2
    lines = draw(st.lists(_lines(_REGIMES[regime]), min_size=1, max_size=8))
    job: Job = {
        "order_id": draw(_WORDS),
        "buyer": draw(_buyers(regime)),
        "lines": lines,
        **draw(_optional({"note": _PARAGRAPHS, "payment": _payments()})),
    }
    if currency is not None:
        job["currency"] = currency
    job |= draw(_dates())
    job |= draw(st.sampled_from([{}, {}, {"type": "invoice"}, {"type": "credit_note"}]))
    if job.get("type") == "credit_note" or draw(st.booleans()):
        job["preceding_invoice"] = draw(_WORDS)
    if draw(st.booleans()):
        job["allowances"] = draw(_allowances(lines, decimals))
    if draw(st.booleans()):
        job["charges"] = draw(st.lists(_charges(lines, decimals), max_size=2))
    return job


def bad_jobs() -> st.SearchStrategy[tuple[bytes, str]]:
    """Return bodies that must be refused, each with the reason that it must get."""
    broken = st.builds(
        lambda job, spoil: (spoil(job), "malformed"), jobs(), st.sampled_from(_BREAK)
    )
    wrong = st.builds(_spoiled, jobs(), st.sampled_from(_SPOIL))
    return st.one_of(broken, wrong)


def _spoiled(job: Job, spoil: Callable[[Job], object]) -> tuple[bytes, str]:
    spoil(job)
    return json.dumps(job).encode(), "invalid"


_BREAK: list[Callable[[Job], bytes]] = [
    lambda job: json.dumps(job).encode()[:-1],
    lambda job: json.dumps(job).encode() + b"}",
    lambda job: json.dumps(job | {"note": float("nan")}).encode(),
    lambda job: json.dumps(job | {"extra": float("-inf")}).encode(),
    lambda job: json.dumps(job).encode("utf-16"),
    lambda job: json.dumps(job).encode().replace(b'"', b"'"),
    lambda job: b'{"extra": ' + b"[" * 100_000 + json.dumps(job).encode(),
    lambda job: b"\xff" + json.dumps(job).encode(),
    lambda _: b"",
]
_SPOIL: list[Callable[[Job], object]] = [
    lambda job: job.pop("order_id"),
    lambda job: job.pop("buyer"),
    lambda job: job["buyer"].pop("country"),
    lambda job: job["lines"].clear(),
    lambda job: job["lines"][-1].update(quantity="-1"),
    lambda job: job["lines"][-1].update(quantity="NaN"),
    lambda job: job["lines"][-1].update(quantity=True),
    lambda job: job["lines"][-1].update(unit_price="1e999999"),
    lambda job: job["lines"][-1].update(unit="parsec"),
    lambda job: job["lines"][-1].update(vat_category="Q"),
    lambda job: job["lines"][-1].update(description=" \t "),
    lambda job: job["lines"].extend(job["lines"] * 1_000),
    lambda job: job.update(currency="KWD"),
    lambda job: job.update(currency="XYZ"),
    lambda job: job.update(issue_date="2036-01-01", due_date=None),
    lambda job: job.update(issue_date="2026-02-30"),
    lambda job: job.update(issue_date="2026-11-20", due_date="2026-11-19"),
    lambda job: job.update(note="a\u202eb"),
    lambda job: job.update(order_id="a\u0000b"),
    lambda job: job.update(order_id="x" * 201),
    lambda job: job.update(type="credit_note", preceding_invoice=None),
    lambda job: job.update(charges=[{"reason": "none"}]),
    lambda job: job.update(payment={"iban": "DE89370400440532013001"}),
    lambda job: job["buyer"].update(vat_id="DE136695977"),
]


@st.composite
def _lines(draw: st.DrawFn, taxes: list[tuple[str, list[str | None]]]) -> Job:
    category, rates = draw(st.sampled_from(taxes))
    line: Job = {
        "description": draw(_WORDS),
        "quantity": _spelled(draw, draw(_decimals("0.001", "5000", 3))),
        "unit_price": _spelled(draw, draw(_decimals("0", "20000", 4))),
        **draw(_optional({"unit": st.sampled_from(_UNITS)})),
        **draw(_optional({"discount_percent": _decimals("0", "100", 2).map(str)})),
    }
    if category != "S" or draw(st.booleans()):
        line["vat_category"] = category
    rate = draw(st.sampled_from(rates))
    return line if rate is None else line | {"vat_rate": rate}


@st.composite
def _buyers(draw: st.DrawFn, regime: str) -> Job:
    if regime == "intra-community":
        country = draw(st.sampled_from(sorted(_EU_BUYERS)))
        vat_id: str | None = _EU_BUYERS[country]
    elif regime == "export":
        country, vat_id = draw(st.sampled_from(["US", "CH", "JP", "GB"])), None
    else:
        country = draw(st.sampled_from(["DE", *sorted(_EU_BUYERS)]))
        vat_id = "DE136695976" if country == "DE" else _EU_BUYERS[country]
        if regime != "reverse charge" and draw(st.booleans()):
            vat_id = None
    buyer = {"name": draw(_WORDS), "country": country}
    optional = {
        "street": _WORDS,
        "postal_code": st.sampled_from(["10115", "SW1A 1AA"]),
        "city": _WORDS,
        "email": st.just("ap@blue.example"),
        "reference": _WORDS,
    }
    buyer |= draw(_optional(optional))
    return buyer if vat_id is None else buyer | {"vat_id": vat_id}


@st.composite
def _allowances(draw: st.DrawFn, lines: list[Job], decimals: int) -> list[Job]:
    """Return allowances that leave every VAT base at 0 or more: at most 2 x 30 % and 25 %."""
    line = draw(st.sampled_from(lines))
    adjusted = [
        {"reason": draw(_WORDS), "percent": str(draw(_decimals("0", "30", 2))), **_tax(line)}
        for _ in range(draw(st.integers(0, 2)))
    ]
    if "discount_percent" not in line:
        worth = Decimal(str(line["quantity"])) * Decimal(str(line["unit_price"])) / 4
        most = worth.quantize(Decimal(1).scaleb(-decimals), rounding="ROUND_DOWN")
        if most > 0:
            amount = draw(st.decimals(Decimal(1).scaleb(-decimals), most, places=decimals))
            adjusted.append({"reason": draw(_WORDS), "amount": str(amount), **_tax(line)})
    return adjusted


@st.composite
def _charges(draw: st.DrawFn, lines: list[Job], decimals: int) -> Job:
    charge = {"reason": draw(_WORDS), **_tax(draw(st.sampled_from(lines)))}
    if draw(st.booleans()):
        return charge | {"percent": str(draw(_decimals("0", "100", 2)))}
    return charge | {"amount": _spelled(draw, draw(_decimals("1", "900", decimals)))}


@st.composite
def _dates(draw: st.DrawFn) -> Job:
    issue = ARRIVAL.date() + dt.timedelta(days=draw(st.integers(-3_000, 300)))
    due = issue + dt.timedelta(days=draw(st.integers(0, 90)))
    dates = {"issue_date": issue.isoformat(), "due_date": due.isoformat()}
    return draw(st.sampled_from([{}, {"issue_date": dates["issue_date"]}, dates]))


def _payments() -> st.SearchStrategy[Job]:
    account = st.sampled_from([
        {}, {"iban": "DE89 3704 0044 0532 0130 00"},
        {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPXXX"},
    ])  # fmt: skip
    return st.builds(lambda one, terms: one | terms, account, _optional({"terms": _PARAGRAPHS}))


def _tax(line: Job) -> Job:
    return {key: line[key] for key in ("vat_category", "vat_rate") if key in line}


def _decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(least), Decimal(most), places=places)


def _spelled(draw: st.DrawFn, value: Decimal) -> str | float:
    spelled: list[str | float] = [str(value), float(value)]
    return draw(st.sampled_from(spelled))


def _optional(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Job]:
    return st.fixed_dictionaries({}, optional=fields)
