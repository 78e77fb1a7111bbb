"""The code to scan asks for exactly the transfer that the invoice asks for."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from services.invoice_worker.documents.epc_qr import epc_payload, qr_svg
from shared.contracts.invoices import InvoiceIssued, Payment
from tests.unit.invoice_worker_documents.facts import FACT


def _with(**changes: object) -> InvoiceIssued:
    return msgspec.structs.replace(FACT, **changes)


def test_the_payload_is_that_of_epc069_12_version_2() -> None:
    assert epc_payload(FACT) == (
        "BCD\n002\n1\nSCT\nCOBADEFFXXX\nHeadrace Demo GmbH\nDE89370400440532013000\n"
        "EUR1487.50\n\n\nDEMO-2026-000001"
    )


@pytest.mark.parametrize(
    "fact",
    [
        _with(currency="USD"),
        _with(payment=None),
        _with(payment=Payment(terms="cash")),
        _with(type="credit_note"),
        _with(totals=msgspec.structs.replace(FACT.totals, due=Decimal("0.00"))),
        _with(totals=msgspec.structs.replace(FACT.totals, due=Decimal("1000000000.00"))),
    ],
)
def test_no_code_where_no_euro_transfer_is_asked_for(fact: InvoiceIssued) -> None:
    assert epc_payload(fact) is None


@pytest.mark.parametrize("name", ["A" * 200, "Ж" * 200, "🧾" * 200, "line\nbreak"])
def test_the_payload_keeps_its_twelve_lines_and_331_bytes(name: str) -> None:
    supplier = msgspec.structs.replace(FACT.supplier, name=name)
    payload = epc_payload(_with(supplier=supplier))
    assert payload is not None
    assert len(payload.encode()) <= 331
    lines = payload.split("\n")
    assert len(lines) == 11
    assert 0 < len(lines[5]) <= 70
    assert lines[-1] == FACT.number


def test_the_picture_has_every_dark_module_once() -> None:
    payload = epc_payload(FACT)
    assert payload is not None
    svg = qr_svg(payload)
    assert svg.startswith("<svg ")
    assert svg == qr_svg(payload)
    # The first row begins and ends with the upper edge of a finder pattern, seven modules.
    assert "M0 0.5h7M" in svg
