"""Append what a fold should see that no publisher sends: a proposal of the program, or a tick.

A tick is appended only when the fold has seen all there is. Its fence, and that of a proposal
that wants one, is on the partition's tail: nothing may lie in it above what was folded, so a
zombie's message is refused.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.log_stream.fold import Fold, Program, Proposal
from shared.log_stream.policy import PartitionStats
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")

_PROPOSAL_SECONDS = 0.5


class Controls:
    """Control messages of one partition; idleness is measured while this owner is connected."""

    def __init__(
        self,
        client: Client,
        stage: Stage,
        number: int,
        program: Program,
        idle_seconds: float,
        stats: PartitionStats,
    ) -> None:
        self._client = client
        self._stage = stage
        self._number = number
        self._program = program
        self._idle_seconds = idle_seconds
        self._stats = stats
        self._idle_since = 0.0
        self._next_proposal = 0.0
        self._next_tick = 0.0

    def not_idle(self) -> None:
        """Note that an event came, or that reading has just begun."""
        self._idle_since = time.monotonic()

    async def tell(
        self,
        fold: Fold,
        folded: int,
        see_that_it_is_ours: Callable[[], Awaitable[None]],
        *,
        caught_up: bool,
    ) -> None:
        """Append what is due; `folded` is the sequence of the event folded last.

        Whoever lost the partition may have skipped events unseen and yet stand at its tail, so
        `see_that_it_is_ours` is called first and raises: an owner's fold has skipped nothing.
        `caught_up`: that event is the last one of the partition, as far as we know.
        """
        now = time.monotonic()
        proposal = None
        if now >= self._next_proposal:
            proposal = self._program.proposal(fold, caught_up=caught_up)
        if proposal is not None:
            self._next_proposal = now + _PROPOSAL_SECONDS
            await self._append(folded, proposal, see_that_it_is_ours)
            return
        idle = now - self._idle_since
        due = caught_up and idle >= self._idle_seconds and now >= self._next_tick
        if due and fold.open_windows():
            self._next_tick = now + self._idle_seconds / 2
            body = msgspec.json.encode({"idle_ms": int(idle * 1000)})
            if await self._append(folded, Proposal("tick", body), see_that_it_is_ours):
                self._stats.ticks += 1

    async def _append(
        self,
        folded: int,
        proposal: Proposal,
        see_that_it_is_ours: Callable[[], Awaitable[None]],
    ) -> bool:
        try:
            await see_that_it_is_ours()
            if proposal.fenced:
                await self._publish_after(folded, proposal)
            else:
                await self._publish(proposal, None)
        except BROKER_ERRORS as error:
            # An event came first, and the fold sees that before; or we try again soon.
            _log.debug(
                "control refused", partition=self._number, name=proposal.name, error=str(error)
            )
            return False
        return True

    async def _publish_after(self, tail: int, proposal: Proposal) -> None:
        events = self._stage.events(self._number)
        fence = {
            headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(tail),
            headers.EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT: events,
        }
        try:
            await self._publish(proposal, fence)
        except JetStreamError as error:
            if not tail or error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                raise
            if await jetstream.next_message(self._client, self._stage.source.name, events, 1):
                raise
            await self._publish_after(0, proposal)  # all events have left the log meanwhile

    async def _publish(self, proposal: Proposal, given: Mapping[str, str] | None) -> None:
        subject = self._stage.control(self._number, proposal.name)
        await jetstream.publish(self._client, subject, proposal.body, given, timeout=1.0)
