"""Damaged invoice jobs by the thousand, the same ones for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

_JOB: dict[str, Any] = {
    "order_id": "SO-1001",
    "type": "invoice",
    "issue_date": "2026-11-23",
    "due_date": "2026-12-23",
    "currency": "EUR",
    "buyer": {"name": "Blue GmbH", "city": "Berlin", "country": "DE", "vat_id": "DE136695976"},
    "lines": [
        {"description": "Consulting", "quantity": "2.5", "unit": "HUR", "unit_price": "80.00"},
        {"description": "Handbook", "quantity": 3, "unit_price": 9.99, "vat_rate": "7"},
    ],
    "allowances": [{"reason": "Loyalty", "percent": "5"}],
    "charges": [{"reason": "Freight", "amount": "7.90"}],
    "payment": {"iban": "DE89370400440532013000", "terms": "30 days net"},
    "note": "Thank you",
}
_TEXT = json.dumps(_JOB)
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, -(2**70), 0.1, 1e308, 1e-300, "", " ", "0", "-0", "1e400",
    "1e999999", "1E-999999", "9" * 5_000, "NaN", "sNaN", "-Infinity", "0x10", "1_0", "١٢",
    "x" * 300, "\u0000", "\u001b[31m", "\u202egnp.exe", "\u200f", "\ufeff", "\uffff", "\ud800",
    "a\u0301" * 99,
    "../../../etc/passwd", "jobs.invoice.*", ">", '#eval("1")', "<!ENTITY x SYSTEM 'file:///'>",
    "S", "O", "AE", "KWD", "JPY", "DE", "XX", "credit_note", "0001-01-01", "9999-12-31",
    "2026-02-30", "2026-11-23T00:00:00Z", [], {}, [[]], [{}], {"": {}}, ["a"] * 2_000, [None],
]  # fmt: skip


def fuzzed_jobs(seed: int, count: int) -> list[bytes]:
    """Return `count` bodies, most of them bad, some still valid, for seller `demo`.

    Order ids are distinct where damage has left them alone.
    """
    chance = random.Random(seed)
    return [_fuzzed(chance, index) for index in range(count)]


def _fuzzed(chance: random.Random, index: int) -> bytes:
    job = json.loads(_TEXT) | {"order_id": f"SO-{index}"}
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        chance.choice(_DAMAGE)(chance, job)
    body = json.dumps(job, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
    if chance.random() < 0.3:
        return chance.choice(_CORRUPT)(chance, body)
    return body


def _replace(chance: random.Random, job: dict[str, Any]) -> None:
    holder, key = _place(chance, job)
    holder[key] = copy.deepcopy(chance.choice(_VALUES))


def _remove(chance: random.Random, job: dict[str, Any]) -> None:
    holder, key = _place(chance, job)
    del holder[key]


def _swap(chance: random.Random, job: dict[str, Any]) -> None:
    (one, at), (other, there) = _place(chance, job), _place(chance, job)
    one[at], other[there] = copy.deepcopy(other[there]), copy.deepcopy(one[at])


def _add(chance: random.Random, job: dict[str, Any]) -> None:
    holder, _ = _place(chance, job)
    if isinstance(holder, dict):
        name = chance.choice(["vat_category", "vat_rate", "discount_percent", "amount", "bic", "é"])
        holder[name] = copy.deepcopy(chance.choice(_VALUES))


def _place(chance: random.Random, job: dict[str, Any]) -> tuple[Any, Any]:
    """Return a random container of the job and a key in it."""
    places = list(_places(job))
    return chance.choice(places) if places else (job | {"note": None}, "note")


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    found = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found


def _cut(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body))]


def _flip(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << chance.randrange(8)]) + body[at + 1 :]


def _insert(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + chance.choice(_BYTES) + body[at:]


def _double(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + body[at // 2 :]


_BYTES = [
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"}", b"[" * 100_000, b'{"a":' * 50_000, b"//",
    b'"order_id": "twice",', b"1e999", b"\\u0000", b"\xe2\x80\xae", b" " * 10_000, b"9" * 100_000,
]  # fmt: skip
_DAMAGE: list[Callable[[random.Random, dict[str, Any]], None]] = [_replace, _remove, _swap, _add]
_CORRUPT: list[Callable[[random.Random, bytes], bytes]] = [_cut, _flip, _insert, _double]
