"""Card numbers must not be in the log: how they are found, and how they are masked.

A card number has 13 to 19 digits, of which the last is a check digit by Luhn's formula
(ISO/IEC 7812-1, annex B). Single spaces or dashes may stand between digits. Digits are ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

_FEWEST: Final = 13
_MOST: Final = 19
_KEPT: Final = 4
_LONGEST_PATH: Final = 60

_DIGIT: Final = r"(?:[0-9]|\\u003[0-9])"
_BETWEEN: Final = r"(?:[ -]|\\u0020|\\u002[dD])"
_RUN: Final = re.compile(rf"[0-9](?:[ -]?[0-9]){{{_FEWEST - 1},}}")
_ESCAPED_RUN: Final = re.compile(  # or an escape that is no digit, whose own digits are none
    rf"\\\\|\\u(?!003[0-9])[0-9A-Fa-f]{{4}}"
    rf"|(?P<run>{_DIGIT}(?:{_BETWEEN}?{_DIGIT}){{{_FEWEST - 1},}})"
)
_TOKEN: Final = re.compile(rf"(?P<digit>{_DIGIT})|{_BETWEEN}")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_NAUGHT: Final = b"0" * _FEWEST
_DROPPED: Final = b" -\\udD"
_PLACE: Final = re.compile(rb'itude": ?-?[0-9]{1,3}\.[0-9]{1,20}(?=[,}])')
_SHAPES: Final = bytes(48 if chr(byte).isdigit() else 32 for byte in range(128)) + b" " * 128


def looks_clean(body: bytes) -> bool:
    """Tell, fast, that JSON bytes hold no card number; False means: look closely.

    What is dropped stands between digits or in the escapes of digits, spaces and dashes: so
    wherever a card number is, thirteen digits in a row are left.
    """
    if _NAUGHT not in body.translate(_SHAPES, _DROPPED):
        return True
    # A place of fifteen decimals is usual, and no secret. Without escapes, what follows `itude":`
    # is a field's value, never a part of a text.
    if b"\\" in body:
        return False
    return _NAUGHT not in _PLACE.sub(b",", body).translate(_SHAPES, _DROPPED)


def holds_card_number(text: str) -> bool:
    """Tell whether a text holds a card number."""
    return len(text) >= _FEWEST and any(any(_numbers(run[0])) for run in _RUN.finditer(text))


def masked(text: str) -> str:
    """Return a JSON text in which of each card number all but the last four digits are `*`.

    Digits that are written as escapes count.
    """
    before = ""
    while text != before:  # what is masked sets apart the digits beside it
        before, text = text, _ESCAPED_RUN.sub(_masked_run, text)
    return text


def masked_body(body: bytes) -> bytes:
    """Return the bytes of a message, masked like a text; bytes that are no UTF-8 stay."""
    return masked(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def place_of_card_number(body: bytes) -> str | None:
    """Return the path of the first field of a JSON body that holds a card number, if any does.

    The decimals of a number are none: a latitude of 15 decimals is no secret. Raises msgspec's
    `DecodeError` where the body is no JSON.
    """
    return next(_places(msgspec.json.decode(body), ""), None)


def _places(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if holds_card_number(name):
                yield _joined(path, masked(name))
            yield from _places(inner, _joined(path, masked(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, f"{path}[{number}]")
    elif holds_card_number(_spelled(value)):
        yield path or "body"


def _spelled(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if abs(value) < 10.0 ** (_MOST + 1) else ""
    return value if isinstance(value, str) else str(value)


def _joined(path: str, name: str) -> str:
    return (f"{path}.{name}" if path else name)[:_LONGEST_PATH]


def _numbers(run: str) -> Iterator[tuple[int, int]]:
    """Yield where in a run of digits card numbers are: first digit and the one after the last.

    They begin and end where the run does, or where digits are set apart.
    """
    digits, edges = _taken_apart(run)
    for first in edges:
        for last in edges:
            if _FEWEST <= last - first <= _MOST and _checks(digits[first:last]):
                yield first, last


def _taken_apart(run: str) -> tuple[list[int], list[int]]:
    digits: list[int] = []
    edges = [0]
    for token in _TOKEN.finditer(run):
        if token["digit"]:
            digits.append(int(run[token.end() - 1]))
        else:
            edges.append(len(digits))
    return digits, [*edges, len(digits)]


def _checks(digits: Iterable[int]) -> bool:
    backwards = list(digits)[::-1]
    return (sum(backwards[::2]) + sum(_DOUBLED[digit] for digit in backwards[1::2])) % 10 == 0


def _masked_run(found: re.Match[str]) -> str:
    run = found["run"]
    if run is None:
        return found[0]
    hidden = {place for first, last in _numbers(run) for place in range(first, last - _KEPT)}
    if not hidden:
        return run
    parts: list[str] = []
    place = 0
    for token in _TOKEN.finditer(run):
        if token["digit"]:
            parts.append("*" if place in hidden else token[0])
            place += 1
        else:
            parts.append(token[0])
    return "".join(parts)
