"""Spans of time as rules write them: `10s`, `15m`, `1h`, `30d`, `1h30m`."""

from __future__ import annotations

import re
from typing import Final

_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART: Final = re.compile(r"([0-9]{1,9})([smhd])")
_WHOLE: Final = re.compile(r"(?:[0-9]{1,9}[smhd]){1,4}")


class Span:
    """A span of time: `ms` milliseconds, `text` as its author wrote it (explanations show it)."""

    __slots__ = ("ms", "text")

    def __init__(self, text: str) -> None:
        """Parse; raises `ValueError`."""
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is no span of time such as 10s, 15m, 1h30m or 30d")
        self.text = text
        self.ms = sum(int(number) * _MS[unit] for number, unit in _PART.findall(text))

    def between(self, least: str, most: str) -> bool:
        """Tell whether it is at least and at most so long."""
        return Span(least).ms <= self.ms <= Span(most).ms
