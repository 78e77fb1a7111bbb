"""One partition at work: claim, restore, read, fold, commit, snapshot, tick.

`run` is the table of contents. It ends by raising: `FencedError` when another member has the
partition, `LogChangedError` when the log is not the one that was folded, `FoldFailedError` when
the fold cannot take an event, `StoppedError` when this member gives it up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from nats.aio.client import Client

from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import guard, position
from shared.log_stream.commit import Committer
from shared.log_stream.controls import Controls
from shared.log_stream.fold import CONTROL, Event, Fold, Output, Program
from shared.log_stream.guard import Place
from shared.log_stream.policy import LogPolicy, Ownership, PartitionStats
from shared.log_stream.position import FencedError, Position
from shared.log_stream.reader import DisturbedError, Reader
from shared.log_stream.recalling import recall_for, runs
from shared.log_stream.restore import restore
from shared.log_stream.snapshots import Snapshots
from shared.log_stream.stage import Stage
from shared.log_stream.upkeep import Upkeep
from shared.logs import logger

_log = logger("partition")

_BATCH_SECONDS = 0.25
_MOST_WAITING_OUTPUTS = 5000
_RETRY_SECONDS = 0.2
_NANOSECONDS = 1_000_000_000
_HELD_UP_SECONDS = 2.0


class StoppedError(Exception):
    """The member gives the partition up; says why."""


class FoldFailedError(Exception):
    """The fold raised at an event: a fault of the code, and it would do so again; says where."""

    def __init__(self, words: str, sequence: int) -> None:
        super().__init__(words)
        self.sequence = sequence


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
        self._folded: Place = (0, 0)
        """The event folded last."""
        self._since_snapshot = 0
        self._upkeep = Upkeep(broker.client, stage, number, policy.upkeep_seconds)
        self._move_at = 0.0
        self.reading = False
        """Whether the log was found to be the one that was folded, and is being read."""
        self.fold: Fold = program.fold("", number)
        self.stats = PartitionStats()
        self._controls = Controls(
            broker.client, stage, number, program, policy.idle_seconds, self.stats
        )

    @property
    def finished(self) -> bool:
        """Whether it has folded all that it was to fold."""
        until = self._ownership.until()
        return until is not None and self._folded[0] >= until

    @property
    def lag(self) -> int:
        """Events stored and not yet read."""
        return self._reader.lag

    @property
    def lag_seconds(self) -> float:
        """How long ago that arrived which was folded last; 0 where nothing waits to be read."""
        if not self._reader.lag or not self._folded[1]:
            return 0.0
        return max(0.0, time.time() - self._folded[1] / _NANOSECONDS)

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
                restored_to=self._folded[0],
                seconds=round(self.stats.restore_seconds, 3),
            )
            committer = Committer(
                self._client, self._stage, self.number, (fence, record), self._check_lease
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
        self.fold, self._folded = state.fold, state.folded
        self._upkeep.snapshot_at, self._upkeep.clear = state.snapshot_at, state.clear

    async def _open(self, record: Position) -> None:
        await self._reader.open(max(self._folded[0], record.begin - 1))

    async def _drive(self, committer: Committer, record: Position) -> None:
        self._controls.not_idle()
        while not self._release.is_set() and not self.finished:
            try:
                events = await self._batch()
            except DisturbedError as disturbance:
                await self._reopen(str(disturbance), record)
                continue
            self._check_lease()
            began = time.monotonic()
            if until := self._ownership.until():
                events = [event for event in events if event.sequence <= until]
            if events:
                await self._take_in(events, committer, record)
            await committer.below(_MOST_WAITING_OUTPUTS)
            await self._snapshot_when_worth_it(committer)
            if time.monotonic() - began > _HELD_UP_SECONDS:
                # Nothing was asked for meanwhile: what came may be gone again, unread.
                await self._reopen("held up by folding, committing or a snapshot", record)
            caught_up = not self._reader.lag and not committer.waiting_outputs
            if self._stage.told:
                await self._controls.tell(
                    self.fold,
                    self._folded[0],
                    lambda: self._see_that_it_is_ours(record),
                    caught_up=caught_up,
                )
            if self._upkeep.due():
                await self._keep_up(committer)
            elif caught_up:
                await self._move_when_due(committer)
            self.stats.follow(self.fold, self._folded, committer)
        await committer.move(self._folded)
        await self._snapshot(committer)
        await self._keep_up(committer)

    async def _batch(self) -> list[Event]:
        """Return what comes next. Raises `DisturbedError`, also where events went unread."""
        behind = self._reader.lag
        events = await self._reader.batch(_BATCH_SECONDS)
        if self._reader.lag < behind - len(events):
            raise DisturbedError("events are gone from the log that were not read")
        return events

    async def _take_in(self, events: list[Event], committer: Committer, record: Position) -> None:
        try:
            for some in runs(self.fold, events):
                self._fold_batch(some, committer, record)
                await self._recall(some[-1].sequence)
        except FoldFailedError:
            await committer.below(0)  # what came before that event is out
            raise
        if any(not event.subject.startswith(CONTROL) for event in events):
            self._controls.not_idle()

    async def _recall(self, sequence: int) -> None:
        """Let the fold see again what has been before that event, if it wants to."""
        began = time.monotonic()
        while True:
            self._check_lease()
            try:
                seen = await recall_for(self._client, self._stage, self.number, self.fold, sequence)
            except BROKER_ERRORS as error:
                _log.warning("recall broke off", partition=self.number, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        if seen:
            seconds = round(time.monotonic() - began, 3)
            _log.info("recalled", partition=self.number, events=seen, seconds=seconds)

    def _fold_batch(self, events: list[Event], committer: Committer, record: Position) -> None:
        if not self._folded[0]:
            committer.begun_with((events[0].sequence, events[0].arrival_ns))
        apply = self.fold.apply
        event = events[0]
        try:
            for event in events:
                outputs = apply(event)
                if outputs:
                    self._emit(event, outputs, committer, record)
        except Exception as error:
            raise FoldFailedError(
                f"partition {self.number} of {self._stage.group}: the fold failed at "
                f"{self._stage.source.name}:{event.sequence} ({error!r}); "
                "start a version that can take that event",
                event.sequence,
            ) from error
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

    async def _move_when_due(self, committer: Committer) -> None:
        """Write where the fold stands: a record that lags tells nobody what was read."""
        now = time.monotonic()
        if now >= self._move_at:
            self._move_at = now + self._policy.position_seconds
            await committer.move(self._folded)

    def _check_lease(self) -> None:
        if not self._ownership.lease_valid():
            raise StoppedError("our lease is overdue")

    async def _see_that_it_is_ours(self, record: Position) -> None:
        """Raise `FencedError` where another has claimed the partition since we did."""
        _, stored = await position.read(self._client, self._stage.target.name, self._subject)
        if (stored.epoch, stored.owner) != (record.epoch, record.owner):
            raise FencedError(f"epoch {record.epoch} ended, {stored.epoch} is {stored.owner}'s")

    async def _reopen(self, why: str, record: Position) -> None:
        """After a disturbance: still ours, then read again from where the fold stands."""
        self.stats.disturbances += 1
        _log.warning("reading disturbed", partition=self.number, why=why)
        while True:
            self._check_lease()
            try:
                await self._see_that_it_is_ours(record)
                behind = self._folded[0] < record.sequence
                refolding = behind and not self._stage.stateless
                place = self._folded if refolding else max(self._folded, self._upkeep.clear)
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
        if self._since_snapshot and await self._upkeep.snapshot_fades():
            await self._snapshot(committer)
        if not self._reader.lag and not committer.waiting_outputs:
            await self._upkeep.move_on(committer, self._folded)

    async def _snapshot_when_worth_it(self, committer: Committer) -> None:
        if self._since_snapshot >= max(self._policy.snapshot_least_events, self.fold.keys()):
            await self._snapshot(committer)

    async def _snapshot(self, committer: Committer) -> None:
        if not self._since_snapshot or self._stage.stateless:
            return
        manifest = await self._snapshots.take(self.fold, self._folded, committer)
        if manifest is None:
            self._since_snapshot = self._since_snapshot // 2  # again, but not at once
            return
        self._since_snapshot, self._upkeep.snapshot_at = 0, self._folded
        self.stats.snapshot_taken(manifest.size)
