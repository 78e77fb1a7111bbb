"""Messages of another log become samples on `TELEMETRY`: a fold that remembers nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from services.metrics_aggregator.dead import dead_letter
from services.metrics_aggregator.domain.mapping import mapped_samples
from services.metrics_aggregator.domain.partials import source_key
from services.metrics_aggregator.domain.refusal import Refusal
from services.metrics_aggregator.domain.rules import Source
from services.metrics_aggregator.domain.series import Sample
from services.metrics_aggregator.topology import FEED, FEED_DEAD
from shared.contracts.telemetry import TELEMETRY_PREFIX
from shared.log_stream.fold import Event, Output

_SPREAD: Final = 16
"""Samples of one source have so many subjects, a series one of them, to use many partitions."""

_AT_ONCE: Final = 500
_MILLISECOND: Final = 1_000_000


class FeedFold:
    """Maps the messages of one source."""

    schema = 1

    def __init__(self, source: Source) -> None:
        self._source = source
        self._subject = f"{TELEMETRY_PREFIX}.feed.{source_key(source)}"
        self._headers = {FEED: source_key(source)}

    def apply(self, event: Event) -> Sequence[Output]:
        """Return the samples that a message stands for, or a dead letter."""
        try:
            samples = mapped_samples(event.data, self._source, event.arrival_ns // _MILLISECOND)
        except Refusal as refusal:
            letter = dead_letter(
                event, refusal.reason, refusal.error, self._source.stream, FEED_DEAD
            )
            return (letter,)
        spread: dict[int, list[Sample]] = {}
        for sample in samples:
            spread.setdefault(sample.series.member % _SPREAD, []).append(sample)
        return [output for part in sorted(spread) for output in self._outputs(part, spread[part])]

    def open_windows(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def keys(self) -> int:
        """Return 0: nothing is remembered."""
        return 0

    def numbers(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def snapshot(self) -> Iterator[object]:
        """Yield nothing."""
        yield from ()

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take in nothing."""

    def _outputs(self, part: int, samples: list[Sample]) -> Iterator[Output]:
        rest = iter(samples)
        while some := list(islice(rest, _AT_ONCE)):
            body = [
                {
                    "name": sample.series.name,
                    "value": sample.value,
                    "labels": dict(sample.series.labels),
                    "time": sample.time_ms / 1000,
                }
                for sample in some
            ]
            yield Output(f"{self._subject}.{part}", msgspec.json.encode(body), self._headers)
