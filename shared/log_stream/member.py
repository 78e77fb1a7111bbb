"""A member of a group: holds a lease, works out which partitions are its own, runs them.

Leases only decide who tries; what keeps two owners apart is the fence of the position record.
A member whose renewal is overdue by its own monotonic clock stops its partitions: it may have
been frozen, and the others have taken over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter

import structlog
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker
from shared.contracts import headers
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS
from shared.log_stream.fold import Program
from shared.log_stream.guard import LogChangedError
from shared.log_stream.intake import FoldFailedError
from shared.log_stream.partition import Partition
from shared.log_stream.partitions import owner_of
from shared.log_stream.policy import LogPolicy, Ownership, StoppedError
from shared.log_stream.position import FencedError, HeldError
from shared.log_stream.stage import Stage
from shared.logs import logger
from shared.topology import LEASES

_log = logger("member")

_RENEWALS_A_LEASE = 5
_MARGIN_SHARE = 0.1
_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_BROKEN_PAUSE_SECONDS = 2.0
_BUSY_SHARE = 0.1


class Member:
    """Runs this process's share of a stage's partitions."""

    def __init__(
        self,
        broker: Broker,
        stage: Stage,
        program: Program,
        policy: LogPolicy,
        name: str,
    ) -> None:
        self._broker = broker
        self._stage = stage
        self.group = stage.group
        self._program = program
        self._policy = policy
        self._name = name
        self._lease = f"leases.{stage.group}.{name}"
        self._lease_until = 0.0
        self._renewed = 0.0, 0.0
        """When renewal was last tried, and the CPU time that had been used by then."""
        self._members: list[str] = []
        self._not_before: dict[int, float] = {}
        self._fences: Counter[int] = Counter()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.partitions: dict[int, Partition] = {}
        self.broken: dict[int, str] = {}
        """Partitions that are stopped because of their log or their fold, with the reason."""
        self._failed_at: dict[int, int] = {}
        self.held: dict[int, str] = {}
        """Partitions that a promotion holds, with its words."""
        self.fenced = 0

    @property
    def ready(self) -> bool:
        """Whether the lease holds and no partition is broken or held."""
        return self._lease_valid() and not self.broken and not self.held

    def why_not_ready(self) -> list[str]:
        """Return what keeps us from being ready, in words."""
        overdue = [] if self._lease_valid() else ["the lease is not renewed"]
        held = [f"partition {number} is {self.held[number]}" for number in sorted(self.held)]
        return [*overdue, *held, *(self.broken[number] for number in sorted(self.broken))]

    async def run(self, stop: asyncio.Event, deadline: Deadline) -> None:
        """Take part until `stop`; then commit, snapshot and release what is ours."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await self._renew()
                self._renewed = time.monotonic(), time.thread_time()
                self._assign(group)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.lease_seconds / _RENEWALS_A_LEASE):
                        await stop.wait()
            await self._leave(deadline)

    def _lease_valid(self) -> bool:
        now = time.monotonic()
        if now < self._lease_until:
            return True
        # An event that takes long to fold keeps the renewal waiting: it is next in line, and to
        # stop now would fold that event again and again. A frozen process uses no CPU.
        at, used = self._renewed
        waited, busy = now - at, time.thread_time() - used
        return waited > self._policy.lease_seconds / 2 and busy > waited * _BUSY_SHARE

    async def _renew(self) -> None:
        seconds = self._policy.lease_seconds
        asked = time.monotonic()
        ttl = {headers.TTL: f"{math.ceil(seconds)}s"}
        try:
            await jetstream.publish(self._client, self._lease, b"", ttl, timeout=seconds / 3)
            self._lease_until = asked + seconds * (1 - _MARGIN_SHARE)
            subjects = await jetstream.subject_counts(
                self._client, LEASES.name, f"leases.{self._stage.group}.*", seconds / 3
            )
        except BROKER_ERRORS as error:
            _log.warning("lease not renewed", member=self._name, error=str(error) or repr(error))
            return
        members = sorted(subject.rpartition(".")[2] for subject in subjects)
        if members != self._members:
            _log.info("members changed", group=self._stage.group, members=members)
        self._members = members

    @property
    def _client(self) -> Client:
        return self._broker.client

    def _assign(self, group: asyncio.TaskGroup) -> None:
        if not self._lease_valid() or self._name not in self._members:
            return
        now = time.monotonic()
        for number in range(self._stage.source.partitions):
            mine = owner_of(number, self._members, self._stage.whole) == self._name
            running = self.partitions.get(number)
            if not mine or (running is not None and self._goes_on(running)):
                self.broken.pop(number, None)
                self._failed_at.pop(number, None)
            if running is not None and running.stats.commits:
                self._fences.pop(number, None)
            if running is not None and not mine:
                running.release()
            elif running is None and mine and now >= self._not_before.get(number, 0.0):
                self._start(number, group)

    def _goes_on(self, partition: Partition) -> bool:
        """Tell whether a partition is past what broke it."""
        failed_at = self._failed_at.get(partition.number, 0)
        return partition.reading and partition.stats.folded >= failed_at

    def _start(self, number: int, group: asyncio.TaskGroup) -> None:
        partition = Partition(
            self._broker,
            self._stage,
            number,
            self._program,
            self._policy,
            Ownership(self._name, self._lease_valid),
        )
        self.partitions[number] = partition
        self._tasks[number] = group.create_task(self._own(partition))

    async def _own(self, partition: Partition) -> None:
        """Run one partition; whatever ends it leaves the others running."""
        structlog.contextvars.bind_contextvars(group=self.group)  # for all that this task logs
        number, pause = partition.number, _PAUSE_SECONDS
        try:
            await partition.run(claimed=lambda: self.held.pop(number, None))
        except* HeldError as held:
            self.held[number] = _words(held)
            _log.warning("partition held", partition=number, why=_words(held))
        except* FencedError as fenced:
            # Two that take turns before either has committed would do so for ever.
            pause = min(_PAUSE_SECONDS * 4 ** self._fences[number], _LONGEST_PAUSE_SECONDS)
            self._fences[number] += 1
            self.fenced += 1
            _log.warning("partition fenced", partition=number, why=_words(fenced))
        except* StoppedError as stopped:
            _log.warning("partition stopped", partition=number, why=_words(stopped))
        except* LogChangedError as changed:
            pause = _BROKEN_PAUSE_SECONDS
            if self.broken.get(number) != _words(changed):
                _log.error("partition broken", partition=number, why=_words(changed))
            self.broken[number] = _words(changed)
        except* FoldFailedError as failed:
            pause = _LONGEST_PAUSE_SECONDS
            if self.broken.get(number) != _words(failed):
                _log.error(
                    "partition broken", partition=number, why=_words(failed), exc_info=failed
                )
            self.broken[number] = _words(failed)
            self._failed_at[number] = max(
                one.sequence for one in failed.exceptions if isinstance(one, FoldFailedError)
            )
        except* BROKER_ERRORS as trouble:
            _log.warning("partition lost the broker", partition=number, why=_words(trouble))
        else:
            _log.info("partition released", partition=number, position=partition.stats.position)
        finally:
            self._not_before[number] = time.monotonic() + pause
            self.partitions.pop(number, None)
            self._tasks.pop(number, None)

    async def _leave(self, deadline: Deadline) -> None:
        tasks = list(self._tasks.values())
        for partition in self.partitions.values():
            partition.release()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, deadline.remaining() - 1.0))
            for task in late:
                task.cancel()
        self._lease_until = 0.0
        try:
            await jetstream.call(
                self._client, f"STREAM.PURGE.{LEASES.name}", {"filter": self._lease}, timeout=1.0
            )
        except BROKER_ERRORS as error:
            _log.warning("lease left to expire", member=self._name, error=str(error))


def _words(errors: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(str(error) or type(error).__name__ for error in errors.exceptions)
