"""Keys that a JSON object names twice.

Parsers disagree about which of the two counts, so what the sender's system shows and what
the invoice says could differ. msgspec takes the last one silently; hence this second look.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final


class _TwiceError(Exception):
    """An object with a key given twice."""


def duplicate_key(text: str) -> str | None:
    """Return the path of a key given twice (`lines[0].quantity`), None if there is none.

    `text` is JSON that another parser has accepted; raises `ValueError` or
    `RecursionError` where this one does not.
    """
    try:
        _QUICK.decode(text)
    except _TwiceError:
        return _path(_EXACT.decode(text))
    return None


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _TwiceError


# Numbers are not looked at: a million digits need not become an int first.
_QUICK: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_twice, parse_int=len, parse_float=len, strict=False
)
_EXACT: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=len, parse_float=len, strict=False
)


def _path(node: object) -> str | None:
    if isinstance(node, tuple):
        counts = Counter(key for key, _ in node)
        for key, value in node:
            if counts[key] > 1:
                return str(key)
            below = _path(value)
            if below is not None:
                return _joined(key, below)
    if isinstance(node, list):
        for index, value in enumerate(node):
            below = _path(value)
            if below is not None:
                return _joined(f"[{index}]", below)
    return None


def _joined(outer: str, inner: str) -> str:
    return f"{outer}{inner}" if inner.startswith("[") else f"{outer}.{inner}"
