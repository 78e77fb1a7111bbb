"""Messages of another log to samples, by the paths that a rule's `from` names."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec

from services.metrics_aggregator.domain.bounds import (
    checked_count,
    checked_series,
    checked_value,
)
from services.metrics_aggregator.domain.json_samples import time_ms
from services.metrics_aggregator.domain.refusal import invalid, malformed
from services.metrics_aggregator.domain.rules import Source
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.domain.statsd import NUMBER

_BODY: Final = msgspec.json.Decoder(Any)


def mapped_samples(body: bytes, source: Source, arrival_ms: int) -> list[Sample]:
    """Return the samples that a JSON message stands for; raises `Refusal`.

    A value may be a number or a decimal text; a label's may be text, a number or true or
    false. A label that is missing is left out; a value that is missing refuses the message.
    """
    try:
        whole = _BODY.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed("body", str(error)) from None
    if not source.each:
        return [_sample(whole, whole, source, arrival_ms)]
    entries = _at(whole, source.each)
    if not isinstance(entries, list):
        raise invalid(source.each, "is no list")
    checked_count(entries)
    return [_sample(whole, entry, source, arrival_ms) for entry in entries]


def _sample(whole: object, entry: object, source: Source, arrival_ms: int) -> Sample:
    def found(path: str) -> object:
        return _at(entry, path[1:]) if path[0] == "." else _at(whole, path)

    value = _number(found(source.value), source.value) if source.value else 1.0
    labels = [(label, _text(found(path), path)) for label, path in source.labels]
    when = arrival_ms if not source.time else _time(found(source.time), source.time)
    return Sample(checked_series(source.name, labels, "labels"), when, value)


def _at(value: object, path: str) -> object:
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _number(value: object, path: str) -> float:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return checked_value(float(value), path)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return checked_value(float(value), path)
        except OverflowError:
            raise invalid(path, "is too large") from None
    raise invalid(path, "is missing or no number")


def _text(value: object, path: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value).lower()
    raise invalid(path, "is no text")


def _time(value: object, path: str) -> int:
    if isinstance(value, str):
        try:
            return time_ms(msgspec.convert(value, dt.datetime), path)
        except msgspec.ValidationError:
            raise invalid(path, "is no RFC 3339 time") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return time_ms(value, path)
    raise invalid(path, "is missing or no time")
