"""How far time has come in the partitions of the first stage, as their marks on `METRICS` say.

An idle partition would hold back the results of all others, so its owner lets it follow: to the
greatest mark of the others, but not beyond the present, for a publisher whose clock is ahead
must not make all others late.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import DecodeError

from services.metrics_aggregator.domain.partials import mark_decoder
from services.metrics_aggregator.topology import METRICS, merge_subject
from shared import jetstream
from shared.broker import Broker
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS
from shared.logs import logger

_log = logger("horizon")

_LOOK_SECONDS: Final = 0.5
_STEP_MS: Final = 10_000


class Horizon:
    """Reads the marks of these sources again and again; `known` gives the greatest of each."""

    def __init__(
        self, broker: Broker, partitions: int, sources: Callable[[], Iterable[str]]
    ) -> None:
        self._broker = broker
        self._partitions = partitions
        self._sources = sources
        self._marks: dict[str, int] = {}

    @property
    def ready(self) -> bool:
        """Always: without news nothing follows, and nothing is lost."""
        return True

    def known(self) -> dict[str, int]:
        """Return the greatest mark of each source, in milliseconds, at most the present."""
        present_ms = int(time.time() * 1000)
        stepped_ms = present_ms - present_ms % _STEP_MS  # or all would run along, at every look
        return {
            source: mark_ms if mark_ms <= present_ms else stepped_ms
            for source, mark_ms in self._marks.items()
        }

    async def run(self, stop: asyncio.Event, _: Deadline) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            try:
                await self._look()
            except BROKER_ERRORS as error:
                _log.debug("marks not read", error=str(error) or repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()

    async def _look(self) -> None:
        bodies: list[bytes] = []
        for source in self._sources():
            subjects = [merge_subject(0, "mark", n, source) for n in range(self._partitions)]
            found = await jetstream.last_messages_direct(
                self._broker.client, METRICS.name, subjects
            )
            bodies += found.values()
        for body in bodies:
            try:
                mark = mark_decoder.decode(body)
            except DecodeError as error:  # a stranger's; the second stage parks it
                _log.debug("no mark", error=str(error))
                continue
            self._marks[mark.source] = max(mark.ms, self._marks.get(mark.source, mark.ms))
