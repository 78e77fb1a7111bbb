"""Which characters the fonts of the page can print, and what to print for the others.

PDF/A forbids the "missing glyph" box, and typst refuses to write it. The XML documents keep
every character; on the page, one that no font has becomes U+FFFD.
"""

from __future__ import annotations

import struct
import unicodedata
from functools import cache
from pathlib import Path

FONTS = Path(__file__).parent / "fonts"
_MAIN = "NotoSans-Regular.ttf"
BREAK = "\N{ZERO WIDTH SPACE}"
"""Where a long word may go on in the next line."""
_MISSING = "\N{REPLACEMENT CHARACTER}"
_SIMPLE_SCRIPTS = ((0x0020, 0x052F), (0x1E00, 0x1FFF), (0x2010, 0x214F))
"""Latin, Greek, Cyrillic, punctuation, currency and letter-like signs: a glyph a character."""


def printable(text: str, *, simple: bool = False) -> str:
    """Return `text` as the page can print it: composed, invisible controls dropped.

    With `simple`, also what needs shaping is replaced (combining marks, other scripts): for
    the rare text whose characters are all known but do not go together.
    """
    if text.isascii() and text.isprintable():
        return text
    table = _simple_table() if simple else _full_table()
    return unicodedata.normalize("NFC", text).translate(table)


class _Table(dict[int, str]):
    """Translation table that learns each character at first sight."""

    def __init__(self, printable_points: frozenset[int]) -> None:
        super().__init__()
        self._printable = printable_points

    def __missing__(self, point: int) -> str:
        self[point] = replacement = self._replacement(point)
        return replacement

    def _replacement(self, point: int) -> str:
        character = chr(point)
        category = unicodedata.category(character)
        if character == "\n":
            return character
        if category in {"Zl", "Zp", "Zs", "Cc"}:
            return " " if point != ord("\N{NO-BREAK SPACE}") else character
        if point == ord(BREAK):
            return character
        if category == "Cf" or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
            return ""
        return character if point in self._printable else _MISSING


@cache
def _full_table() -> _Table:
    return _Table(frozenset().union(*(covered(path) for path in sorted(FONTS.glob("*.ttf")))))


@cache
def _simple_table() -> _Table:
    return _Table(
        frozenset(
            point
            for point in covered(FONTS / _MAIN)
            if any(low <= point <= high for low, high in _SIMPLE_SCRIPTS)
            and not unicodedata.category(chr(point)).startswith("M")
        )
    )


def covered(font: Path) -> frozenset[int]:
    """Return the code points for which a TrueType font has a glyph (OpenType 1.9, `cmap`)."""
    data = font.read_bytes()
    tables = struct.unpack_from(">H", data, 4)[0]
    start = next(
        offset
        for tag, _, offset, _ in struct.iter_unpack(">4sIII", data[12 : 12 + 16 * tables])
        if tag == b"cmap"
    )
    count = struct.unpack_from(">H", data, start + 2)[0]
    points: set[int] = set()
    for index in range(count):
        offset = start + struct.unpack_from(">I", data, start + 4 + 8 * index + 4)[0]
        points.update(_points(data, offset))
    return frozenset(points)


def _points(data: bytes, offset: int) -> list[int]:
    """Return the mapped code points of one `cmap` subtable of format 4 or 12."""
    kind = struct.unpack_from(">H", data, offset)[0]
    if kind == 4:  # noqa: PLR2004 - number of the format
        return _format_4(data, offset)
    if kind == 12:  # noqa: PLR2004 - number of the format
        groups = struct.unpack_from(">I", data, offset + 12)[0]
        rows = struct.iter_unpack(">III", data[offset + 16 : offset + 16 + 12 * groups])
        return [point for first, last, _ in rows for point in range(first, last + 1)]
    return []


def _format_4(data: bytes, offset: int) -> list[int]:
    count = struct.unpack_from(">H", data, offset + 6)[0] // 2
    end = offset + 14
    start, delta, ranges = (end + 2 + 2 * count * n for n in (1, 2, 3))
    points = []
    for n in range(count):
        (last,) = struct.unpack_from(">H", data, end + 2 * n)
        (first,) = struct.unpack_from(">H", data, start + 2 * n)
        (shift,) = struct.unpack_from(">H", data, delta + 2 * n)
        (skip,) = struct.unpack_from(">H", data, ranges + 2 * n)
        for point in range(first, last + 1):
            glyph = point + shift
            if skip:
                at = ranges + 2 * n + skip + 2 * (point - first)
                (glyph,) = struct.unpack_from(">H", data, at)
                glyph += shift if glyph else 0
            if glyph % 0x10000 and point != 0xFFFF:  # noqa: PLR2004 - end mark of the table
                points.append(point)
    return points
