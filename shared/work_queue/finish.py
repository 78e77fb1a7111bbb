"""Carry out an outcome: ack, retry later, or park; log it and count it."""

from __future__ import annotations

import logging
import random
import time
from typing import assert_never

from nats.aio.client import Client

from shared import trace, tracing
from shared.contracts import headers
from shared.jetstream import BROKER_ERRORS
from shared.logs import logger
from shared.tracing import Facts, Span
from shared.work_queue.attempts import Attempts
from shared.work_queue.delivery import Held
from shared.work_queue.outcome import Ack, DeadLetter, Outcome, Retry
from shared.work_queue.park import park
from shared.work_queue.policy import WorkerPolicy
from shared.work_queue.settle import ACK, Settler, nak, term
from shared.work_queue.stats import QueueStats

_log = logger("worker")


class Finisher:
    """Turns outcomes into settlements, of one worker."""

    def __init__(
        self,
        client: Client,
        service: str,
        policy: WorkerPolicy,
        settler: Settler,
        attempts: Attempts,
        stats: QueueStats,
    ) -> None:
        self._client = client
        self._service = service
        self._policy = policy
        self._settler = settler
        self._attempts = attempts
        self._stats = stats
        # Asked once: a line that is filtered out still costs as much as a small job.
        self._tell_acks = _log.is_enabled_for(logging.INFO)

    async def finish(self, held: Held, outcome: Outcome, *, attempts: int, seconds: float) -> None:
        """Settle `held` as the outcome says; `attempts` counts the one just made."""
        match outcome:
            case Ack():
                self._settler.settle(held.message.reply, ACK)
                self.acked(held, outcome, seconds)
            case Retry(error, delay, counts):
                if counts and attempts >= self._policy.max_attempts:
                    letter = DeadLetter("exhausted", error)
                    await self._park(held, letter, attempts, seconds)
                    return
                if delay is None:
                    delay = self._policy.backoff.delay_seconds(attempts, random.random())  # noqa: S311
                made = attempts if counts else attempts - 1
                await self.hand_back(held, made=made, delay_seconds=delay)
                self._told("retry", held, seconds, error=error, delay_seconds=round(delay, 3))
            case DeadLetter():
                await self._park(held, outcome, attempts, seconds)
            case _ as never:
                assert_never(never)

    def acked(self, held: Held, outcome: Ack, seconds: float) -> None:
        """Count and log a job that is done."""
        if tracing.enabled():
            self._trace("ack", held, seconds)
        if self._tell_acks:
            self._told("ack", held, seconds, **outcome.facts)
        else:
            self._stats.observe("ack", seconds)

    async def hand_back(self, held: Held, *, made: int, delay_seconds: float = 0.0) -> None:
        """Give the job back after `made` attempts; another delivery goes on counting there."""
        try:
            await self._attempts.settled(held, made)
        except BROKER_ERRORS as error:
            # The next delivery will then be taken for a suspect: slower, never lost.
            _log.warning("attempts unwritable", sequence=held.sequence, error=str(error))
        self.give_back(held, delay_seconds=delay_seconds)

    def give_back(self, held: Held, *, delay_seconds: float) -> None:
        """Give the job back without a record."""
        self._settler.settle(held.message.reply, nak(delay_seconds))

    async def _park(self, held: Held, letter: DeadLetter, attempts: int, seconds: float) -> None:
        try:
            await park(self._client, self._service, held, letter, attempts)
        except BROKER_ERRORS as error:
            delay = self._policy.backoff.delay_seconds(1, random.random())  # noqa: S311
            _log.error(
                "dead letter refused, the job stays in its queue",
                sequence=held.sequence,
                error=str(error),
                delay_seconds=round(delay, 3),
            )
            self._stats.count("unparked")
            if letter.reason == "crashed":  # its record stays: it must not be attempted again
                self.give_back(held, delay_seconds=delay)
            else:
                await self.hand_back(held, made=attempts - 1, delay_seconds=delay)
            return
        self._settler.settle(held.message.reply, term(letter.reason))
        self._stats.count_dead(letter.reason)
        self._told("dead", held, seconds, reason=letter.reason, error=letter.error)

    def _told(self, outcome: str, held: Held, seconds: float, **facts: object) -> None:
        self._stats.observe(outcome, seconds)
        if outcome != "ack" and tracing.enabled():
            self._trace(outcome, held, seconds)
        write = _log.info if outcome == "ack" else _log.warning
        write(
            "delivery settled",
            outcome=outcome,
            stream=held.stream,
            sequence=held.sequence,
            subject=held.message.subject,
            attempt=held.attempt,
            seconds=round(seconds, 6),
            **facts,
        )

    def _trace(self, outcome: str, held: Held, seconds: float) -> None:
        """Make the spans of a delivery: what waited in the queue, what was handled."""
        source = f"{held.stream}:{held.sequence}"
        given = held.message.headers or {}
        parent = trace.outgoing(given, given.get(headers.MESSAGE_ID) or source)
        facts: Facts = {
            "messaging.system": "nats",
            "messaging.destination.name": held.message.subject,
            "headrace.source": source,
            "headrace.attempt": held.attempt,
            "headrace.outcome": outcome,
        }
        end_ns = time.time_ns()
        start_ns = end_ns - int(seconds * 1e9)
        tracing.record(Span("queue", parent, held.arrival_ns, start_ns, facts))
        tracing.record(Span(f"handle {held.stream}", parent, start_ns, end_ns, facts))
