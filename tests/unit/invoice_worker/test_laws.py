"""Laws that hold for every job, over a few random ones.

This tier runs at every keystroke; `tests/integration/test_invoice_laws.py` draws many more.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.invoice_strategies import bad_jobs, fuzzed_jobs, jobs
from tests.unit.invoice_worker import laws
from tests.unit.invoice_worker.samples import EXAMPLE, changed, issued, refusal

_few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@_few
@given(jobs(), st.integers(0, 2**32))
def test_a_valid_job_becomes_an_invoice_that_adds_up(job: dict[str, Any], seed: int) -> None:
    fact = issued(job)
    laws.assert_amounts_follow_from_the_job(job, fact)
    laws.assert_totals_obey_br_co_10_to_16(fact)
    laws.assert_breakdown_is_of_its_parts(fact)
    laws.assert_amounts_have_the_decimals_of_the_currency(fact)
    laws.assert_spelling_makes_no_difference(job, seed)


@_few
@given(bad_jobs())
def test_a_bad_job_gets_its_reason(bad: tuple[bytes, str]) -> None:
    body, reason = bad
    assert refusal(body).startswith(f"{reason} ")


def test_two_thousand_damaged_jobs_are_issued_or_refused() -> None:
    refusals = [refusal(body) for body in fuzzed_jobs(seed=16931, count=2_000)]
    outcomes = Counter(words.partition(" ")[0] for words in refusals)
    assert outcomes.keys() == {"", "malformed", "invalid"}
    assert min(outcomes.values()) > 200


def test_noise_is_refused() -> None:
    chance = random.Random(16931)
    for length in range(300):
        assert refusal(chance.randbytes(length))


def test_half_a_cent_is_rounded_up() -> None:
    job = changed(EXAMPLE | {"allowances": [], "charges": []}, "lines[0].quantity", "0.5")
    job = changed(job, "lines[0].unit_price", "0.01")
    assert str(issued(job).lines[0].net) == "0.01"
    assert str(issued(changed(job, "lines[0].unit_price", "0.009999")).lines[0].net) == "0.00"
