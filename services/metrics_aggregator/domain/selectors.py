r"""Series selectors of MetricsQL: `name{a="b",c!="d",e=~"f.+" or g!~"h"}`.

As in VictoriaMetrics: regexes are anchored on both sides, a missing label is an empty one,
a name before the braces holds for each `or` group. Names may contain dots; other characters
are written with a backslash, or the name is quoted: `{"cpu load", host="a"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

from msgspec import Struct

from services.metrics_aggregator.domain.patterns import Pattern

NAME: Final = "__name__"

Operator = Literal["=", "!=", "=~", "!~"]

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    | (?P<word>(?:[^\W\d]|[:_]|\\.)(?:\w|[:.]|\\.)*)
    | (?P<operator>=~|!~|!=|=)
    | (?P<sign>[{},])
    )\s*""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)
_BYTE: Final = 2
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class Filter:
    """One `label operator value`."""

    __slots__ = ("_pattern", "label", "operator", "value")

    def __init__(self, label: str, operator: Operator, value: str) -> None:
        self.label = label
        self.operator = operator
        self.value = value
        self._pattern = Pattern(value) if operator in {"=~", "!~"} else None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels (the name among them, as `__name__`) pass."""
        given = labels.get(self.label, "")
        same = given == self.value if self._pattern is None else self._pattern.matches(given)
        return same == (self.operator[0] == "=")


class Selector:
    """Groups of filters: all of any one group must pass."""

    __slots__ = ("groups", "text")

    def __init__(self, text: str) -> None:
        """Parse; raises `ValueError` naming what was not understood."""
        self.text = text
        self.groups = _Parser(text).groups()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels (the name among them, as `__name__`) are selected."""
        return any(all(one.matches(labels) for one in group) for group in self.groups)


class _Token(Struct, frozen=True):
    kind: str
    value: str


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def groups(self) -> tuple[tuple[Filter, ...], ...]:
        named: tuple[Filter, ...] = ()
        if self._peek().kind == "word":
            named = (Filter(NAME, "=", _unescaped_word(self._take().value)),)
            if self._peek().kind == "end":
                return (named,)
        self._expect("{")
        groups = [self._group()]
        while self._peek() == _Token("word", "or"):
            self._take()
            groups.append(self._group())
        if len(groups) > 1 and not all(groups):
            raise ValueError(f"selector {self._text!r} has an empty side of `or`")
        self._expect("}")
        if self._peek().kind != "end":
            raise self._error()
        return tuple(named + group for group in groups)

    def _group(self) -> tuple[Filter, ...]:
        filters = []
        while self._peek().kind in {"word", "text"} and not self._at_or():
            filters.append(self._filter())
            if self._peek() != _Token("sign", ","):
                break
            self._take()
        return tuple(filters)

    def _at_or(self) -> bool:
        return self._peek() == _Token("word", "or") and (
            self._tokens[self._next + 1].kind != "operator"
        )

    def _filter(self) -> Filter:
        left = self._take()
        label = _unescaped_word(left.value) if left.kind == "word" else _unquoted(left.value)
        if left.kind == "text" and self._peek().kind != "operator":
            return Filter(NAME, "=", label)
        if self._peek().kind != "operator":
            raise self._error()
        operator = cast("Operator", self._take().value)
        if self._peek().kind != "text":
            raise self._error()
        return Filter(label, operator, _unquoted(self._take().value))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _expect(self, sign: str) -> None:
        if self._take() != _Token("sign", sign):
            self._next -= 1
            raise self._error()

    def _error(self) -> ValueError:
        token = self._peek()
        found = "its end" if token.kind == "end" else f"{token.value!r}"
        return ValueError(f"selector {self._text!r} is not understood at {found}")


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ValueError(f"selector {text!r} is not understood at {text[at : at + 20]!r}")
        tokens.append(_Token(found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return [*tokens, _Token("end", ""), _Token("end", "")]


def _unescaped_word(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word)


def _unquoted(text: str) -> str:
    """Return what a Go string literal means."""
    inner = text[1:-1]
    return inner if text[0] == "`" else _ESCAPE.sub(_character, inner)


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    if code:
        character = chr(int(code, 16))
        if character.isprintable() or len(code) == _BYTE:
            return character
        raise ValueError(f"escape {escape[0]} in a selector is no character of text")
    if escape[4]:
        return chr(int(escape[4], 8))
    if escape[5] in _ESCAPED:
        return _ESCAPED[escape[5]]
    if escape[5] in "\\\"'":
        return escape[5]
    raise ValueError(f"unknown escape \\{escape[5]} in a selector; write \\\\{escape[5]}")
