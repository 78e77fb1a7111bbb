"""StatsD lines with DogStatsD's extensions: `name:1|c|@0.1|#env:prod,canary|T1700000000`.

Grammar: github.com/statsd/statsd, docs/metric_types.md; docs.datadoghq.com, DogStatsD
datagram format, up to v1.3 (packed values, container, timestamp).

Every line gives samples of its own: nothing is added up between lines, that is the rules'
task. A counter is divided by its sample rate, a sampled timer stands as often as the rate says;
a member of a set that is no number becomes one by hashing, so that `unique_samples` counts it.
"""

from __future__ import annotations

import re
from typing import Final

import xxhash

from services.metrics_aggregator.domain.bounds import (
    checked_series,
    checked_time,
    checked_value,
    lines_of,
)
from services.metrics_aggregator.domain.refusal import invalid, malformed, shown
from services.metrics_aggregator.domain.series import Sample, Series
from services.metrics_aggregator.domain.series_cache import SeriesCache

_LINE: Final = re.compile(r"([^:|\s]+):([^|]+)\|(c|g|ms|h|d|s)((?:\|[^|]*)*)")
NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_NO_METRIC: Final = ("_e{", "_sc|")
_MOST_COPIES: Final = 1_000


def read(
    body: bytes, _metric: str, arrival_ms: int, cache: SeriesCache
) -> tuple[list[Sample], int]:
    """Return the samples, and how many events and service checks were skipped."""
    samples: list[Sample] = []
    skipped = 0
    for number, line in lines_of(body):
        if line.startswith(_NO_METRIC):
            skipped += 1
        else:
            samples += _samples(line, f"line {number}", arrival_ms, cache)
    return samples, skipped


def _samples(line: str, place: str, arrival_ms: int, cache: SeriesCache) -> list[Sample]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise malformed(place, f"{shown(line)} is no metric")
    name, packed, kind, rest = found.groups()
    rate, tags, time_ms = 1.0, "", arrival_ms
    for section in rest[1:].split("|") if rest else ():
        if section.startswith("@"):
            rate = _rate(section[1:], place)
        elif section.startswith("#"):
            tags = section[1:]
        elif section.startswith("T"):
            time_ms = _time(section[1:], place)
    text = (name, tags)
    series = cache.get(text) or cache.keep(text, _series(name, tags, place))
    if kind == "s":
        return [Sample(series, time_ms, _member(packed))]
    values = [_value(value, kind, place) for value in packed.split(":")]
    if kind == "c":
        values = [checked_value(value / rate, place) for value in values]
    elif kind != "g" and rate < 1:
        values = [value for value in values for _ in range(_copies(rate, place))]
    return [Sample(series, time_ms, value) for value in values]


def _series(name: str, tags: str, place: str) -> Series:
    """Return the series; a tag without a value has the value `true`."""
    pairs = (tag.partition(":") for tag in tags.split(",") if tag)
    labels = ((label, value if colon else "true") for label, colon, value in pairs)
    return checked_series(name, labels, place)


def _value(text: str, kind: str, place: str) -> float:
    if not NUMBER.fullmatch(text):
        raise malformed(place, f"{shown(text)} is no number")
    if kind == "g" and text[0] == "+":
        raise invalid(place, "a gauge relative to the one before is not kept here")
    return checked_value(float(text), place)


def _rate(text: str, place: str) -> float:
    if not NUMBER.fullmatch(text) or not 0 < float(text) <= 1:
        raise malformed(place, f"{shown(text)} is no sample rate in (0, 1]")
    return float(text)


def _copies(rate: float, place: str) -> int:
    if rate * _MOST_COPIES < 1:
        raise invalid(place, f"sample rate {rate} is below 1/{_MOST_COPIES}")
    return round(1 / rate)


def _time(text: str, place: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise malformed(place, f"{shown(text)} are no seconds since 1970")
    return checked_time(int(text) * 1_000, place)


def _member(text: str) -> float:
    number = (
        float(text)
        if NUMBER.fullmatch(text)
        else float(xxhash.xxh64_intdigest(text.encode()) >> 12)
    )
    return checked_value(number, "set") if number else 0.0
