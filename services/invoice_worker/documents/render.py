"""An issued invoice becomes its two documents. Pure: the same fact gives the same bytes."""

from __future__ import annotations

from msgspec import Struct

from services.invoice_worker.documents.cii import cii_xml
from services.invoice_worker.documents.pdf import pdf_of
from services.invoice_worker.documents.ubl import ubl_xml
from shared.contracts.invoices import InvoiceIssued


class Documents(Struct, frozen=True):
    """`pdf`: PDF/A-3b with `factur-x.xml` (CII); `xml`: UBL 2.1. Both are the EN 16931 invoice."""

    pdf: bytes
    xml: bytes


def render(fact: InvoiceIssued) -> Documents:
    """Return the documents of the fact.

    Raises UnrenderableError where the page cannot be set, ValueError for text that XML forbids.
    """
    return Documents(pdf=pdf_of(fact, cii_xml(fact)), xml=ubl_xml(fact))


def object_names(number: str) -> tuple[str, str]:
    """Return the names of the PDF and the XML document in the object store."""
    return f"{number}.pdf", f"{number}.xml"
