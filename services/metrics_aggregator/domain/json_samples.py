"""JSON messages: one measurement or an array of them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import msgspec

from services.metrics_aggregator.domain.bounds import (
    LAST_MS,
    checked_count,
    checked_series,
    checked_time,
    checked_value,
)
from services.metrics_aggregator.domain.refusal import Refusal, invalid, malformed
from services.metrics_aggregator.domain.series import Sample, Series
from services.metrics_aggregator.domain.series_cache import SeriesCache

_NO_LABELS: Final = msgspec.Raw(b"{}")


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """A `Measurement` whose labels are left as they came: most were seen before."""

    value: float
    labels: msgspec.Raw = _NO_LABELS
    time: dt.datetime | float | None = None
    name: str | None = None


_ONE: Final = msgspec.json.Decoder(_Entry | list[_Entry])
_LABELS: Final = msgspec.json.Decoder(dict[str, str])
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)  # noqa: UP017  one way of writing
_DAY_MS: Final = 86_400_000
_AT: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


def read(body: bytes, metric: str, arrival_ms: int, cache: SeriesCache) -> tuple[list[Sample], int]:
    """Return the samples and 0, for nothing is skipped; raises `Refusal`."""
    try:
        decoded = _ONE.decode(body)
    except msgspec.ValidationError as error:
        _refuse_malformed(body)
        raise _refusal(error, "") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed("body", str(error)) from None
    if isinstance(decoded, _Entry):
        return [_sample(decoded, "", metric, arrival_ms, cache)], 0
    checked_count(decoded)
    return [
        _sample(entry, f"[{number}].", metric, arrival_ms, cache)
        for number, entry in enumerate(decoded)
    ], 0


def _sample(entry: _Entry, path: str, metric: str, arrival_ms: int, cache: SeriesCache) -> Sample:
    name = metric if entry.name is None else entry.name
    text = (name, bytes(entry.labels))
    series = cache.get(text) or cache.keep(text, _series(name, entry.labels, path))
    when = entry.time
    return Sample(
        series,
        arrival_ms if when is None else time_ms(when, f"{path}time"),
        checked_value(entry.value, f"{path}value"),
    )


def _series(name: str, raw: msgspec.Raw, path: str) -> Series:
    try:
        labels = _LABELS.decode(raw)
    except msgspec.ValidationError as error:
        raise _refusal(error, f"{path}labels") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise malformed(f"{path}labels", str(error)) from None
    return checked_series(name, labels.items(), f"{path}labels" if labels else f"{path}name")


def time_ms(when: dt.datetime | float, place: str) -> int:
    """Return a time as milliseconds since 1970, rounded down; raises `Refusal`.

    Seconds are first rounded to microseconds: a float of today's seconds is no more exact.
    """
    if isinstance(when, dt.datetime):
        aware = when if when.tzinfo else when.replace(tzinfo=dt.timezone.utc)  # noqa: UP017  as above
        since = aware - _EPOCH
        moment = since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000
    elif not 0 <= when <= LAST_MS:
        moment = -1
    else:
        moment = round(when * 1e6) // 1_000
    return checked_time(moment, place)


def _refuse_malformed(body: bytes) -> None:
    """Refuse JSON that is broken somewhere behind the fault that was found first."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed("body", str(error)) from None


def _refusal(error: msgspec.ValidationError, outer: str) -> Refusal:
    found = _AT.fullmatch(str(error))
    words, path = (found["words"], found["path"] or "") if found else (str(error), "")
    place = f"{outer}.{path}" if outer and path else outer or path or "body"
    return invalid(place, words.replace("`", ""))
