"""Series and samples: a metric's name with labels, and one value of it at a time.

A series' key is JSON, `["cpu","host","a"]`: the name, then labels and values, sorted by label.
Equal series have equal keys, so keys can be those of windows and of snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import xxhash
from msgspec import Struct

from services.metrics_aggregator.domain.selectors import NAME

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(list[str]).decode


class Series(Struct, frozen=True, gc=False):
    """One series; `labels` are sorted by name, without empty values and without `__name__`.

    `member` is a 64-bit hash (xxhash, as in VictoriaMetrics) that stands for the series where
    a group remembers which of its series it has seen.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    key: str
    member: int

    def with_name(self) -> dict[str, str]:
        """Return the labels, the name among them as `__name__`."""
        return {NAME: self.name, **dict(self.labels)} if self.name else dict(self.labels)


class Sample(Struct, frozen=True, gc=False):
    """A value of a series: finite, at most 1e140 in magnitude, at milliseconds since 1970."""

    series: Series
    time_ms: int
    value: float


def series_of(name: str, labels: Iterable[tuple[str, str]]) -> Series:
    """Return the series of these labels; an empty value is as good as no label."""
    kept = sorted(label for label in labels if label[1])
    encoded = _ENCODE([name, *(text for label in kept for text in label)])
    return Series(name, tuple(kept), encoded.decode(), xxhash.xxh64_intdigest(encoded))


def series_with_name(labels: Mapping[str, str]) -> Series:
    """Return the series of labels that have the name among them."""
    others = (label for label in labels.items() if label[0] != NAME)
    return series_of(labels.get(NAME, ""), others)


def labels_of_key(key: str) -> dict[str, str]:
    """Return the labels of a series' key, the name among them as `__name__`."""
    name, *texts = _DECODE(key)
    labels = dict(zip(texts[::2], texts[1::2], strict=True))
    return {NAME: name, **labels} if name else labels
