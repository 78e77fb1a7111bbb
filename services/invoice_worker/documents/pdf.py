"""The PDF/A-3b: the page set by typst, with `factur-x.xml` attached and Factur-X metadata."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import typst

from services.invoice_worker.documents.facturx import with_facturx_metadata
from services.invoice_worker.documents.glyphs import FONTS, printable
from services.invoice_worker.documents.page import Page, page_of
from shared.contracts.invoices import InvoiceIssued

_TEMPLATE = Path(__file__).parent / "template.typ"
_NO_GLYPH = "could not be displayed"
"""How typst says that PDF/A forbids what the fonts lack."""


class UnrenderableError(Exception):
    """The page cannot be set; the text is typst's own diagnosis."""


def pdf_of(fact: InvoiceIssued, cii: bytes) -> bytes:
    """Return the PDF/A-3b of the fact with `cii` attached; same arguments, same bytes."""
    page = page_of(fact)
    try:
        pdf = _compile(_as_json(page, simple=False), cii)
    except typst.TypstError as error:
        if _NO_GLYPH not in error.message:
            raise UnrenderableError(error.diagnostic) from error
        pdf = _compile(_as_json(page, simple=True), cii)
    return with_facturx_metadata(pdf)


def png_of(fact: InvoiceIssued, cii: bytes) -> list[bytes]:
    """Return the pages as pictures, to look at."""
    inputs = {"page": _as_json(page_of(fact), simple=False), "xml": cii.decode()}
    pictures = _compiler().compile(format="png", ppi=110, sys_inputs=inputs)
    return pictures if isinstance(pictures, list) else [pictures]


def _compile(page: str, cii: bytes) -> bytes:
    pdf = _compiler().compile(
        format="pdf",
        pdf_standards="a-3b",
        sys_inputs={"page": page, "xml": cii.decode()},
    )
    assert isinstance(pdf, bytes)  # noqa: S101 - typst returns a list for PNG and SVG only
    return pdf


def _as_json(page: Page, *, simple: bool) -> str:
    """Return the page as JSON, every string in it made printable."""
    text = msgspec.json.encode(page)
    if text.isascii():
        return text.decode()
    return msgspec.json.encode(_each_printable(msgspec.to_builtins(page), simple=simple)).decode()


def _each_printable(value: object, *, simple: bool) -> object:
    if isinstance(value, str):
        return printable(value, simple=simple)
    if isinstance(value, dict):
        return {key: _each_printable(item, simple=simple) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each_printable(item, simple=simple) for item in value]
    return value


@cache
def _compiler() -> typst.Compiler:
    """Return the compiler of this process: fonts are read and the template parsed once."""
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS]
    )
    return typst.Compiler(_TEMPLATE, font_paths=fonts, ignore_system_fonts=True)
