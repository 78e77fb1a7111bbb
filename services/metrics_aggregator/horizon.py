"""How far time has come in the partitions of the first stage, as their marks on `METRICS` say.

An idle partition would hold back the results of all others, so its owner lets it follow: to the
greatest mark of the others, but not beyond the present, for a publisher whose clock is ahead
must not make all others late.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from msgspec import DecodeError

from services.metrics_aggregator.domain.partials import mark_decoder
from services.metrics_aggregator.topology import MERGE_PREFIX, METRICS
from shared import jetstream
from shared.broker import Broker
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS
from shared.logs import logger

_log = logger("horizon")

_LOOK_SECONDS: Final = 0.5
_STEP_MS: Final = 10_000


class Horizon:
    """Reads the marks again and again; `known` gives the greatest of each source."""

    def __init__(self, broker: Broker, partitions: int) -> None:
        self._broker = broker
        self._subjects = [f"{MERGE_PREFIX}.0.mark.{number}" for number in range(partitions)]
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
        found = await jetstream.last_messages_direct(
            self._broker.client, METRICS.name, self._subjects
        )
        for body in found.values():
            try:
                mark = mark_decoder.decode(body)
            except DecodeError as error:  # a stranger's; the second stage parks it
                _log.debug("no mark", error=str(error))
                continue
            self._marks[mark.source] = max(mark.ms, self._marks.get(mark.source, mark.ms))
