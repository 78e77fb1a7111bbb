"""Demo traffic is traffic like any other: every job becomes an invoice."""

from __future__ import annotations

import datetime as dt
import random

from services.invoice_worker.demo import SUBJECT, make_job
from services.invoice_worker.domain.issue import PreparedInvoice, prepare
from services.invoice_worker.domain.job import parse_job
from services.invoice_worker.domain.sellers import Sellers
from shared.contracts.invoices import InvoiceJob

_JOBS = 500
_ARRIVAL = dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)


def _accept(seed: int) -> list[tuple[InvoiceJob, PreparedInvoice]]:
    chance = random.Random(seed)
    profile = Sellers.load(None).get(SUBJECT.rpartition(".")[2])
    jobs = [parse_job("demo", make_job(chance, number).body) for number in range(_JOBS)]
    return [(job, prepare(job, profile, _ARRIVAL)) for job in jobs]


def test_every_job_is_accepted_and_no_two_are_the_same() -> None:
    accepted = _accept(seed=1)
    assert len({job.order_id for job, _ in accepted}) == _JOBS


def test_the_traffic_is_varied() -> None:
    jobs = [job for job, _ in _accept(seed=2)]
    assert {line.vat_category for job in jobs for line in job.lines} >= {"S", "K", "G"}
    assert any(job.allowances for job in jobs)
    assert any(job.charges for job in jobs)
    assert any(line.discount_percent for job in jobs for line in job.lines)
    assert len({job.buyer.country for job in jobs}) > 4


def test_the_same_seed_gives_the_same_messages() -> None:
    first, again, other = (
        [make_job(chance, number) for number in range(20)]
        for chance in (random.Random(7), random.Random(7), random.Random(8))
    )
    assert first == again
    assert not {job.message_id for job in first} & {job.message_id for job in other}
