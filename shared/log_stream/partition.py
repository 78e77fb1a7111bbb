"""One partition at work: claim, restore, read, fold, commit, snapshot, tick.

`run` is the table of contents. It ends by raising: `FencedError` when another member has the
partition, `LogChangedError` when the log is not the one that was folded, `FoldFailedError` when
the fold cannot take an event, `StoppedError` when this member gives it up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from nats.aio.client import Client

from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS, NANOSECONDS
from shared.log_stream import guard, position
from shared.log_stream.commit import Committer
from shared.log_stream.controls import Controls
from shared.log_stream.fold import CONTROL, Event, Fold, Program
from shared.log_stream.intake import Intake
from shared.log_stream.policy import LogPolicy, Ownership, PartitionStats
from shared.log_stream.position import Position
from shared.log_stream.reader import DisturbedError, Reader
from shared.log_stream.restore import restore
from shared.log_stream.snapshots import Snapshots
from shared.log_stream.stage import Stage
from shared.log_stream.upkeep import Upkeep
from shared.logs import logger

_log = logger("partition")

_BATCH_SECONDS = 0.25
_MOST_WAITING_OUTPUTS = 5000
_RETRY_SECONDS = 0.2
_HELD_UP_SECONDS = 2.0


def _nothing() -> None:
    pass


class Partition:
    """One partition of a stage, owned by this member while `run` runs."""

    def __init__(
        self,
        broker: Broker,
        stage: Stage,
        number: int,
        program: Program,
        policy: LogPolicy,
        ownership: Ownership,
    ) -> None:
        self._broker = broker
        self._stage = stage
        self.number = number
        self._program = program
        self._policy = policy
        self._ownership = ownership
        self._snapshots = Snapshots(broker.client, stage, number)
        self._reader = Reader(broker, stage, number, batch_parser=policy.batch_parser)
        self._release = asyncio.Event()
        self._upkeep = Upkeep(broker.client, stage, number, policy.upkeep_seconds)
        self._move_at = 0.0
        self.reading = False
        """Whether the log was found to be the one that was folded, and is being read."""
        self.stats = PartitionStats()
        self._intake = Intake(
            broker.client,
            stage,
            number,
            program.fold("", number),
            self.stats,
            self._ownership.check,
        )
        self._controls = Controls(
            broker.client, stage, number, program, policy.idle_seconds, self.stats
        )

    @property
    def fold(self) -> Fold:
        """The fold as it stands."""
        return self._intake.fold

    @property
    def finished(self) -> bool:
        """Whether it has folded all that it was to fold."""
        until = self._ownership.until()
        return until is not None and self._intake.folded[0] >= until

    @property
    def lag(self) -> int:
        """Events stored and not yet read."""
        return self._reader.lag

    @property
    def lag_seconds(self) -> float:
        """How long ago that arrived which was folded last; 0 where nothing waits to be read."""
        if not self._reader.lag or not self._intake.folded[1]:
            return 0.0
        return max(0.0, time.time() - self._intake.folded[1] / NANOSECONDS)

    def release(self) -> None:
        """Give the partition up softly: what was folded is committed first."""
        self._release.set()

    async def run(self, claimed: Callable[[], object] = _nothing) -> None:
        """Own the partition until something ends that; `claimed` is called when that begins."""
        began = time.monotonic()
        try:
            fence, record = await position.claim(
                self._client,
                self._stage.target.name,
                self._subject,
                self._ownership.owner,
                seed=self._program.seed(),
                about=self._stage.record_headers,
                promotion=self._ownership.promotion,
            )
            claimed()
            await self._restore(record)
            await self._open(record)
            self.reading = True
            self.stats.restore_seconds = time.monotonic() - began
            _log.info(
                "partition claimed",
                partition=self.number,
                epoch=record.epoch,
                position=record.sequence,
                restored_to=self._intake.folded[0],
                seconds=round(self.stats.restore_seconds, 3),
            )
            committer = Committer(
                self._client, self._stage, self.number, (fence, record), self._ownership.check
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
        state = await restore(self._client, self._stage, self.number, self._program, record)
        self._intake.fold, self._intake.folded = state.fold, state.folded
        self._upkeep.snapshot_at, self._upkeep.clear = state.snapshot_at, state.clear

    async def _open(self, record: Position) -> None:
        await self._reader.open(max(self._intake.folded[0], record.begin - 1))

    async def _drive(self, committer: Committer, record: Position) -> None:
        self._controls.not_idle()
        while not self._release.is_set() and not self.finished:
            try:
                events = await self._batch()
            except DisturbedError as disturbance:
                await self._reopen(str(disturbance), record)
                continue
            self._ownership.check()
            began = time.monotonic()
            if until := self._ownership.until():
                events = [event for event in events if event.sequence <= until]
            if events:
                await self._intake.take(events, committer, record)
                if any(not event.subject.startswith(CONTROL) for event in events):
                    self._controls.not_idle()
            await committer.below(_MOST_WAITING_OUTPUTS)
            await self._snapshot_when_worth_it(committer)
            if time.monotonic() - began > _HELD_UP_SECONDS:
                # Nothing was asked for meanwhile: what came may be gone again, unread.
                await self._reopen("held up by folding, committing or a snapshot", record)
            caught_up = not self._reader.lag and not committer.waiting_outputs
            if self._stage.told:
                await self._controls.tell(
                    self.fold,
                    self._intake.folded[0],
                    lambda: self._see_that_it_is_ours(record),
                    caught_up=caught_up,
                )
            if self._upkeep.due():
                await self._keep_up(committer)
            elif caught_up:
                await self._move_when_due(committer)
            self.stats.follow(self.fold, self._intake.folded, committer)
        await committer.move(self._intake.folded)
        await self._snapshot(committer)
        await self._keep_up(committer)

    async def _batch(self) -> list[Event]:
        """Return what comes next. Raises `DisturbedError`, also where events went unread."""
        behind = self._reader.lag
        events = await self._reader.batch(_BATCH_SECONDS)
        if self._reader.lag < behind - len(events):
            raise DisturbedError("events are gone from the log that were not read")
        return events

    async def _move_when_due(self, committer: Committer) -> None:
        """Write where the fold stands: a record that lags tells nobody what was read."""
        now = time.monotonic()
        if now >= self._move_at:
            self._move_at = now + self._policy.position_seconds
            await committer.move(self._intake.folded)

    async def _see_that_it_is_ours(self, record: Position) -> None:
        """Raise `FencedError` where another has claimed the partition since we did."""
        await position.see_that_it_is(self._client, self._stage.target.name, self._subject, record)

    async def _reopen(self, why: str, record: Position) -> None:
        """After a disturbance: still ours, then read again from where the fold stands."""
        self.stats.disturbances += 1
        _log.warning("reading disturbed", partition=self.number, why=why)
        while True:
            self._ownership.check()
            try:
                await self._see_that_it_is_ours(record)
                folded = self._intake.folded
                refolding = folded[0] < record.sequence and not self._stage.stateless
                place = folded if refolding else max(folded, self._upkeep.clear)
                await guard.check(self._client, self._stage, self.number, place)
                await self._open(record)
            except BROKER_ERRORS as error:
                _log.warning("not reading yet", partition=self.number, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._controls.not_idle()
                return

    async def _keep_up(self, committer: Committer) -> None:
        await self._upkeep.tidy_up()
        if self._intake.since_snapshot and await self._upkeep.snapshot_fades():
            await self._snapshot(committer)
        if not self._reader.lag and not committer.waiting_outputs:
            await self._upkeep.move_on(committer, self._intake.folded)

    async def _snapshot_when_worth_it(self, committer: Committer) -> None:
        if self._intake.since_snapshot >= max(self._policy.snapshot_least_events, self.fold.keys()):
            await self._snapshot(committer)

    async def _snapshot(self, committer: Committer) -> None:
        manifest = await self._intake.save(self._snapshots, committer)
        if manifest is not None:
            self._upkeep.snapshot_at = self._intake.folded
            self.stats.snapshot_taken(manifest.size)
