"""The ledger: invoices get their numbers here, each exactly once, many in one commit.

An invoice exists when one atomic batch on `INVOICES` is stored:

    invoices.issued.<seller>             the fact
    invoices-done.<identity of the job>  fence: must not exist
    invoices-counter.<series>            fence: unchanged; holds the last number and a commit id

so its number and its existence are the same commit: no gap, no double, whoever dies when.
Orders wait in line; a batch takes all that wait (group commit), for a batch of 100 costs
about what a batch of 1 does. The next one gathers while one is under way.

The commit, with the numbers that stand in the code:
 1. merge equal jobs: the first speaks for all
 2. look the done records up; what is done already needs no commit
 3. number the rest from the counters, which are cached
 4. store the batch; stored: every order in it has its number
 5. refused, or the answer was lost: read the counters. Our commit id in one: it was stored.
    Else begin again at 2. The done records decide, for another worker may have moved the
    counter since; and should our batch still be on its way, its fence refuses it.

A batch takes a while to number, so a worker that has just won is the first to be ready again,
and would win for ever. One that is refused again and again therefore claims the counter: it
stores it once more with the same number, which is done in no time, refuses the batches of all
others, and gives it the head start.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections import deque

import msgspec
import nats.errors
from nats.aio.client import Client

from services.invoice_worker.ledger_batch import (
    Batch,
    Counters,
    Entry,
    Order,
    Waiting,
    done_subject,
)
from services.invoice_worker.topology import INVOICES
from shared import atomic_batch, jetstream
from shared.contracts.invoices import InvoiceDone
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.logs import logger

_log = logger("ledger")

_GIVE_UP_SECONDS = 10.0
_BACKOFF_SECONDS = 0.03
_CLAIM_AFTER_REFUSALS = 4
_HEADER_BYTES = 4096

_done = msgspec.json.Decoder(InvoiceDone)


class LedgerUnavailableError(Exception):
    """The commit could not be made, for reasons outside the job."""


class TooLargeError(Exception):
    """The fact is larger than a message may be."""


class Ledger:
    """Gives numbers. `run` must be running for `issue` to return."""

    def __init__(self, client: Client, most_per_commit: int) -> None:
        self._client = client
        self._most = most_per_commit
        self._line: deque[Waiting] = deque()
        self._someone = asyncio.Event()
        self._counters = Counters(client)
        self.commits = 0
        self.committed = 0
        self.refused = 0

    async def issue(self, order: Order) -> Entry:
        """Return the invoice's number, new, or as it was given before.

        Raises `LedgerUnavailableError`, `TooLargeError`. For a caller that is cancelled it is
        open whether the invoice was issued; asking again tells.
        """
        waiting = Waiting(order)
        self._line.append(waiting)
        self._someone.set()
        return await waiting.answer

    async def run(self) -> None:
        """Commit what waits, one batch after another, until cancelled."""
        while True:
            await self._someone.wait()
            await asyncio.sleep(0)  # whoever is ready by now gets into the same batch
            taken = [self._line.popleft() for _ in range(min(self._most, len(self._line)))]
            if not self._line:
                self._someone.clear()
            wanted = [waiting for waiting in taken if waiting.open]
            try:
                await self._commit(wanted)
            except BROKER_ERRORS as error:
                words = str(error) or type(error).__name__
                _log.warning("commit failed", orders=len(wanted), error=words)
                for waiting in wanted:
                    waiting.refuse(LedgerUnavailableError(words))

    async def _commit(self, wanted: list[Waiting]) -> None:
        first: dict[str, Waiting] = {}  # 1
        for waiting in wanted:
            first.setdefault(waiting.order.prepared.identity, waiting)
        give_up = asyncio.get_running_loop().time() + _GIVE_UP_SECONDS
        tries = 0
        while True:
            await self._answer_done(first)  # 2
            batch = await self._numbered(first)  # 3
            if not batch.orders:
                break
            if await self._store(batch):  # 4
                for waiting, number in batch.orders:
                    waiting.give(Entry(number, existed=False, same_content=True))
                tries = 0
                continue
            tries += 1
            if asyncio.get_running_loop().time() > give_up:
                raise TimeoutError(f"not committed in {_GIVE_UP_SECONDS:.0f} s, {tries} tries")
            if tries % _CLAIM_AFTER_REFUSALS == 0:
                await self._counters.claim(batch)
            else:
                await asyncio.sleep(random.random() * _BACKOFF_SECONDS)  # noqa: S311
        for waiting in wanted:
            if waiting.open:
                _repeat(waiting, first[waiting.order.prepared.identity])

    async def _answer_done(self, first: dict[str, Waiting]) -> None:
        subjects = [done_subject(identity) for identity, one in first.items() if one.open]
        found = await jetstream.last_messages_direct(self._client, INVOICES.name, subjects)
        for subject, data in found.items():
            waiting = first[subject.rpartition(".")[2]]
            done = _done.decode(data)
            same = done.content == waiting.order.prepared.content
            waiting.give(Entry(done.number, existed=True, same_content=same))

    async def _numbered(self, first: dict[str, Waiting]) -> Batch:
        room = self._client.max_payload - _HEADER_BYTES
        batch = Batch(dt.datetime.now(dt.UTC).replace(microsecond=0), room)
        for waiting in first.values():
            if batch.full:
                break
            if waiting.open and (size := await batch.add(waiting, self._counters)):
                words = f"the invoice takes {size} bytes of at most {room}"
                waiting.refuse(TooLargeError(words))
        return batch

    async def _store(self, batch: Batch) -> bool:
        try:
            ack = await atomic_batch.commit(self._client, batch.messages())
        except JetStreamError as error:
            if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                await self._reread(batch)
                raise
            self.refused += 1
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as error:
            _log.warning("commit unanswered, looking", commit=batch.commit, error=repr(error))
        else:
            self._counters.stored(batch, ack.sequence)
            self._count(batch)
            return True
        return await self._reread(batch)  # 5

    async def _reread(self, batch: Batch) -> bool:
        records = [await self._counters.read(series) for series in batch.last]
        if not any(record is not None and record.commit == batch.commit for record in records):
            return False
        self._count(batch)
        return True

    def _count(self, batch: Batch) -> None:
        self.commits += 1
        self.committed += len(batch.orders)


def _repeat(waiting: Waiting, first: Waiting) -> None:
    """Answer an order that asked for the same invoice as another of the same batch."""
    answer = first.answer
    if answer.cancelled():
        waiting.refuse(LedgerUnavailableError("an equal job was interrupted"))
    elif (error := answer.exception()) is not None:
        waiting.refuse(type(error)(*error.args) if isinstance(error, Exception) else ValueError())
    else:
        same = waiting.order.prepared.content == first.order.prepared.content
        entry = answer.result()
        if entry.existed:  # the done record speaks for both, and its content may be a third
            same = same and entry.same_content
        waiting.give(Entry(entry.number, existed=True, same_content=same))
