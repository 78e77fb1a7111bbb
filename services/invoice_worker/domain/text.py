"""Text as it may stand on an invoice: trimmed, printable, and read in the order it is written."""

from __future__ import annotations

import re

from services.invoice_worker.domain.refusal import invalid

# Control characters and noncharacters cannot stand in XML; marks and overrides of direction
# make a reader see another text (or amount) than the one that was signed off.
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufff9-\ufffb"
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NONCHARACTER = "\ud800-\udfff\ufdd0-\ufdef" + "".join(
    f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17)
)
_HOSTILE = re.compile(f"[{_CONTROL}{_DIRECTION}{_NONCHARACTER}]")
_DIRECTIONS = re.compile(f"[{_DIRECTION}]")


def line(path: str, text: str) -> str:
    """Return one line of text, trimmed; refuse an empty one and characters that deceive."""
    trimmed = optional_line(path, text)
    if trimmed is None:
        raise invalid(path, "must not be empty")
    return trimmed


def optional_line(path: str, text: str | None) -> str | None:
    """Return as `line` does, and None for what is missing or blank."""
    if text is None:
        return None
    trimmed = text.strip()
    # isprintable() is the quick answer for nearly all text, the pattern the exact one.
    if not trimmed.isprintable():
        _refuse_hostile(path, trimmed)
    return trimmed or None


def optional_paragraphs(path: str, text: str | None) -> str | None:
    r"""Return text of several lines, which `\n` divides, trimmed; None where blank."""
    if text is None:
        return None
    trimmed = text.replace("\r\n", "\n").strip()
    if not trimmed.isprintable():
        _refuse_hostile(path, trimmed.replace("\n", ""))
    return trimmed or None


def _refuse_hostile(path: str, text: str) -> None:
    found = _HOSTILE.search(text)
    if found is None:
        return
    character = found.group()
    kind = "mark of text direction" if _DIRECTIONS.match(character) else "control character"
    raise invalid(path, f"contains U+{ord(character):04X}, a {kind}")
