"""The state of one partition, saved and restored: when that is worth it, how it counts.

A snapshot counts once the fenced record names it. One that cannot be stored is tried again
later; it does not stop the partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nats.aio.client import Client

from shared.jetstream import BROKER_ERRORS
from shared.log_stream import snapshots
from shared.log_stream.commit import Committer
from shared.log_stream.fold import Fold
from shared.log_stream.guard import Place
from shared.log_stream.policy import PartitionStats
from shared.log_stream.position import Manifest, Position
from shared.log_stream.snapshots import Snapshots, SnapshotUnusableError
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")


class Saving:
    """Restores and saves the state of one partition."""

    def __init__(
        self, client: Client, stage: Stage, number: int, least_events: int, stats: PartitionStats
    ) -> None:
        self._snapshots = Snapshots(client, stage, number)
        self._number = number
        self._stateless = stage.stateless
        self._least_events = least_events
        self._stats = stats
        self.at: Place = (0, 0)
        """What the newest snapshot contains last."""
        self.since = 0
        """Events folded after that."""

    async def restore(self, record: Position, new: Callable[[], Fold]) -> Fold:
        """Return the fold with the newest state that is usable; `at` says which that is.

        After a promotion that is at worst the state which was promoted. Raises broker errors.
        """
        for manifest in (record.snapshot, record.base):
            if manifest is None:
                continue
            fold = new()
            try:
                await self._snapshots.restore(manifest, fold)
            except SnapshotUnusableError as error:
                _log.warning(
                    "snapshot unusable, folding anew", partition=self._number, error=str(error)
                )
            else:
                self.at = (manifest.sequence, manifest.arrival_ns)
                return fold
        return new()

    async def save_when_worth_it(self, fold: Fold, at: Place, committer: Committer) -> None:
        """Store a snapshot if the input since the last one outweighs the state."""
        if self.since >= max(self._least_events, fold.keys()):
            await self.save(fold, at, committer)

    async def save(self, fold: Fold, at: Place, committer: Committer) -> None:
        """Store a snapshot of the state at a place, unless nothing was folded since the last."""
        if not self.since or self._stateless:
            return
        epoch, began = committer.record.epoch, time.monotonic()
        chunks = await snapshots.encode(fold.snapshot())
        await committer.below(0)  # a snapshot's outputs must be out before it counts
        try:
            sequences, crc = await self._snapshots.store(f"{epoch}-{at[0]}", chunks)
        except BROKER_ERRORS as error:
            _log.warning("snapshot failed", partition=self._number, error=str(error))
            self.since = self.since // 2  # again, but not at once
            return
        size = sum(map(len, chunks))
        manifest = Manifest(*at, fold.schema, sequences, crc, size)
        await committer.name_snapshot(manifest)
        self.since, self.at = 0, at
        self._stats.snapshot_taken(size)
        try:
            await self._snapshots.remove_older(manifest)
        except BROKER_ERRORS as error:
            _log.warning("old snapshots stay", partition=self._number, error=str(error))
        _log.info(
            "snapshot stored",
            partition=self._number,
            position=at[0],
            bytes=size,
            seconds=round(time.monotonic() - began, 3),
        )
