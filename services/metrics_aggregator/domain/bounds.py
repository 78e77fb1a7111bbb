"""Bounds of what strangers send, checked once a series and once a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.metrics_aggregator.domain.refusal import Refusal, invalid, malformed, shown
from services.metrics_aggregator.domain.selectors import NAME
from services.metrics_aggregator.domain.series import Series, series_of
from services.metrics_aggregator.domain.sketch import LARGEST

MOST_SAMPLES: Final = 50_000
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""

_LONGEST_NAME: Final = 256
_LONGEST_LABEL: Final = 128
_LONGEST_VALUE: Final = 1_024
_MOST_LABELS: Final = 64


def checked_series(name: str, labels: Iterable[tuple[str, str]], place: str) -> Series:
    """Return the series if name and labels are within bounds; raises `Refusal`.

    Names of metrics and labels may hold any printable characters, as in Prometheus 3.
    """
    found = tuple(labels)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise invalid(place, f"{shown(name)} is no metric name of 1 to {_LONGEST_NAME} characters")
    if len(found) > _MOST_LABELS:
        raise invalid(place, f"more than {_MOST_LABELS} labels")
    for label, value in found:
        if label == NAME:
            raise invalid(place, f"label {NAME}: the metric's name is no label")
        if not label or len(label) > _LONGEST_LABEL or not label.isprintable():
            raise invalid(place, f"{shown(label)} is no label of 1 to {_LONGEST_LABEL} characters")
        if len(value) > _LONGEST_VALUE:
            raise invalid(place, f"label {shown(label)} has more than {_LONGEST_VALUE} characters")
    if len({label for label, _ in found}) != len(found):
        raise invalid(place, "a label is given twice")
    return series_of(name, found)


def counts(value: float) -> bool:
    """Tell whether a value can be aggregated: finite, at most 1e140 in magnitude."""
    return -LARGEST <= value <= LARGEST


def checked_value(value: float, place: str) -> float:
    """Return a value that can be aggregated, or raise `Refusal`; -0.0 becomes 0.0."""
    if not counts(value):
        raise invalid(place, f"{value!r} is not between -{LARGEST:.0e} and {LARGEST:.0e}")
    return value + 0.0


def checked_time(time_ms: int, place: str) -> int:
    """Return a time between 1970 and 9999, or raise `Refusal`."""
    if not 0 <= time_ms <= LAST_MS:
        raise invalid(place, "the time is not between the years 1970 and 9999")
    return time_ms


def lines_of(body: bytes) -> list[tuple[int, str]]:
    """Return the lines that are not blank, numbered from 1, stripped; raises `Refusal`."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise malformed("body", f"is not UTF-8 (byte {error.start})") from None
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in stripped if line]


def checked_count(samples: Sequence[object]) -> None:
    """Raise `Refusal` if a message holds too many samples."""
    if len(samples) > MOST_SAMPLES:
        raise Refusal("invalid", f"body: more than {MOST_SAMPLES} samples")
