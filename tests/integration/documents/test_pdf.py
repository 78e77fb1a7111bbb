"""The PDF is a Factur-X file: the right XML attached, metadata that say so, text as text."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from decimal import Decimal

import msgspec
import pikepdf
import pypdf
import pytest

from services.invoice_worker.documents import render
from services.invoice_worker.documents.cii import cii_xml
from shared.contracts.invoices import InvoiceIssued
from tests.invoice_facts import contract_job, fact_of, sample_facts

SAMPLES = sample_facts()
FX = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
HASH_ELSEWHERE = """
import hashlib, msgspec, sys
from services.invoice_worker.documents import render
from shared.contracts.invoices import InvoiceIssued
made = render(msgspec.json.decode(sys.stdin.buffer.read(), type=InvoiceIssued))
print(hashlib.sha256(made.pdf + made.xml).hexdigest())
"""
HOSTILE = '#set page(width: 1pt) $x^2$ *b* `c` #read("/etc/passwd") </x>&amp; \\ "q"'


@pytest.mark.parametrize("fact", SAMPLES.values(), ids=list(SAMPLES))
def test_the_attachment_is_the_cii_and_the_metadata_name_it(fact: InvoiceIssued) -> None:
    with pikepdf.open(io.BytesIO(render(fact).pdf)) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert list(pdf.attachments) == ["factur-x.xml"]
        assert pdf.attachments["factur-x.xml"].get_file().read_bytes() == cii_xml(fact)
        [associated] = list(pdf.Root.AF.as_list())
        assert associated.AFRelationship == "/Alternative"
        assert associated.EF.F.Subtype == "/text/xml"
        metadata = pdf.open_metadata()
        assert metadata.pdfa_status == "3B"
        assert {
            name: metadata[FX + name]
            for name in ("DocumentType", "DocumentFileName", "Version", "ConformanceLevel")
        } == {
            "DocumentType": "INVOICE",
            "DocumentFileName": "factur-x.xml",
            "Version": "1.0",
            "ConformanceLevel": "EN 16931",
        }


def test_the_same_fact_gives_the_same_bytes_in_another_process_too() -> None:
    fact = SAMPLES["contract"]
    here = render(fact)
    elsewhere = subprocess.run(
        [
            sys.executable,
            "-c",
            HASH_ELSEWHERE,
        ],
        input=msgspec.json.encode(fact),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert render(fact) == here
    assert elsewhere.stdout.decode().strip() == hashlib.sha256(here.pdf + here.xml).hexdigest()


def test_a_short_invoice_takes_one_page_without_page_numbers() -> None:
    for name in ("contract", "credit-note", "reverse-charge", "yen"):
        [page] = _pages(SAMPLES[name])
        assert not re.search(r"(Seite|Page) \d", page)


def test_a_long_invoice_repeats_its_header_and_counts_its_pages() -> None:
    pages = _pages(SAMPLES["long"])
    assert len(pages) > 1
    for n, page in enumerate(pages, 1):
        assert f"Seite {n} von {len(pages)}" in page
        assert ("Bezeichnung" in page) == ("Blade" in page)
    assert "Blade 60 of the runner" in "".join(pages)


def test_german_and_english_write_words_numbers_and_dates_their_own_way() -> None:
    [german] = _pages(SAMPLES["contract"])
    [english] = _pages(SAMPLES["reverse-charge"])
    for words in ("Rechnung DEMO-2026-000001", "264,36 EUR", "23.12.2026", "Fällig am"):
        assert words in german
    for words in ("Invoice DEMO-2026-", "5,000.00 EUR", "2026-12-23", "Reverse charge"):
        assert words in english


def test_markup_in_text_is_printed_as_it_stands() -> None:
    fact = fact_of(contract_job(note=HOSTILE, order_id="../../etc/passwd"))
    [page] = _pages(fact)
    assert HOSTILE.replace(" ", "") in re.sub(r"\s", "", page)
    assert "../../etc/passwd" in page


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Ελληνική Фирма Złoty Łódź Đà Nẵng ẞ €₺₽", True),
        ("שלום ქართული Հայերեն", True),
        ("عربي ไทย", True),
        ("株式会社 한국어 हिन्दी", False),
        ("🧾 Beleg 👩‍👩‍👧", False),
        ("a\u0301\u0323\u0336\u20dd Z\u0351\u036b\u0343 ب\u0301\u0336", False),
        ("x" * 400, True),
    ],
)
def test_text_in_any_script_makes_a_pdf_and_stays_whole_in_the_xml(
    text: str, *, printed: bool
) -> None:
    fact = fact_of(contract_job(note=text))
    made = render(fact)
    page = "".join(_pages(fact))
    assert text.encode() in made.xml
    assert ("\N{REPLACEMENT CHARACTER}" not in page) or not printed
    assert "264,36 EUR" in page


def test_the_longest_texts_that_the_contract_allows_do_not_hide_the_title() -> None:
    job = contract_job(order_id="O" * 200)
    job["buyer"] |= {"name": "W" * 200, "street": "W " * 99 + "W", "reference": "R" * 200}
    job["lines"] = [job["lines"][0] | {"description": "long " * 199}]
    page = _pages(fact_of(job))[0]
    assert "Rechnung DEMO-2026-000001" in page


def test_amounts_as_great_as_the_contract_allows_fit_their_columns() -> None:
    fact = SAMPLES["contract"]
    great = Decimal("9999999999.99")
    lines = tuple(msgspec.structs.replace(line, unit_price=great, net=great) for line in fact.lines)
    [page] = _pages(msgspec.structs.replace(fact, lines=lines))
    assert page.count("9.999.999.999,99") == 3


def _pages(fact: InvoiceIssued) -> list[str]:
    reader = pypdf.PdfReader(io.BytesIO(render(fact).pdf))
    return [page.extract_text().replace("\u200b", "") for page in reader.pages]
