"""The fact as the strings that the page shows: the template only places them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from services.invoice_worker.documents import figures, terms
from services.invoice_worker.documents.columns import Line, Row, widths
from services.invoice_worker.documents.epc_qr import epc_payload, qr_svg
from services.invoice_worker.documents.texts import Texts, texts_for
from shared.contracts.invoices import InvoiceIssued, IssuedAdjustment, IssuedLine, VatSubtotal


class Page(Struct, frozen=True):
    """Everything printed, formatted in the buyer's language."""

    language: str
    title: str
    author: str
    subject: str
    sender: str
    letterhead: tuple[str, ...]
    address: tuple[str, ...]
    meta: tuple[Row, ...]
    header: Row
    lines: tuple[Line, ...]
    widths: tuple[float, ...]
    totals: tuple[Row, ...]
    total: Row
    vat_header: Row
    vat: tuple[Row, ...]
    remarks: tuple[str, ...]
    pay_title: str
    pay_text: str
    pay_rows: tuple[Row, ...]
    scan: str
    footer: tuple[tuple[str, ...], ...]
    page_of: Row
    issued: tuple[int, ...]
    """Year to second, UTC."""
    qr: str
    """SVG, or empty."""


def page_of(fact: InvoiceIssued) -> Page:
    """Return what the page of this invoice or credit note says."""
    texts = texts_for(fact.buyer.country)
    supplier = fact.supplier
    kind = texts.credit_note if fact.type == "credit_note" else texts.invoice
    payload = epc_payload(fact)
    town = f"{supplier.postal_code} {supplier.city}"
    header = (
        texts.position,
        texts.description,
        texts.quantity,
        texts.unit_price,
        texts.vat,
        f"{texts.amount} {fact.currency}",
    )
    lines = tuple(_line(line, texts) for line in fact.lines)
    return Page(
        language=texts.language,
        title=f"{kind} {fact.number}",
        author=supplier.name,
        subject=kind,
        sender=f"{supplier.name} · {supplier.street} · {town} · {supplier.country}",
        letterhead=(supplier.name, *_contact(fact, texts)),
        address=_address(fact),
        meta=tuple(_meta(fact, texts)),
        header=header,
        lines=lines,
        widths=widths(header, lines),
        totals=tuple(_totals(fact, texts)),
        total=(
            texts.credit_total if fact.type == "credit_note" else texts.gross,
            figures.money(fact.totals.due, fact, texts),
        ),
        vat_header=(texts.vat_rate, texts.vat_base, texts.vat_amount),
        vat=tuple(zip(*(_vat(row, texts) for row in fact.vat), strict=True)),
        remarks=tuple(_remarks(fact, texts)),
        pay_title=texts.pay_to,
        pay_text=_pay_text(fact, texts),
        pay_rows=tuple(_pay_rows(fact, texts)),
        scan=texts.scan,
        footer=_footer(fact, texts),
        page_of=(texts.page, texts.of),
        issued=tuple(fact.issued_at.utctimetuple()[:6]),
        qr=qr_svg(payload) if payload else "",
    )


def _contact(fact: InvoiceIssued, texts: Texts) -> Iterator[str]:
    supplier = fact.supplier
    if supplier.contact:
        yield supplier.contact
    if supplier.phone:
        yield f"{texts.phone} {supplier.phone}"
    if supplier.email:
        yield supplier.email


def _address(fact: InvoiceIssued) -> tuple[str, ...]:
    """Return the address window: name, street, town, and the country where it is abroad."""
    buyer = fact.buyer
    town = " ".join(part for part in (buyer.postal_code, buyer.city) if part)
    country = buyer.country if buyer.country != fact.supplier.country else None
    return tuple(figures.cut(part) for part in (buyer.name, buyer.street, town, country) if part)


def _meta(fact: InvoiceIssued, texts: Texts) -> Iterator[Row]:
    yield texts.number, fact.number
    yield texts.date, texts.date_text(fact.issue_date)
    if fact.due_date:
        yield texts.due, texts.date_text(fact.due_date)
    if fact.delivery_date:
        yield texts.delivered, texts.date_text(fact.delivery_date)
    if fact.preceding_invoice:
        yield texts.preceding, figures.cut(fact.preceding_invoice)
    yield texts.order, figures.cut(fact.order_id)
    if fact.buyer.reference:
        yield texts.reference, figures.cut(fact.buyer.reference)
    vat_id = terms.buyer_vat_id(fact)
    if vat_id:
        yield texts.your_vat_id, vat_id


def _line(line: IssuedLine, texts: Texts) -> Line:
    discount: Row = ()
    if line.discount:
        label = texts.discount
        if line.discount_percent is not None:
            label += f" {figures.percent(line.discount_percent, texts)}"
        discount = (label, figures.minus(line.discount, texts))
    gross = line.net + (line.discount or 0)
    price = line.unit_price
    if figures.decimals(price) < figures.decimals(line.net):
        price = price.quantize(line.net)
    return Line(
        cells=(
            str(line.line),
            line.description,
            f"{texts.quantity_text(line.quantity)} {texts.units.get(line.unit, line.unit)}",
            texts.number_text(price),
            figures.rate(line.vat_category, line.vat_rate, texts),
            texts.number_text(gross),
        ),
        discount=discount,
    )


def _totals(fact: InvoiceIssued, texts: Texts) -> Iterator[Row]:
    if fact.allowances or fact.charges:
        yield texts.lines_total, texts.number_text(fact.totals.lines)
    for allowance in fact.allowances:
        yield _reason(allowance, texts), figures.minus(allowance.amount, texts)
    for charge in fact.charges:
        yield _reason(charge, texts), texts.number_text(charge.amount)
    yield texts.net, texts.number_text(fact.totals.net)
    yield texts.vat, texts.number_text(fact.totals.vat)


def _reason(adjustment: IssuedAdjustment, texts: Texts) -> str:
    if adjustment.percent is None:
        return adjustment.reason
    percent = figures.percent(adjustment.percent, texts)
    if adjustment.base is not None:
        percent += f" \N{MULTIPLICATION SIGN} {texts.number_text(adjustment.base)}"
    return f"{adjustment.reason} ({percent})"


def _vat(row: VatSubtotal, texts: Texts) -> Row:
    return (
        figures.rate(row.category, row.rate, texts, or_else=texts.no_vat),
        texts.number_text(row.base),
        texts.number_text(row.amount),
    )


def _remarks(fact: InvoiceIssued, texts: Texts) -> Iterator[str]:
    reasons = dict.fromkeys(row.exemption_reason for row in fact.vat if row.exemption_reason)
    yield from reasons
    words = terms.payment_terms(fact)
    if words:
        yield words
    if texts.language == "de" and fact.type == "invoice" and fact.delivery_date is None:
        yield texts.delivered_as_issued
    if fact.note:
        yield fact.note


def _pay_text(fact: InvoiceIssued, texts: Texts) -> str:
    if terms.iban(fact) is None or fact.totals.due <= 0:
        return ""
    amount = figures.money(fact.totals.due, fact, texts)
    if fact.due_date:
        return texts.pay_by.format(amount=amount, date=texts.date_text(fact.due_date))
    return texts.pay.format(amount=amount)


def _pay_rows(fact: InvoiceIssued, texts: Texts) -> Iterator[Row]:
    iban = terms.iban(fact)
    if iban is None:
        return
    yield texts.recipient, fact.supplier.name
    yield "IBAN", " ".join(iban[n : n + 4] for n in range(0, len(iban), 4))
    if fact.payment and fact.payment.bic:
        yield "BIC", fact.payment.bic
    yield texts.payment_reference, fact.number


def _footer(fact: InvoiceIssued, texts: Texts) -> tuple[tuple[str, ...], ...]:
    supplier = fact.supplier
    town = f"{supplier.postal_code} {supplier.city}, {supplier.country}"
    vat_id = terms.supplier_vat_id(fact)
    numbers = (
        f"{texts.vat_id} {vat_id}" if vat_id else "",
        f"{texts.tax_number} {supplier.tax_number}" if supplier.tax_number else "",
        f"{texts.registration} {supplier.registration}" if supplier.registration else "",
    )
    columns = (
        (supplier.name, supplier.street, town),
        tuple(_contact(fact, texts)),
        tuple(part for part in numbers if part),
    )
    return tuple(column for column in columns if column)
