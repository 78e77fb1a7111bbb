"""The worker: pull, attempt, settle, with everything in its own file.

    pull -> [triage of redeliveries] -> lane -> attempt -> outcome -> settle

`run` is one TaskGroup: the pull, the slots of four lanes, and a keeper that tells the server
what is still ours and cuts off what takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from nats.aio.msg import Msg

from shared.broker import Broker
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS
from shared.logs import logger
from shared.pull import ContinuousPull
from shared.topology import Durable
from shared.work_queue.attempt import Decoder, Handler, Interrupted, attempt
from shared.work_queue.attempts import Attempts
from shared.work_queue.delivery import Held
from shared.work_queue.finish import Finisher
from shared.work_queue.lane import Lane, Slot
from shared.work_queue.outcome import Ack, DeadLetter, Outcome
from shared.work_queue.policy import WorkerPolicy
from shared.work_queue.settle import ACK, Settler
from shared.work_queue.stats import QueueStats

_log = logger("worker")

T = TypeVar("T")

_TRIAGE_WIDTH = 16
_SUSPECT_WIDTH = 8
_HARD_STOP_SECONDS = 2.0
_GIVE_BACK_SECONDS = 1.0


class Worker(Generic[T]):
    """Works on the jobs of one durable until told to stop."""

    def __init__(
        self,
        broker: Broker,
        durable: Durable,
        policy: WorkerPolicy,
        *,
        service: str,
        decode: Decoder[T],
        handler: Handler[T],
        restore: Callable[[], Awaitable[None]],
    ) -> None:
        self._policy = policy
        self._ack_wait = durable.ack_wait_seconds
        self._decode = decode
        self._handler = handler
        self._held: set[Held] = set()
        self.stats = QueueStats(durable.stream, durable.name)
        self._pull = ContinuousPull(
            broker,
            durable.stream,
            durable.name,
            capacity=policy.concurrency + policy.prefetch,
            restore=restore,
        )
        self._attempts = Attempts(broker.client, durable.stream, durable.name)
        self._settler = Settler(broker.client, confirmed=policy.confirmed_acks)
        self._finisher = Finisher(
            broker.client, service, policy, self._settler, self._attempts, self.stats
        )
        self._fresh = Lane(policy.concurrency, self._work)
        self._triage = Lane(_TRIAGE_WIDTH, self._sort)
        self._suspects = Lane(_SUSPECT_WIDTH, self._work_beside_suspects)
        self._quarantine = Lane(1, self._work_alone)
        self._company = asyncio.Semaphore(_SUSPECT_WIDTH)
        self._lanes = (self._triage, self._fresh, self._suspects, self._quarantine)

    @property
    def ready(self) -> bool:
        """Whether jobs are flowing: connected, and the durable answers."""
        return self._pull.flowing

    @property
    def held(self) -> int:
        """Jobs taken from the server and not yet settled."""
        return len(self._held)

    async def run(self, stop: asyncio.Event, deadline: Deadline) -> None:
        """Work until `stop`; then finish or give back what is held before the deadline."""
        await self._settler.start()
        await self._pull.start(self._receive)
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                lane.start(group)
            group.create_task(self._pull.run())
            helpers = [group.create_task(self._settler.run()), group.create_task(self._keep())]
            await stop.wait()
            deadline.start()
            await self._stop(deadline)
            for helper in helpers:
                helper.cancel()
            for lane in self._lanes:
                lane.cancel()

    def _receive(self, message: Msg) -> None:
        held = Held(message, time.monotonic())
        self._held.add(held)
        if held.delivered == 1:
            self._fresh.put(held)
        else:
            self._triage.put(held)

    async def _sort(self, held: Held, _: Slot) -> None:
        """Find out what became of earlier deliveries, and choose the lane."""
        try:
            history = await self._attempts.history(held)
        except BROKER_ERRORS as error:
            _log.warning("attempts unreadable", sequence=held.sequence, error=str(error))
            self._finisher.give_back(held, delay_seconds=_GIVE_BACK_SECONDS)
            self._let_go(held)
            return
        held.attempt = history.made + 1
        if history.made >= self._policy.max_attempts:
            letter = DeadLetter("crashed", f"no worker survived it in {history.made} attempts")
            await self._finisher.finish(held, letter, attempts=history.made, seconds=0.0)
            self._let_go(held)
        elif history.suspicion == "none":
            self._fresh.put(held)
        else:
            held.counts = False  # suspects wait in line; the rest must not wait for them
            self._pull.release()
            (self._suspects if history.suspicion == "once" else self._quarantine).put(held)

    async def _work(self, held: Held, slot: Slot) -> None:
        if slot.started - held.progress_at > self._ack_wait:
            # We were frozen so long that the server has given it to another worker.
            self.stats.count("stale")
            self._let_go(held)
            return
        outcome = await attempt(held, slot, self._decode, self._handler)
        if type(outcome) is Ack:  # the way that nearly all jobs go, kept short
            self._settler.settle(held.message.reply, ACK)
            self._finisher.acked(held, outcome, time.monotonic() - slot.started)
        else:
            await self._end(held, slot, outcome)
        self._let_go(held)

    async def _work_beside_suspects(self, held: Held, slot: Slot) -> None:
        async with self._company:
            await self._work_on_suspect(held, slot)

    async def _work_alone(self, held: Held, slot: Slot) -> None:
        async with contextlib.AsyncExitStack() as all_places:
            for _ in range(_SUSPECT_WIDTH):
                await all_places.enter_async_context(self._company)
            await self._work_on_suspect(held, slot)

    async def _work_on_suspect(self, held: Held, slot: Slot) -> None:
        try:
            await self._attempts.open(held, held.attempt)
        except BROKER_ERRORS as error:
            _log.warning("attempts unwritable", sequence=held.sequence, error=str(error))
            self._finisher.give_back(held, delay_seconds=_GIVE_BACK_SECONDS)
        else:
            outcome = await attempt(held, slot, self._decode, self._handler)
            await self._end(held, slot, outcome)
        self._let_go(held)

    async def _end(self, held: Held, slot: Slot, outcome: Outcome | Interrupted) -> None:
        if isinstance(outcome, Interrupted):
            self.stats.count("interrupted")
            await self._finisher.hand_back(held, made=held.attempt - 1)
        else:
            seconds = time.monotonic() - slot.started
            await self._finisher.finish(held, outcome, attempts=held.attempt, seconds=seconds)

    def _let_go(self, held: Held) -> None:
        self._held.discard(held)
        if held.counts:
            self._pull.release()

    async def _keep(self) -> None:
        tick = min(self._ack_wait / 6, self._policy.handler_timeout_seconds / 8, 0.5)
        while True:
            await asyncio.sleep(tick)
            now = time.monotonic()
            for held in list(self._held):
                age = now - held.progress_at
                if self._ack_wait / 3 < age <= self._ack_wait:
                    held.progress_at = now
                    await self._settler.progress(held.message.reply)
            for lane in self._lanes:
                for slot in lane.slots:
                    if slot.interruptible and (
                        now - slot.started > self._policy.handler_timeout_seconds
                    ):
                        slot.cut_off("timeout")
            self._settler.resend_overdue()

    async def _stop(self, deadline: Deadline) -> None:
        await self._pull.stop()
        await self._hand_back_waiting()
        if not await self._at_rest(deadline.remaining() - _HARD_STOP_SECONDS):
            await self._hand_back_waiting()
            running = [slot for lane in self._lanes for slot in lane.slots if slot.interruptible]
            _log.warning("hard stop", interrupted=len(running))
            for slot in running:
                slot.cut_off("stop")
            await self._at_rest(deadline.remaining())
        if not await self._settler.all_confirmed(deadline.remaining()):
            _log.warning("settlements unconfirmed at the deadline", count=self._settler.unconfirmed)
        _log.info("worker stopped", stream=self.stats.stream, **self.stats.outcomes)

    async def _hand_back_waiting(self) -> None:
        waiting = [held for lane in self._lanes for held in lane.take_waiting()]
        await asyncio.gather(*(self._hand_back_unstarted(held) for held in waiting))

    async def _hand_back_unstarted(self, held: Held) -> None:
        made = held.attempt - 1
        if held.delivered > 1 and made == 0:
            try:
                made = (await self._attempts.history(held)).made
            except BROKER_ERRORS:
                made = 1
        self.stats.count("handed_back")
        await self._finisher.hand_back(held, made=made)
        self._let_go(held)

    async def _at_rest(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                for lane in self._lanes:
                    await lane.at_rest()
        except TimeoutError:
            return False
        return True
