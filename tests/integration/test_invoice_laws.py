"""The laws of the invoice domain over many random jobs; see `tests/unit/invoice_worker`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.invoice_strategies import bad_jobs, jobs
from tests.unit.invoice_worker import laws
from tests.unit.invoice_worker.samples import EXAMPLE, changed, issued, refusal

_many = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
_FIELDS = [
    "order_id", "type", "issue_date", "due_date", "currency", "note", "buyer", "buyer.vat_id",
    "buyer.email", "lines", "lines[0]", "lines[1].quantity", "lines[1].unit_price",
    "lines[0].vat_rate", "allowances[0].percent", "charges[0].amount", "payment", "payment.iban",
]  # fmt: skip


@_many
@given(jobs(), st.integers(0, 2**32))
def test_a_valid_job_becomes_an_invoice_that_adds_up(job: dict[str, Any], seed: int) -> None:
    fact = issued(job)
    laws.assert_amounts_follow_from_the_job(job, fact)
    laws.assert_totals_obey_br_co_10_to_16(fact)
    laws.assert_breakdown_is_of_its_parts(fact)
    laws.assert_amounts_have_the_decimals_of_the_currency(fact)
    laws.assert_spelling_makes_no_difference(job, seed)


@_many
@given(bad_jobs())
def test_a_bad_job_gets_its_reason(bad: tuple[bytes, str]) -> None:
    body, reason = bad
    assert refusal(body).startswith(f"{reason} ")


@_many
@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_whatever_arrives_is_refused_and_does_no_harm(body: bytes) -> None:
    assert refusal(body)


@_many
@given(st.sampled_from(_FIELDS), _json)
def test_whatever_stands_in_a_field_does_no_harm(path: str, value: object) -> None:
    refusal(changed(EXAMPLE, path, value))


@_many
@given(st.sampled_from(_FIELDS), st.text(max_size=40))
def test_whatever_text_stands_in_a_field_does_no_harm(path: str, value: str) -> None:
    refusal(changed(EXAMPLE, path, value))
