"""Series by what a publisher wrote: its labels are parsed once, not at every sample."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from services.metrics_aggregator.domain.series import Series

_LIMIT: Final = 1_000_000


class SeriesCache:
    """The latest `limit` series by the text that names them."""

    __slots__ = ("_known", "_limit", "get")

    def __init__(self, limit: int = _LIMIT) -> None:
        self._known: dict[Hashable, Series] = {}
        self._limit = limit
        self.get: Callable[[Hashable], Series | None] = self._known.get

    def keep(self, text: Hashable, series: Series) -> Series:
        """Remember and return a series."""
        if len(self._known) >= self._limit:
            for oldest in list(self._known)[: self._limit // 8 + 1]:
                del self._known[oldest]
        self._known[text] = series
        return series
