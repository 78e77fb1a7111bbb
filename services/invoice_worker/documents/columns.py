"""The table of lines: its rows, and how wide its columns are. Pure."""

from __future__ import annotations

from msgspec import Struct

Row = tuple[str, ...]
_DIGIT_MM = 1.85
"""Width of a digit of the table, in mm; other signs are as wide at most, on the average."""
_HEADER_MM = 1.9
_WIDEST_MM = 36.0
_INSET_MM = 1.6


class Line(Struct, frozen=True):
    """A row of the table of lines; `discount` is a label and an amount, or nothing."""

    cells: Row
    discount: Row


def widths(header: Row, lines: tuple[Line, ...]) -> tuple[float, ...]:
    """Return the widths in mm of the columns behind the description, by their longest text.

    Known widths spare typst from setting every cell twice.
    """
    longest = [len(word) * _HEADER_MM for word in header[2:]]
    for line in lines:
        for index, cell in enumerate(line.cells[2:]):
            longest[index] = max(longest[index], len(cell) * _DIGIT_MM)
    return tuple(min(width, _WIDEST_MM) + 2 * _INSET_MM for width in longest)
