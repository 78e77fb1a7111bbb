"""A message on `TELEMETRY` to samples: four formats, chosen by `Content-Type`.

A message is taken whole or refused whole: one bad entry refuses all of it, so that a publisher
that mends and resends it counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from services.metrics_aggregator.domain import exposition, influx, json_samples, statsd
from services.metrics_aggregator.domain.bounds import checked_count
from services.metrics_aggregator.domain.refusal import invalid, shown
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.domain.series_cache import SeriesCache
from shared.contracts.telemetry import INFLUX, JSON, PROMETHEUS, STATSD

Reader = Callable[[bytes, str, int, SeriesCache], tuple[list[Sample], int]]

_READERS: Final[dict[str, Reader]] = {
    JSON: json_samples.read,
    PROMETHEUS: exposition.read,
    INFLUX: influx.read,
    STATSD: statsd.read,
}


class Batch(Struct, frozen=True, gc=False):
    """Samples of one message.

    `skipped` counts what the format allows and no aggregate can take: NaN and infinities in
    Prometheus text, texts in line protocol, events and service checks of DogStatsD.
    """

    samples: list[Sample]
    skipped: int


def read_samples(
    body: bytes, content_type: str | None, metric: str, arrival_ms: int, cache: SeriesCache
) -> Batch:
    """Return the samples of a message; raises `Refusal`.

    `metric` is the name that the subject gives; samples without a time of their own get
    `arrival_ms`.
    """
    if content_type is None or content_type == JSON:
        return Batch(*json_samples.read(body, metric, arrival_ms, cache))
    kind = content_type.partition(";")[0].strip().lower()
    reader = _READERS.get(kind)
    if reader is None:
        raise invalid("Content-Type", f"{shown(content_type)} is not one of {', '.join(_READERS)}")
    samples, skipped = reader(body, metric, arrival_ms, cache)
    checked_count(samples)
    return Batch(samples, skipped)
