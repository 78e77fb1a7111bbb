"""Keep what a restore of a partition needs from ageing out of its log.

An idle partition's position moves on while the log provably holds nothing more of it; and a
state that has changed is to be saved before the log drops what came after its last snapshot.
"""

from __future__ import annotations

import time

from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import guard
from shared.log_stream.commit import Committer
from shared.log_stream.guard import Place
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")


class Upkeep:
    """Looks after the log of one partition every so often."""

    def __init__(self, client: Client, stage: Stage, number: int, seconds: float) -> None:
        self._client = client
        self._stage = stage
        self._number = number
        self._seconds = seconds
        self._next = time.monotonic() + seconds
        self.clear: Place = (0, 0)
        """Up to here the log holds no more of the partition than was folded or committed."""
        self.snapshot_at: Place = (0, 0)

    def due(self) -> bool:
        """Tell whether it is time to look; once, then the time runs anew."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    async def snapshot_fades(self) -> bool:
        """Tell whether what a restore folds after the last snapshot will be dropped soon."""
        try:
            info = await jetstream.call(self._client, f"STREAM.INFO.{self._stage.source.name}")
        except BROKER_ERRORS as error:
            _log.warning("log not looked at", partition=self._number, error=str(error))
            return False
        return guard.is_fading(info, self.snapshot_at)

    async def tidy_up(self) -> None:
        """Purge the position records that another has followed, where none takes their place."""
        if not self._stage.keeps_old_positions:
            return
        try:
            await jetstream.call(
                self._client,
                f"STREAM.PURGE.{self._stage.target.name}",
                {"filter": self._stage.position(self._number), "keep": 1},
            )
        except BROKER_ERRORS as error:
            _log.warning("old positions not purged", partition=self._number, error=str(error))

    async def move_on(self, committer: Committer, folded: Place) -> None:
        """Note in the record how far the log holds no more of the partition than was folded.

        All that was read must be folded, and its outputs out.
        """
        try:
            self.clear = await guard.clear_until(
                self._client,
                self._stage,
                self._number,
                folded=folded[0],
                place=max(folded, self.clear),
            )
        except BROKER_ERRORS as error:
            _log.warning("log not looked at", partition=self._number, error=str(error))
        else:
            await committer.move(folded, self.clear)
