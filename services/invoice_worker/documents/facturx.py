"""Factur-X 1.0 metadata in a PDF that typst wrote: which attached file is the invoice.

typst attaches the file but knows no Factur-X. The metadata go into its XMP packet, in place:
the packet is the last plain stream of the file, so only a length and a few offsets of the
cross-reference table change. Reading and writing the whole file with a PDF library takes
8 ms, as long as typst itself; this takes 0.1 ms. What does not look as expected is refused.
"""

from __future__ import annotations

import re

_NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = (
    ("DocumentType", "INVOICE", "type of the hybrid document in capital letters"),
    ("DocumentFileName", "factur-x.xml", "name of the embedded XML document"),
    ("Version", "1.0", "version of the Factur-X standard"),
    ("ConformanceLevel", "EN 16931", "conformance level of the embedded XML document"),
)
"""Name, value and description of each property (Factur-X 1.0, section 6.2.2)."""

_PACKET = re.compile(rb"<</Length (\d+)/Type/Metadata/Subtype/XML>>\nstream\n")
_SCHEMAS_END = b"</rdf:Bag></pdfaExtension:schemas>"
_RDF_END = b"</rdf:RDF>"
_ENTRY = 20
"""Bytes of an entry of the cross-reference table (ISO 32000-1, 7.5.4)."""


class UnexpectedPdfError(Exception):
    """The file is not laid out as typst lays it out; the text says where."""


def with_facturx_metadata(pdf: bytes) -> bytes:
    """Return the file with Factur-X properties and their PDF/A extension schema in its XMP.

    Raises UnexpectedPdfError.
    """
    found = list(_PACKET.finditer(pdf))
    if not found:
        raise UnexpectedPdfError("no plain XMP packet")
    head = found[-1]  # an earlier match could only be text of the document information
    start, length = head.end(), int(head[1])
    packet = pdf[start : start + length]
    if packet.count(_SCHEMAS_END) != 1 or packet.count(_RDF_END) != 1:
        raise UnexpectedPdfError("the XMP packet has not one list of extension schemas")
    packet = packet.replace(_SCHEMAS_END, _SCHEMA + _SCHEMAS_END)
    packet = packet.replace(_RDF_END, _DESCRIPTION + _RDF_END)
    opening = head[0].replace(head[1], str(len(packet)).encode())
    body = pdf[: head.start()] + opening + packet
    return _with_moved_offsets(
        body + pdf[start + length :], head.start(), len(body) - start - length
    )


def _with_moved_offsets(pdf: bytes, after: int, shift: int) -> bytes:
    """Return the file with every offset greater than `after` moved by `shift`."""
    body, mark, end = pdf.rpartition(b"startxref\n")
    digits = end.removesuffix(b"\n%%EOF")
    if not mark or not digits.isdigit():
        raise UnexpectedPdfError("no startxref at the end")
    table = int(digits) + shift
    header = re.compile(rb"xref\n0 (\d+)\n").match(body, table)
    if header is None:
        raise UnexpectedPdfError("startxref names no table")
    first = header.end()
    last = first + _ENTRY * int(header[1])
    entries = b"".join(
        _moved(body[at : at + _ENTRY], after, shift) for at in range(first, last, _ENTRY)
    )
    return b"%b%b%b%b%d\n%%%%EOF" % (body[:first], entries, body[last:], mark, table)


def _moved(entry: bytes, after: int, shift: int) -> bytes:
    offset, kind = int(entry[:10]), entry[17:18]
    if kind != b"n" or offset <= after:
        return entry
    return b"%010d%b" % (offset + shift, entry[10:])


def _extension_schema() -> str:
    properties = "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name>"
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{description}</pdfaProperty:description>"
        "</rdf:li>"
        for name, _, description in _PROPERTIES
    )
    return (
        '<rdf:li rdf:parseType="Resource">'
        "<pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>"
        f"<pdfaSchema:namespaceURI>{_NAMESPACE}</pdfaSchema:namespaceURI>"
        "<pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property>"
        "</rdf:li>"
    )


def _description() -> str:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, value, _ in _PROPERTIES)
    return f'<rdf:Description rdf:about="" xmlns:fx="{_NAMESPACE}">{values}</rdf:Description>'


_SCHEMA = _extension_schema().encode()
_DESCRIPTION = _description().encode()
