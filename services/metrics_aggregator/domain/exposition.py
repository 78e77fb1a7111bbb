"""Prometheus text exposition, version 0.0.4 and the quoted names of Prometheus 3.

Grammar: prometheus.io/docs/instrumenting/exposition_formats. `prometheus_client`'s own parser
takes 36 us a sample, this one 2: it looks a known series up by its text. The tests hold the
two against each other.
"""

from __future__ import annotations

import re
from typing import Final

from services.metrics_aggregator.domain.bounds import (
    checked_series,
    checked_time,
    counts,
    lines_of,
)
from services.metrics_aggregator.domain.refusal import malformed, shown
from services.metrics_aggregator.domain.series import Sample, Series
from services.metrics_aggregator.domain.series_cache import SeriesCache

_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_LINE: Final = re.compile(
    rf"""(?P<name>[^\s{{}}"\#,=]*)[ \t]*(?P<labels>\{{(?:[^"{{}}]|{_TEXT})*\}})?
    (?:(?<=\}})|[ \t])[ \t]*(?P<value>[0-9A-Za-z.+-]+)(?:[ \t]+(?P<time>-?[0-9]{{1,15}}))?""",
    re.VERBOSE,
)
_LABEL: Final = re.compile(
    rf"""\s*(?P<name>[^\s{{}}"\#,=]+|{_TEXT})\s*(?:=\s*(?P<value>{_TEXT}))?\s*(?:,|\Z)""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n"}


def read(
    body: bytes, _metric: str, arrival_ms: int, cache: SeriesCache
) -> tuple[list[Sample], int]:
    """Return the samples, and how many were skipped as NaN or too large; raises `Refusal`."""
    samples, skipped = [], 0
    for number, line in lines_of(body):
        if line[0] == "#":
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise malformed(f"line {number}", f"{shown(line)} is no sample")
        name, labels, written, time = found.groups()
        try:
            value = float(written)
        except ValueError:
            raise malformed(f"line {number}", f"{shown(written)} is no number") from None
        text = (name, labels)
        series = cache.get(text) or cache.keep(text, _series(name, labels, number))
        time_ms = arrival_ms if time is None else checked_time(int(time), f"line {number}")
        if counts(value):
            samples.append(Sample(series, time_ms, value + 0.0))
        else:
            skipped += 1
    return samples, skipped


def _series(name: str, labels: str | None, number: int) -> Series:
    place = f"line {number}"
    found: list[tuple[str, str]] = []
    inner, at = (labels or "{}")[1:-1].rstrip(), 0
    while at < len(inner):
        label = _LABEL.match(inner, at)
        if label is None:
            raise malformed(place, f"{shown(inner[at:])} is no label")
        key = _unquoted(label["name"])
        if label["value"] is not None:
            found.append((key, _unquoted(label["value"])))
        elif label["name"][0] == '"' and not name:
            name = key
        else:
            raise malformed(place, f"label {shown(key)} has no value")
        at = label.end()
    return checked_series(name, found, place)


def _unquoted(text: str) -> str:
    if text[0] != '"':
        return text
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), text[1:-1])
