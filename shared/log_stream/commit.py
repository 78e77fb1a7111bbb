"""Commit outputs together with the position, fenced; the only writer of a position record.

1. Outputs gather in the order of their events. A batch takes as many as it holds; more, even
   of one event, are split, and the record says how many of that event are out.
2. The batch is the outputs, then the record with the fence (its own last sequence) and a
   commit id. The next batch gathers while one is under way.
3. The answer is lost: resend, a new batch with the same fence. Only one of them can win.
4. Refused: read the record. Our commit id: it was stored. Another's: `FencedError`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Sequence

import msgspec
import nats.errors
from msgspec.structs import replace
from nats.aio.client import Client

from shared import atomic_batch, jetstream, trace, tracing
from shared.atomic_batch import BatchMessage, follows
from shared.jetstream import JetStreamError
from shared.log_stream import position
from shared.log_stream.fold import Event, Output
from shared.log_stream.guard import Place
from shared.log_stream.position import FencedError, Manifest, Position
from shared.log_stream.stage import Stage
from shared.log_stream.waiting_line import Emitted, WaitingLine
from shared.logs import logger
from shared.tracing import Facts, Span

_log = logger("commit")

_TIMEOUT_SECONDS = 2.0
_RETRY_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


class Committer:
    """Writes what a partition emits. `run` must be running; `still_ours` raises when it is not."""

    def __init__(
        self,
        client: Client,
        stage: Stage,
        partition: int,
        claimed: tuple[int, Position],
        still_ours: Callable[[], None],
    ) -> None:
        self._client = client
        self._stream = stage.target.name
        self._source = stage.source.name
        self._subject = stage.position(partition)
        self._about = stage.record_headers
        self._fence, self.record = claimed
        self._still_ours = still_ours
        self._line = WaitingLine(stage)
        self._some = asyncio.Event()
        self._moved = asyncio.Event()
        self._writing = asyncio.Lock()
        self.waiting_outputs = 0
        self.commits = 0
        self.outputs = 0

    def begun_with(self, first: Place) -> None:
        """Note the event that the fold began with; it goes into the record with the next commit."""
        if not self.record.first[0]:
            self.record = replace(self.record, first=first)

    def add(self, event: Event, outputs: Sequence[Output], already_out: int) -> None:
        """Put the outputs of an event in line, without the first `already_out`."""
        self._line.add(Emitted(event, outputs, already_out))
        self.waiting_outputs += len(outputs) - already_out
        self._some.set()

    async def run(self) -> None:
        """Commit what is in line, one batch after another. Raises `FencedError`, broker errors."""
        while True:
            await self._some.wait()
            while self._line:
                batch = self._line.take()
                last = batch.last
                await self._write(
                    batch.messages,
                    sequence=last.sequence,
                    arrival_ns=last.arrival_ns,
                    outputs=last.done,
                    partial=last.done < len(last.outputs),
                )
                if batch.traced:
                    self._trace(batch.traced)
                self.waiting_outputs -= len(batch.messages)
                self._moved.set()
            self._some.clear()

    async def below(self, most: int) -> None:
        """Wait until at most so many outputs are in line or under way."""
        while self.waiting_outputs > most:
            self._moved.clear()
            await self._moved.wait()

    async def move(self, folded: Place, clear: Place = (0, 0)) -> None:
        """Write how far was folded, though the last events emitted nothing; all must be out.

        `clear` is a place behind that, up to which the log holds no more of the partition.
        """
        await self.below(0)
        changes: dict[str, object] = {}
        if folded[0] > self.record.sequence:
            changes |= {
                "sequence": folded[0],
                "arrival_ns": folded[1],
                "outputs": 0,
                "partial": False,
            }
        if clear > max(folded, self.record.clear):
            changes["clear"] = clear
        if changes:
            await self._write([], **changes)

    async def name_snapshot(self, manifest: Manifest) -> None:
        """Write into the record which snapshot is the newest; its outputs must all be out.

        The position moves up to the snapshot's, where it was behind for want of outputs.
        """
        if manifest.sequence > self.record.sequence:
            await self._write(
                [],
                sequence=manifest.sequence,
                arrival_ns=manifest.arrival_ns,
                outputs=0,
                partial=False,
                snapshot=manifest,
            )
        else:
            await self._write([], snapshot=manifest)

    def _trace(self, traced: Iterable[Emitted]) -> None:
        """Make a span of each event that a publisher wants traced: from its arrival to here."""
        end_ns = time.time_ns()
        for one in traced:
            source = f"{self._source}:{one.sequence}"
            facts: Facts = {"headrace.source": source, "headrace.outputs": len(one.outputs)}
            parent = trace.outgoing(one.traced or {}, source)
            tracing.record(Span(f"commit {self._stream}", parent, one.arrival_ns, end_ns, facts))

    async def _write(self, messages: list[BatchMessage], **changes: object) -> None:
        async with self._writing:
            commit = uuid.uuid4().hex
            record = replace(self.record, commit=commit, **changes)
            data = msgspec.json.encode(record)
            pause = _RETRY_SECONDS
            while True:
                self._still_ours()
                last = BatchMessage(self._subject, data, {**follows(self._fence), **self._about})
                try:
                    self._fence = await self._store([*messages, last])
                except JetStreamError as error:
                    if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                        _log.warning("commit failed", subject=self._subject, error=str(error))
                        await asyncio.sleep(pause)  # full, perhaps, until somebody makes room
                        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                        continue
                    if not await self._was_ours(commit):
                        continue
                except nats.errors.TimeoutError:
                    _log.warning("commit unanswered, sending again", subject=self._subject)
                    continue
                self.record = record
                self.commits += 1
                self.outputs += len(messages)
                return

    async def _store(self, messages: list[BatchMessage]) -> int:
        if len(messages) > 1:
            ack = await atomic_batch.commit(self._client, messages, _TIMEOUT_SECONDS)
        else:  # one message needs no batch, and is eight times cheaper without
            only = messages[0]
            ack = await jetstream.publish(
                self._client, only.subject, only.data, only.headers, _TIMEOUT_SECONDS
            )
        return ack.sequence

    async def _was_ours(self, commit: str) -> bool:
        """After a refusal: whether it is stored all the same. Raises `FencedError`."""
        try:
            sequence, stored = await position.read(self._client, self._stream, self._subject)
        except (JetStreamError, nats.errors.Error):
            await asyncio.sleep(_RETRY_SECONDS)
            return False
        if stored.commit == commit:
            self._fence = sequence
            return True
        if sequence != self._fence:
            raise FencedError(
                f"epoch {self.record.epoch} ended, {stored.epoch} is {stored.owner}'s"
            )
        await asyncio.sleep(_RETRY_SECONDS)  # refused by a rival batch that was then given up
        return False
