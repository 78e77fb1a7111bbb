"""Writing XML trees: what is absent is left out, what is text is escaped by lxml."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lxml import etree

Element = etree._Element  # noqa: SLF001 - lxml exports its element type under no other name


class Vocabulary:
    """Prefixes of one XML vocabulary; `under` and `put` take names written `prefix:Name`."""

    def __init__(self, **namespaces: str) -> None:
        self._namespaces: dict[str, str] = namespaces
        self._names: dict[str, str] = {}

    def root(self, name: str) -> Element:
        """Return a new root element that declares every prefix."""
        return etree.Element(self._qualified(name), nsmap=self._namespaces)

    def unprefixed_root(self, name: str, namespace: str) -> Element:
        """Return a new root element of another namespace, which goes without a prefix."""
        declared: dict[Any, str] = {None: namespace, **self._namespaces}
        return etree.Element(f"{{{namespace}}}{name}", nsmap=declared)

    def under(self, parent: Element, *path: str) -> Element:
        """Append a group of elements, one inside the other; return the innermost."""
        for name in path:
            parent = etree.SubElement(parent, self._qualified(name))
        return parent

    def put(
        self, parent: Element, name: str, value: str | Decimal | None, **attributes: str
    ) -> None:
        """Append an element with text; nothing where the value is None."""
        if value is None:
            return
        element = etree.SubElement(parent, self._qualified(name), attributes)
        element.text = value if isinstance(value, str) else plain(value)

    def _qualified(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            prefix, _, local = name.partition(":")
            known = self._names[name] = f"{{{self._namespaces[prefix]}}}{local}"
        return known


def plain(value: Decimal) -> str:
    """Return a decimal as xs:decimal writes it: no exponent."""
    return format(value, "f")


def to_bytes(root: Element) -> bytes:
    """Return the document in UTF-8 with its declaration."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
