"""InfluxDB line protocol, as Telegraf's NATS output writes it.

Parsed by `line-protocol-parser` (C). Names are those of VictoriaMetrics: `measurement_field`;
true is 1, false is 0, texts are skipped. Times are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final

from line_protocol_parser import LineFormatError, parse_line

from services.metrics_aggregator.domain.bounds import (
    checked_series,
    checked_time,
    counts,
    lines_of,
)
from services.metrics_aggregator.domain.refusal import malformed
from services.metrics_aggregator.domain.series import Sample, Series
from services.metrics_aggregator.domain.series_cache import SeriesCache

_NS_A_MS: Final = 1_000_000


def read(
    body: bytes, _metric: str, arrival_ms: int, cache: SeriesCache
) -> tuple[list[Sample], int]:
    """Return the samples, and how many texts were skipped; raises `Refusal`."""
    samples: list[Sample] = []
    fields = 0
    for number, line in lines_of(body):
        try:
            parsed: dict[str, Any] | None = parse_line(line)
        except (LineFormatError, ValueError, OverflowError) as error:
            raise malformed(f"line {number}", str(error)) from None
        if parsed is None:  # a comment
            continue
        fields += len(parsed["fields"])
        samples += _samples(parsed, number, arrival_ms, cache)
    return samples, fields - len(samples)


def _samples(
    parsed: dict[str, Any], number: int, arrival_ms: int, cache: SeriesCache
) -> Iterator[Sample]:
    measurement, tags, ns = parsed["measurement"], parsed["tags"], parsed["time"]
    time_ms = arrival_ms if ns is None else checked_time(ns // _NS_A_MS, f"line {number}")
    named = (measurement, *tags.items())
    for field, value in parsed["fields"].items():
        if not isinstance(value, str) and counts(value):
            text: Hashable = (field, named)
            series = cache.get(text) or cache.keep(text, _series(parsed, field, number))
            yield Sample(series, time_ms, value + 0.0)


def _series(parsed: dict[str, Any], field: str, number: int) -> Series:
    name = f"{parsed['measurement']}_{field}"
    return checked_series(name, parsed["tags"].items(), f"line {number}")
