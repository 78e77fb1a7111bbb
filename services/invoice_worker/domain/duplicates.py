"""Keys that a JSON object names twice.

Parsers disagree about which of the two counts, so what the sender's system shows and what
the invoice says could differ. msgspec takes the last one silently; hence this second look.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

import msgspec

from services.invoice_worker.domain.refusal import shown


def duplicate_key(text: str) -> str | None:
    """Return the path of a key given twice (`lines[0].quantity`), None if there is none.

    `text` is JSON that msgspec has accepted; raises `ValueError` or `RecursionError`
    where the standard library's exact look does not accept it.
    """
    return None if _surely_none(text) else _path(_EXACT.decode(text))


def _surely_none(text: str) -> bool:
    # Each member of an object has its colon, and each further colon is in a string or in a
    # member that was overwritten. So equality proves in a few microseconds what nearly
    # always holds, and only the rest needs the exact look.
    try:
        return _members(_ANYTHING.decode(text)) == text.count(":")
    except msgspec.DecodeError:  # an integer of 5,000 digits in an unknown field
        return False


_ANYTHING: Final = msgspec.json.Decoder(float_hook=len)
# Numbers are not looked at: a million digits need not become an int first.
_EXACT: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=len, parse_float=len, strict=False
)


def _members(node: Any) -> int:  # noqa: ANN401  any JSON value
    """Count the members of all objects in a decoded document."""
    count = 0
    values = node
    if type(node) is dict:
        count = len(node)
        values = node.values()
    for value in values:
        kind = type(value)
        if kind is dict or kind is list:
            count += _members(value)
    return count


def _path(node: object) -> str | None:
    if isinstance(node, tuple):
        counts = Counter(key for key, _ in node)
        for key, value in node:
            if counts[key] > 1:
                return shown(key)
            below = _path(value)
            if below is not None:
                return _joined(shown(key), below)
    if isinstance(node, list):
        for index, value in enumerate(node):
            below = _path(value)
            if below is not None:
                return _joined(f"[{index}]", below)
    return None


def _joined(outer: str, inner: str) -> str:
    return f"{outer}{inner}" if inner.startswith("[") else f"{outer}.{inner}"
