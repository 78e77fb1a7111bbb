"""JSON bytes to a struct, and msgspec's errors in the words of the job's author."""

from __future__ import annotations

import re
from typing import Final, TypeVar, get_args

import msgspec

from services.invoice_worker.domain.duplicates import duplicate_key
from services.invoice_worker.domain.refusal import Refusal, invalid
from shared.contracts.invoices import InvoiceType, VatCategory

T = TypeVar("T")

_AT: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_LENGTH: Final = re.compile(
    r"Expected `(?P<kind>str|array)` of length (?P<sign>[<>])= (?P<limit>\d+)"
)
_CHOICES: Final = {"type": get_args(InvoiceType), "vat_category": get_args(VatCategory)}
_FAULTS: Final = {
    "Invalid decimal string": "must be a decimal number",
    "Invalid RFC3339 encoded date": "must be a date, such as 2026-11-23",
}
_KINDS: Final = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "decimal": "a decimal number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "date": "a date, such as 2026-11-23",
}


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a body; raises `Refusal` with the path of the field at fault."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refusal("malformed", f"body: is not UTF-8 (byte {error.start})") from None
    try:
        decoded = decoder.decode(text)
        twice = duplicate_key(text)
    except msgspec.ValidationError as error:
        _refuse_malformed(text)
        raise _translated(str(error)) from None
    except msgspec.DecodeError as error:
        raise Refusal("malformed", f"body: {error}") from None
    except RecursionError:
        raise Refusal("malformed", "body: is nested too deeply") from None
    except ValueError as error:
        raise Refusal("malformed", f"body: {error}") from None
    if twice is not None:
        raise invalid(twice, "is given twice")
    return decoded


def _refuse_malformed(text: str) -> None:
    """Refuse text whose JSON is broken somewhere behind the fault that was found first."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise Refusal("malformed", f"body: {error}") from None
    except RecursionError:
        raise Refusal("malformed", "body: is nested too deeply") from None


def _translated(error: str) -> Refusal:
    found = _AT.fullmatch(error)
    words, path = (found["words"], found["path"]) if found else (error, None)
    if missing := _MISSING.fullmatch(words):
        return invalid(f"{path}.{missing['field']}" if path else missing["field"], "is missing")
    return invalid(path or "body", _plain(words, path or ""))


def _plain(words: str, path: str) -> str:
    choices = _CHOICES.get(path.rpartition(".")[2])
    if choices:
        return f"must be one of {', '.join(choices)}"
    if expected := _EXPECTED.fullmatch(words):
        wanted, got = expected["wanted"].removesuffix(" | null"), expected["got"]
        return f"must be {_KINDS.get(wanted, wanted)}, not {_KINDS.get(got, got)}"
    if length := _LENGTH.fullmatch(words):
        if length["sign"] == ">":  # the only lower bound of the contract is 1
            return "must not be empty"
        things = "characters" if length["kind"] == "str" else "entries"
        return f"must have at most {length['limit']} {things}"
    return _FAULTS.get(words, words)
