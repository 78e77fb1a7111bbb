"""Laws of `from`: what samples the messages of another log stand for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.metrics_aggregator.domain.mapping import mapped_samples
from services.metrics_aggregator.domain.refusal import Refusal
from services.metrics_aggregator.domain.rules import Source

ARRIVAL_MS = 1_790_000_000_123
INVOICE = {
    "currency": "EUR",
    "issued_at": "2026-11-23T08:00:00Z",
    "totals": {"gross": "264.36", "due": 264.36, "vat": None, "text": "12 EUR"},
    "vat": [{"rate": 19, "base": "197.90"}, {"rate": 7.5, "base": "26.97"}],
    "paid": False,
    "epoch": 1_790_000_000,
}


def samples(body: Any = INVOICE, **source: Any) -> list[tuple[dict[str, str], int, float]]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = mapped_samples(text, Source(stream="INVOICES", name="revenue", **source), ARRIVAL_MS)
    assert {sample.series.name for sample in found} <= {"revenue"}
    return [(dict(sample.series.labels), sample.time_ms, sample.value) for sample in found]


def test_a_message_without_paths_counts_one_at_its_arrival() -> None:
    assert samples() == [({}, ARRIVAL_MS, 1.0)]


def test_values_labels_and_times_are_found_by_their_paths() -> None:
    labels = (("currency", "currency"), ("first", "vat.0.rate"), ("paid", "paid"))
    assert samples(value="totals.gross", time="issued_at", labels=labels) == [
        ({"currency": "EUR", "first": "19", "paid": "false"}, 1_795_420_800_000, 264.36)
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [("totals.gross", 264.36), ("totals.due", 264.36), ("vat.1.rate", 7.5), ("vat.0.base", 197.9)],
)
def test_a_value_is_a_number_or_a_decimal_text(path: str, value: float) -> None:
    assert samples(value=path)[0][2] == value


def test_each_entry_of_a_list_is_a_sample_with_what_is_around_it() -> None:
    labels = (("currency", "currency"), ("rate", ".rate"))
    assert samples(each="vat", value=".base", labels=labels) == [
        ({"currency": "EUR", "rate": "19"}, ARRIVAL_MS, 197.9),
        ({"currency": "EUR", "rate": "7.5"}, ARRIVAL_MS, 26.97),
    ]
    assert samples({"vat": []}, each="vat", value=".base") == []


def test_a_label_that_is_missing_is_left_out() -> None:
    labels = (("a", "totals.vat"), ("b", "nobody.there"), ("c", "vat.7.rate"), ("d", "currency.x"))
    assert samples(labels=labels) == [({}, ARRIVAL_MS, 1.0)]


@pytest.mark.parametrize("when", [1_790_000_000, 1_790_000_000.0, "2026-09-21T14:13:20Z"])
def test_a_time_is_of_rfc_3339_or_seconds_since_1970(when: object) -> None:
    assert samples({"when": when}, time="when")[0][1] == 1_790_000_000_000


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({"value": "nobody"}, "nobody: is missing or no number"),
        ({"value": "totals.vat"}, "totals.vat: is missing or no number"),
        ({"value": "totals.text"}, "totals.text: is missing or no number"),
        ({"value": "paid"}, "paid: is missing or no number"),
        ({"value": "vat"}, "vat: is missing or no number"),
        ({"each": "totals"}, "totals: is no list"),
        ({"each": "vat", "value": ".gross"}, ".gross: is missing or no number"),
        ({"labels": (("a", "totals"),)}, "totals: is no text"),
        ({"time": "nobody"}, "nobody: is missing or no time"),
        ({"time": "currency"}, "currency: is no RFC 3339 time"),
        ({"time": "paid"}, "paid: is missing or no time"),
    ],
)
def test_a_message_that_lacks_what_a_path_needs_is_refused_by_the_path(
    source: dict[str, Any], error: str
) -> None:
    with pytest.raises(Refusal) as raised:
        samples(**source)
    assert (raised.value.reason, raised.value.error) == ("invalid", error)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a": nan}', b"[" * 3_000, b'{"a": 1} x', b'"\xed\xa0\x80"']
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        samples(body, value="a")
    assert raised.value.reason == "malformed"


@pytest.mark.parametrize(
    "number", ["9" * 400, "-" + "9" * 400, "1" + "0" * 5_000, "1e200", '"1e200"', '"nan"', '"inf"']
)
def test_a_number_that_cannot_be_added_up_is_refused_as_a_value_and_fits_as_a_label(
    number: str,
) -> None:
    body = b'{"a": %s}' % number.encode()
    with pytest.raises(Refusal):
        samples(body, value="a")
    try:
        assert len(samples(body, labels=(("a", "a"),))) == 1
    except Refusal as refusal:
        assert refusal.error  # noqa: PT017  either answer will do, but no other error


@pytest.mark.parametrize("body", [b"1", b"null", b'"x"', b"[]", b"{}"])
def test_a_body_of_any_shape_is_a_sample_if_nothing_is_asked_of_it(body: bytes) -> None:
    assert samples(body) == [({}, ARRIVAL_MS, 1.0)]
