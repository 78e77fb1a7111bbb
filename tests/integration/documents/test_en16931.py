"""Both XML syntaxes pass schema and schematron, and the same check refuses what is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from services.invoice_worker.documents.cii import cii_xml
from services.invoice_worker.documents.ubl import ubl_xml
from shared.contracts.invoices import InvoiceIssued
from tests.en16931 import assert_valid, violations
from tests.invoice_facts import fact_of, sample_facts
from tests.invoice_strategies import jobs

SAMPLES = sample_facts()
CII = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
# What stands in the documents of the contract's example, and what spoils it.
SPOILED_CII = {
    "a wrong total": ("GrandTotalAmount>264.36", "GrandTotalAmount>264.37"),
    "wrong VAT": ("CalculatedAmount>37.60", "CalculatedAmount>37.00"),
    "no seller VAT id": ('schemeID="VA"', 'schemeID="XX"'),
    "an unknown currency": ("InvoiceCurrencyCode>EUR", "InvoiceCurrencyCode>XXY"),
    "an unknown unit": ('unitCode="HUR"', 'unitCode="NOPE"'),
    "an unknown VAT category": ("CategoryCode>S", "CategoryCode>Q"),
    "no country": ("<ram:CountryID>DE</ram:CountryID>", ""),
    "three decimals": ("LineTotalAmount>200.00", "LineTotalAmount>200.001"),
    "an unknown element": ("<ram:TypeCode>380", "<ram:Typ>x</ram:Typ><ram:TypeCode>380"),
    "another type code": ("<ram:TypeCode>380", "<ram:TypeCode>999"),
}
SPOILED_UBL = {
    "a wrong total": ('TaxInclusiveAmount currencyID="EUR">264.36', None),
    "wrong VAT": ('TaxAmount currencyID="EUR">37.60', 'TaxAmount currencyID="EUR">37.00'),
    "no VAT scheme": ("<cbc:ID>VAT</cbc:ID>", "<cbc:ID>XX</cbc:ID>"),
    "an unknown currency": ("DocumentCurrencyCode>EUR", "DocumentCurrencyCode>XXY"),
    "an unknown unit": ('unitCode="HUR"', 'unitCode="NOPE"'),
    "an unknown VAT category": ("<cbc:ID>S</cbc:ID>", "<cbc:ID>Q</cbc:ID>"),
    "no country": ("<cbc:IdentificationCode>DE</cbc:IdentificationCode>", ""),
    "an unknown element": ("<cbc:InvoiceTypeCode>", "<cbc:X>x</cbc:X><cbc:InvoiceTypeCode>"),
    "another type code": ("TypeCode>380", "TypeCode>999"),
}


@pytest.mark.parametrize("fact", SAMPLES.values(), ids=list(SAMPLES))
def test_every_kind_of_invoice_is_valid_in_both_syntaxes(fact: InvoiceIssued) -> None:
    assert_valid(cii_xml(fact))
    assert_valid(ubl_xml(fact))


@given(job=jobs())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_valid_job_gives_valid_documents(job: dict[str, Any]) -> None:
    fact = fact_of(job)
    assert_valid(cii_xml(fact))
    assert_valid(ubl_xml(fact))


@pytest.mark.parametrize(("good", "bad"), SPOILED_CII.values(), ids=list(SPOILED_CII))
def test_a_spoiled_cii_is_refused(good: str, bad: str) -> None:
    assert violations(_spoiled(cii_xml(SAMPLES["contract"]), good, bad))


@pytest.mark.parametrize(("good", "bad"), SPOILED_UBL.values(), ids=list(SPOILED_UBL))
def test_a_spoiled_ubl_is_refused(good: str, bad: str | None) -> None:
    assert violations(_spoiled(ubl_xml(SAMPLES["contract"]), good, bad or f"{good}1"))


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("intra-community", "delivery_date"), ("intra-community", "delivery_country")],
)
def test_an_intra_community_supply_without_its_delivery_is_refused(kind: str, missing: str) -> None:
    fact = msgspec.structs.replace(SAMPLES[kind], **{missing: None})
    assert violations(cii_xml(fact))
    assert violations(ubl_xml(fact))


@pytest.mark.parametrize("kind", ["reverse-charge", "intra-community"])
def test_a_tax_shifted_to_a_buyer_without_vat_id_is_refused(kind: str) -> None:
    fact = SAMPLES[kind]
    buyer = msgspec.structs.replace(fact.buyer, vat_id=None)
    assert violations(cii_xml(msgspec.structs.replace(fact, buyer=buyer)))
    assert violations(ubl_xml(msgspec.structs.replace(fact, buyer=buyer)))


@pytest.mark.parametrize(
    "xml",
    [
        b"<root/>",
        b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>',
        f'<a:CrossIndustryInvoice xmlns:a="{CII}"/>'.encode(),
    ],
)
def test_what_is_no_invoice_is_refused(xml: bytes) -> None:
    assert violations(xml)


def _spoiled(xml: bytes, good: str, bad: str) -> bytes:
    text = xml.decode()
    assert good in text
    return text.replace(good, bad, 1 if "VAT" not in good else -1).encode()
