"""Regular expressions as in VictoriaMetrics: RE2 syntax, `.` matches line breaks too.

RE2 and not Python's `re`: rules run on labels that strangers send, and RE2 takes linear time
for every pattern and text. It is slower a call, which is why matches are kept per series.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import re2

_TEMPLATE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
_LONGEST: Final = 4_096


class Pattern:
    """One compiled expression."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        """Compile; raises `ValueError` with what RE2 says."""
        if len(text) > _LONGEST:
            raise ValueError(f"a regex of more than {_LONGEST} characters")
        options = re2.Options()
        options.dot_nl = True
        options.log_errors = False
        try:
            self._compiled: Any = re2.compile(text, options=options)
        except re2.error as error:
            words = error.args[0] if error.args else ""
            told = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
            raise ValueError(f"regex {text!r}: {told}") from None
        self.text = text

    def matches(self, value: str) -> bool:
        """Tell whether the whole value matches."""
        return self._compiled.fullmatch(value) is not None

    def expand(self, value: str, template: str) -> str | None:
        """Return the template with the groups of the match of the whole value, or None."""
        match = self._compiled.fullmatch(value)
        return None if match is None else _expanded(template, match)

    def replace_all(self, value: str, template: str) -> str:
        """Return the value with every (unanchored) match replaced by the template."""
        replaced: str = self._compiled.sub(lambda match: _expanded(template, match), value)
        return replaced


def _expanded(template: str, match: Any) -> str:  # noqa: ANN401  re2 has no types
    """Fill a template as Go's `Regexp.Expand` does: `$1`, `${1}`, `$name`, `$$`."""
    return _TEMPLATE.sub(_group_of(match), template)


def _group_of(match: Any) -> Callable[[re.Match[str]], str]:  # noqa: ANN401  re2 has no types
    names: dict[str, int] = match.re.groupindex
    count: int = match.re.groups

    def group(place: re.Match[str]) -> str:
        if place[1]:
            return "$"
        name: str = place[2] or place[3]
        number = int(name) if name.isdecimal() else names.get(name, count + 1)
        return (match.group(number) or "") if number <= count else ""

    return group
