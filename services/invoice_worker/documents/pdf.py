"""The PDF/A-3b: the page set by typst, with `factur-x.xml` attached and Factur-X metadata."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec
import typst

from services.invoice_worker.documents.facturx import with_facturx_metadata
from services.invoice_worker.documents.glyphs import BREAK, FONTS, printable
from services.invoice_worker.documents.page import Page, page_of
from shared.contracts.invoices import InvoiceIssued

_TEMPLATE = Path(__file__).parent / "template.typ"
_NO_GLYPH = "could not be displayed"
"""How typst says that PDF/A forbids what the fonts lack."""


_LONG_WORD = re.compile(r"\S{35,}")
"""Longer than any number, IBAN or VAT id, which must stay whole when copied."""
_BREAK_EVERY = 24


class UnrenderableError(Exception):
    """The page cannot be set; the text is typst's own diagnosis."""


def pdf_of(fact: InvoiceIssued, cii: bytes) -> bytes:
    """Return the PDF/A-3b of the fact with `cii` attached; same arguments, same bytes."""
    inputs = _inputs(page_of(fact), cii)
    try:
        pdf = _compile(inputs)
    except typst.TypstError as error:
        if _NO_GLYPH not in error.message:
            raise UnrenderableError(error.diagnostic) from error
        pdf = _compile(_inputs(page_of(fact), cii, simple=True))
    return with_facturx_metadata(pdf)


def _inputs(page: Page, cii: bytes, *, simple: bool = False) -> dict[str, str]:
    """Return what the template reads: the page with every text printable, image and attachment."""
    words = _each_printable(msgspec.to_builtins(page), simple=simple)
    return {"page": msgspec.json.encode(words).decode(), "qr": page.qr, "xml": cii.decode()}


def _each_printable(value: object, *, simple: bool) -> object:
    if isinstance(value, str):
        return _LONG_WORD.sub(_with_breaks, printable(value, simple=simple))
    if isinstance(value, dict):
        return {key: _each_printable(item, simple=simple) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each_printable(item, simple=simple) for item in value]
    return value


def _with_breaks(word: re.Match[str]) -> str:
    """Let a word too long for its column go on in the next line."""
    return BREAK.join(word[0][n : n + _BREAK_EVERY] for n in range(0, len(word[0]), _BREAK_EVERY))


def _compile(inputs: dict[str, str]) -> bytes:
    pdf = _compiler().compile(format="pdf", pdf_standards="a-3b", sys_inputs=inputs)
    assert isinstance(pdf, bytes)  # noqa: S101 - typst returns a list for PNG and SVG only
    return pdf


@cache
def _compiler() -> typst.Compiler:
    """Return the compiler of this process: fonts are read and the template parsed once."""
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS]
    )
    return typst.Compiler(_TEMPLATE, font_paths=fonts, ignore_system_fonts=True)
