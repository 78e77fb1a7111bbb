"""The words of a `where`: a text cut into tokens, each with its column."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

from services.fraud_detector.domain.refusal import RuleError

MOST_CHARACTERS: Final = 1_000
_TOKEN: Final = re.compile(
    r"[ \t\r\n]*(?:"
    r"(?P<number>[0-9]{1,40}(?:\.[0-9]{1,40})?(?![0-9A-Za-z_.]))"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|'(?P<single>[^'\n]*)'"
    r'|"(?P<double>[^"\n]*)"'
    r"|(?P<sign>==|!=|<=|>=|[<>+\-*(),\[\]])"
    r"|(?P<end>\Z)"
    r")"
)

Kind = Literal["number", "word", "text", "sign", "end"]


class Token(Struct, frozen=True, gc=False):
    """A number, a word, a quoted text (without its quotes), a sign, or the end; column from 1."""

    kind: Kind
    text: str
    column: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end"
        return f"the text {self.text!r}" if self.kind == "text" else repr(self.text)


def tokens(text: str) -> list[Token]:
    """Cut a text into tokens, the end included; raises `RuleError` naming the column."""
    if len(text) > MOST_CHARACTERS:
        raise RuleError(f"is longer than {MOST_CHARACTERS} characters")
    found: list[Token] = []
    place = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, place)
        if match is None:
            raise RuleError(_fault(text, place))
        place = match.end()
        found.append(_token(match))
    return found


def _token(match: re.Match[str]) -> Token:
    group = match.lastgroup or "end"
    column = match.start(group) + 1
    match group:
        case "number" | "word" | "sign" | "end":
            return Token(group, match[group], column)
        case _:
            return Token("text", match[group], column - 1)


def _fault(text: str, place: int) -> str:
    left = text[place:].lstrip(" \t\r\n")
    column = len(text) - len(left) + 1
    if left[0] in "'\"":
        return f"column {column}: a text that does not end"
    if left[0].isascii() and left[0].isdigit():
        return f"column {column}: no number such as 12 or 0.5"
    return f"column {column}: unexpected {left[0]!a}"
