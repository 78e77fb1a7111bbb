"""Durations as Go writes them (`time.ParseDuration`): `30s`, `1m`, `1h30m`, `1.5h`, `500ms`.

MetricsQL's `d` (24 h) and `w` (7 d) are taken too.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from msgspec import Struct

_MS: Final = {
    "ns": Fraction(1, 1_000_000),
    "us": Fraction(1, 1_000),
    "µs": Fraction(1, 1_000),
    "μs": Fraction(1, 1_000),
    "ms": Fraction(1),
    "s": Fraction(1_000),
    "m": Fraction(60_000),
    "h": Fraction(3_600_000),
    "d": Fraction(86_400_000),
    "w": Fraction(604_800_000),
}
_PART: Final = r"([0-9]{1,12}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})(ns|us|µs|μs|ms|s|m|h|d|w)"
_PARTS: Final = re.compile(_PART)
_WHOLE: Final = re.compile(rf"(?:{_PART})+")
_LONGEST_MS: Final = 10 * 366 * 86_400_000


class Duration(Struct, frozen=True):
    """A span of time: `ms` milliseconds, `text` as the author wrote it (it is in names)."""

    text: str
    ms: int


def duration(text: str) -> Duration:
    """Parse a duration of whole milliseconds, at most ten years; raises `ValueError`."""
    if text == "0":
        return Duration(text, 0)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration such as 30s, 1m or 1h30m")
    ms = sum(Fraction(number) * _MS[unit] for number, unit in _PARTS.findall(text))
    if ms.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of milliseconds")
    if ms > _LONGEST_MS:
        raise ValueError(f"{text!r} is longer than ten years")
    return Duration(text, int(ms))
