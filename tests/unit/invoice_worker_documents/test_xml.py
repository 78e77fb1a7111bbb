"""Both syntaxes say what the fact says, in the fewest words that EN 16931 allows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from services.invoice_worker.documents.cii import cii_xml
from services.invoice_worker.documents.render import object_names
from services.invoice_worker.documents.ubl import ubl_xml
from services.invoice_worker.documents.xml_tree import plain
from shared.contracts.invoices import InvoiceIssued
from tests.unit.invoice_worker_documents.facts import FACT

CREDIT = msgspec.structs.replace(FACT, type="credit_note", preceding_invoice="DEMO-2026-000000")
# Where each syntax writes a business term, and the term.
TERMS = [
    ("ExchangedDocument/ID", "/Invoice/ID", "DEMO-2026-000001"),
    ("SellerOrderReferencedDocument/IssuerAssignedID", "OrderReference/SalesOrderID", "SO-1"),
    ("SellerTradeParty/Name", "AccountingSupplierParty//RegistrationName", "Headrace Demo GmbH"),
    ("BuyerTradeParty/Name", "AccountingCustomerParty//RegistrationName", "Blue GmbH"),
    ("BilledQuantity", "InvoicedQuantity", "2.50"),
    ("IBANID", "PayeeFinancialAccount/ID", "DE89370400440532013000"),
    ("PayeeSpecifiedCreditorFinancialInstitution/BICID", "FinancialInstitutionBranch/ID",
     "COBADEFFXXX"),
    ("SpecifiedTradeSettlementPaymentMeans/TypeCode", "PaymentMeansCode", "58"),
    ("GrandTotalAmount", "TaxInclusiveAmount", "1487.50"),
    ("DuePayableAmount", "PayableAmount", "1487.50"),
]  # fmt: skip


def _texts(xml: bytes, path: str) -> list[str]:
    """Return the texts at a path of local names; `/a/b` from the root, else from anywhere."""
    steps = path.split("/")
    query = "/".join(f"*[local-name()='{step}']" if step else "" for step in steps)
    found = etree.fromstring(xml).xpath(query if path.startswith("/") else f"//{query}")
    assert isinstance(found, list)
    return [str(element.text) for element in found if isinstance(element, etree._Element)]  # noqa: SLF001 - lxml's element type


@pytest.mark.parametrize(("cii", "ubl", "term"), TERMS)
def test_both_syntaxes_say_the_same(cii: str, ubl: str, term: str) -> None:
    assert _texts(cii_xml(FACT), cii) == [term]
    assert _texts(ubl_xml(FACT), ubl) == [term]


def test_a_credit_note_is_one_in_both_syntaxes_and_names_its_invoice() -> None:
    cii, ubl = cii_xml(CREDIT), ubl_xml(CREDIT)
    assert _texts(cii, "ExchangedDocument/TypeCode") == ["381"]
    assert _texts(ubl, "/CreditNote/CreditNoteTypeCode") == ["381"]
    assert _texts(cii, "InvoiceReferencedDocument/IssuerAssignedID") == ["DEMO-2026-000000"]
    assert _texts(ubl, "InvoiceDocumentReference/ID") == ["DEMO-2026-000000"]
    assert _texts(ubl, "PaymentMeans/PaymentDueDate") == ["2026-12-23"]
    for xml in (cii, ubl):
        assert b"DE89370400440532013000" not in xml, "a credit note asks for no transfer"


def test_outside_the_scope_of_vat_neither_rate_nor_vat_id_is_named() -> None:
    line = msgspec.structs.replace(FACT.lines[0], vat_category="O", vat_rate=Decimal(0))
    row = msgspec.structs.replace(FACT.vat[0], category="O", rate=Decimal(0))
    fact = msgspec.structs.replace(FACT, lines=(line,), vat=(row,))
    for xml in (cii_xml(fact), ubl_xml(fact)):
        assert b"DE123456788" not in xml
        assert b"DE136695976" not in xml
        assert b"Percent" not in xml
        assert b">demo<" in xml, "BR-CO-26: something must identify the seller"


def test_money_in_another_currency_is_paid_by_a_transfer_that_is_not_sepa() -> None:
    fact = msgspec.structs.replace(FACT, currency="USD")
    assert _texts(cii_xml(fact), "SpecifiedTradeSettlementPaymentMeans/TypeCode") == ["30"]
    assert _texts(ubl_xml(fact), "PaymentMeansCode") == ["30"]


def test_money_due_without_a_date_is_due_at_once_in_the_buyers_language() -> None:
    fact = msgspec.structs.replace(FACT, due_date=None)
    assert _texts(cii_xml(fact), "SpecifiedTradePaymentTerms/Description") == [
        "Zahlbar sofort nach Erhalt."
    ]


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_any_text_comes_back_from_both_documents_as_it_went_in(note: str) -> None:
    fact = msgspec.structs.replace(FACT, note=note)
    assert _texts(cii_xml(fact), "IncludedNote/Content") == [note]
    assert _texts(ubl_xml(fact), "/Invoice/Note") == [note]


@pytest.mark.parametrize("write", [cii_xml, ubl_xml])
def test_text_that_xml_forbids_is_refused(write: Callable[[InvoiceIssued], bytes]) -> None:
    with pytest.raises(ValueError, match="XML compatible"):
        write(msgspec.structs.replace(FACT, note="a\x00b"))


def test_decimals_are_written_without_an_exponent() -> None:
    assert [plain(Decimal(text)) for text in ("1E+3", "0.00", "1E-7")] == [
        "1000",
        "0.00",
        "0.0000001",
    ]


def test_objects_are_named_by_the_number() -> None:
    assert object_names(FACT.number) == ("DEMO-2026-000001.pdf", "DEMO-2026-000001.xml")
