"""The QR code that a banking app scans to pay: EPC069-12, version 002."""

from __future__ import annotations

from decimal import Decimal

import segno

from services.invoice_worker.documents import terms
from shared.contracts.invoices import InvoiceIssued

_HIGHEST = Decimal("999999999.99")
_NAME_LENGTH = 70
_PAYLOAD_BYTES = 331


def epc_payload(fact: InvoiceIssued) -> str | None:
    """Return the text of the code, or None where no euro transfer can be asked for.

    The standard knows only euro, amounts from 0.01 to 999,999,999.99, and 331 bytes in all:
    a name that takes more is cut.
    """
    iban = terms.iban(fact)
    amount = fact.totals.due
    if iban is None or fact.currency != "EUR" or not 0 < amount <= _HIGHEST:
        return None
    bic = (fact.payment.bic if fact.payment else None) or ""
    name = " ".join(fact.supplier.name.split())[:_NAME_LENGTH]
    while True:
        payload = "\n".join(
            ("BCD", "002", "1", "SCT", bic, name, iban, f"EUR{amount:.2f}", "", "", fact.number)
        )
        if len(payload.encode()) <= _PAYLOAD_BYTES:
            return payload
        name = name[:-1]


def qr_svg(payload: str) -> str:
    """Return the code as an SVG image without a quiet zone, one unit a module.

    The mask is fixed: trying all eight takes five times as long, and any of them scans.
    """
    code = segno.make_qr(
        payload, error="m", boost_error=False, mask=7, mode="byte", encoding="utf-8"
    )
    size = len(code.matrix)
    path = "".join(_runs(code.matrix))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}">'
        f'<path stroke="#000" d="{path}"/></svg>'
    )


def _runs(matrix: tuple[bytearray, ...]) -> list[str]:
    """Return an SVG line for each horizontal run of dark modules."""
    runs = []
    for y, row in enumerate(matrix):
        end = 0
        while (start := row.find(1, end)) >= 0:
            end = row.find(0, start)
            if end < 0:
                end = len(row)
            runs.append(f"M{start} {y}.5h{end - start}")
    return runs
