"""Take events into a partition's fold, and hand on what it emits and is not out yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from nats.aio.client import Client

from shared.jetstream import BROKER_ERRORS
from shared.log_stream.commit import Committer
from shared.log_stream.fold import Event, Fold, Output
from shared.log_stream.guard import Place
from shared.log_stream.policy import PartitionStats
from shared.log_stream.position import Manifest, Position
from shared.log_stream.recalling import recall_for, runs
from shared.log_stream.snapshots import Snapshots
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")

_RETRY_SECONDS = 0.2


class FoldFailedError(Exception):
    """The fold raised at an event: a fault of the code, and it would do so again; says where."""

    def __init__(self, words: str, sequence: int) -> None:
        super().__init__(words)
        self.sequence = sequence


class Intake:
    """A partition's fold, and how far it has come. `still_ours` raises when we have lost it."""

    def __init__(
        self,
        client: Client,
        stage: Stage,
        number: int,
        fold: Fold,
        stats: PartitionStats,
        still_ours: Callable[[], None],
    ) -> None:
        self._client = client
        self._stage = stage
        self._number = number
        self._stats = stats
        self._still_ours = still_ours
        self.fold = fold
        self.folded: Place = (0, 0)
        """The event folded last."""
        self.since_snapshot = 0
        """Events folded since the state was saved last."""

    async def take(self, events: list[Event], committer: Committer, record: Position) -> None:
        """Fold events and hand their outputs on, but for those that the record says are out.

        Raises `FoldFailedError`; what came before that event is out by then.
        """
        try:
            for some in runs(self.fold, events):
                self._fold_batch(some, committer, record)
                await self._recall(some[-1].sequence)
        except FoldFailedError:
            await committer.below(0)
            raise

    async def save(self, snapshots: Snapshots, committer: Committer) -> Manifest | None:
        """Store the state, if it has changed since the last time; return what names it."""
        if not self.since_snapshot or self._stage.stateless:
            return None
        manifest = await snapshots.take(self.fold, self.folded, committer)
        # Where it could not be stored: again, but not at once.
        self.since_snapshot = self.since_snapshot // 2 if manifest is None else 0
        return manifest

    async def _recall(self, sequence: int) -> None:
        """Let the fold see again what has been before that event, if it wants to."""
        began = time.monotonic()
        while True:
            self._still_ours()
            try:
                seen = await recall_for(
                    self._client, self._stage, self._number, self.fold, sequence
                )
            except BROKER_ERRORS as error:
                _log.warning("recall broke off", partition=self._number, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        if seen:
            seconds = round(time.monotonic() - began, 3)
            _log.info("recalled", partition=self._number, events=seen, seconds=seconds)

    def _fold_batch(self, events: list[Event], committer: Committer, record: Position) -> None:
        if not self.folded[0]:
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
                f"partition {self._number} of {self._stage.group}: the fold failed at "
                f"{self._stage.source.name}:{event.sequence} ({error!r}); "
                "start a version that can take that event",
                event.sequence,
            ) from error
        last = events[-1]
        self.folded = (last.sequence, last.arrival_ns)
        self.since_snapshot += len(events)
        self._stats.events += len(events)

    def _emit(
        self, event: Event, outputs: Sequence[Output], committer: Committer, record: Position
    ) -> None:
        already_out = 0
        if event.sequence < record.sequence:
            already_out = len(outputs)
        elif event.sequence == record.sequence:
            already_out = min(record.outputs, len(outputs))
        self._stats.suppressed += already_out
        if already_out < len(outputs):
            committer.add(event, outputs, already_out)
