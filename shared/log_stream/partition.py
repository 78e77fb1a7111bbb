"""One partition at work: claim, restore, read, fold, commit, snapshot, tick.

`run` is the table of contents. It ends by raising: `FencedError` when another member has the
partition, `LogChangedError` when the log is not the one that was folded, `StoppedError` when
this member gives it up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from nats.aio.client import Client

from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import guard, position, snapshots
from shared.log_stream.commit import Committer
from shared.log_stream.controls import Controls
from shared.log_stream.fold import TICK, Event, Fold, Output, Program
from shared.log_stream.policy import LogPolicy, PartitionStats
from shared.log_stream.position import FencedError, Manifest, Position
from shared.log_stream.reader import DisturbedError, Reader
from shared.log_stream.snapshots import Snapshots, SnapshotUnusableError
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")

_BATCH_SECONDS = 0.25
_MOST_WAITING_OUTPUTS = 5000
_RETRY_SECONDS = 0.2


class StoppedError(Exception):
    """The member gives the partition up; says why."""


class Partition:
    """One partition of a stage, owned by this member while `run` runs."""

    def __init__(
        self,
        broker: Broker,
        stage: Stage,
        number: int,
        program: Program,
        policy: LogPolicy,
        *,
        owner: str,
        lease_valid: Callable[[], bool],
    ) -> None:
        self._broker = broker
        self._stage = stage
        self.number = number
        self._program = program
        self._policy = policy
        self._owner = owner
        self._lease_valid = lease_valid
        self._snapshots = Snapshots(broker.client, stage, number)
        self._reader = Reader(broker, stage, number, batch_parser=policy.batch_parser)
        self._release = asyncio.Event()
        self._folded = (0, 0)
        """Sequence and arrival time of the event folded last."""
        self._since_snapshot = 0
        self.fold: Fold = program.fold("")
        self.stats = PartitionStats()
        self._controls = Controls(
            broker.client, stage, number, program, policy.idle_seconds, self.stats
        )

    @property
    def lag(self) -> int:
        """Events stored and not yet read."""
        return self._reader.lag

    def release(self) -> None:
        """Give the partition up softly: what was folded is committed first."""
        self._release.set()

    async def run(self) -> None:
        """Own the partition until something ends that."""
        began = time.monotonic()
        try:
            claimed = await position.claim(
                self._client,
                self._stage.target.name,
                self._subject,
                self._owner,
                seed=self._program.seed(),
            )
            record = claimed[1]
            await self._restore(record)
            await self._reader.open(self._folded[0])
            self.stats.restore_seconds = time.monotonic() - began
            _log.info(
                "partition claimed",
                partition=self.number,
                epoch=record.epoch,
                position=record.sequence,
                restored_to=self._folded[0],
                seconds=round(self.stats.restore_seconds, 3),
            )
            committer = Committer(
                self._client, self._stage, self.number, claimed, self._check_lease
            )
            async with asyncio.TaskGroup() as group:
                committing = group.create_task(committer.run())
                await self._drive(committer, record)
                committing.cancel()
        finally:
            await self._reader.close()

    @property
    def _client(self) -> Client:
        return self._broker.client

    @property
    def _subject(self) -> str:
        return self._stage.position(self.number)

    async def _restore(self, record: Position) -> None:
        self.fold = self._program.fold(record.seed)
        self._folded = (0, 0)
        manifest = record.snapshot
        if manifest is not None:
            try:
                self.fold.restore(await self._snapshots.load(manifest, self.fold.schema))
                self._folded = (manifest.sequence, manifest.arrival_ns)
            except SnapshotUnusableError as error:
                self.fold = self._program.fold(record.seed)
                _log.warning(
                    "snapshot unusable, folding anew", partition=self.number, error=str(error)
                )
        for sequence, arrival_ns in (self._folded, (record.sequence, record.arrival_ns)):
            await guard.check(self._client, self._stage, self.number, sequence, arrival_ns)
        if record.sequence and not self._folded[0]:
            await guard.check_whole(self._client, self._stage, self.number)

    async def _drive(self, committer: Committer, record: Position) -> None:
        self._controls.not_idle()
        while not self._release.is_set():
            try:
                events = await self._reader.batch(_BATCH_SECONDS)
            except DisturbedError as disturbance:
                await self._reopen(str(disturbance), record.epoch)
                continue
            self._check_lease()
            if events:
                self._fold_batch(events, committer, record)
                if any(event.subject != TICK for event in events):
                    self._controls.not_idle()
            await committer.below(_MOST_WAITING_OUTPUTS)
            await self._snapshot_when_worth_it(committer)
            if not self._reader.lag and not committer.waiting_outputs:
                await self._controls.tell(self.fold, self._folded[0])
            self.stats.follow(self.fold, self._folded, committer)
        await committer.move(*self._folded)
        await self._snapshot(committer)

    def _fold_batch(self, events: list[Event], committer: Committer, record: Position) -> None:
        apply = self.fold.apply
        for event in events:
            outputs = apply(event)
            if outputs:
                self._emit(event, outputs, committer, record)
        last = events[-1]
        self._folded = (last.sequence, last.arrival_ns)
        self._since_snapshot += len(events)
        self.stats.events += len(events)

    def _emit(
        self, event: Event, outputs: Sequence[Output], committer: Committer, record: Position
    ) -> None:
        already_out = 0
        if event.sequence < record.sequence:
            already_out = len(outputs)
        elif event.sequence == record.sequence:
            already_out = min(record.outputs, len(outputs))
        self.stats.suppressed += already_out
        if already_out < len(outputs):
            committer.add(event, outputs, already_out)

    def _check_lease(self) -> None:
        if not self._lease_valid():
            raise StoppedError("our lease is overdue")

    async def _reopen(self, why: str, epoch: int) -> None:
        """After a disturbance: still ours, then read again from where the fold stands."""
        self.stats.disturbances += 1
        _log.warning("reading disturbed", partition=self.number, why=why)
        while True:
            self._check_lease()
            try:
                _, stored = await position.read(
                    self._client, self._stage.target.name, self._subject
                )
                if stored.epoch != epoch:
                    raise FencedError(f"epoch {epoch} ended, {stored.epoch} is {stored.owner}'s")
                await guard.check(self._client, self._stage, self.number, *self._folded)
                await self._reader.open(self._folded[0])
            except BROKER_ERRORS as error:
                _log.warning("not reading yet", partition=self.number, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._controls.not_idle()
                return

    async def _snapshot_when_worth_it(self, committer: Committer) -> None:
        if self._since_snapshot >= max(self._policy.snapshot_least_events, self.fold.keys()):
            await self._snapshot(committer)

    async def _snapshot(self, committer: Committer) -> None:
        if not self._since_snapshot:
            return
        at, epoch = self._folded, committer.record.epoch
        began = time.monotonic()
        chunks = await snapshots.encode(self.fold.snapshot())
        await committer.below(0)  # a snapshot's outputs must be out before it counts
        try:
            sequences, crc = await self._snapshots.store(f"{epoch}-{at[0]}", chunks)
        except BROKER_ERRORS as error:
            _log.warning("snapshot failed", partition=self.number, error=str(error))
            self._since_snapshot = self._since_snapshot // 2  # again, but not at once
            return
        size = sum(map(len, chunks))
        manifest = Manifest(*at, self.fold.schema, sequences, crc, size)
        await committer.name_snapshot(manifest)
        self._since_snapshot = 0
        self.stats.snapshot_taken(size)
        try:
            await self._snapshots.remove_older(manifest)
        except BROKER_ERRORS as error:
            _log.warning("old snapshots stay", partition=self.number, error=str(error))
        _log.info(
            "snapshot stored",
            partition=self.number,
            position=at[0],
            bytes=size,
            seconds=round(time.monotonic() - began, 3),
        )
