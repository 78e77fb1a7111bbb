"""Run a generation in this process: every partition of every stage, as fast as it can.

The engine is that of the members: claims, fences, commits, snapshots. So it may be killed at
any point and goes on when it is run again. Of two that run at once the later one wins: the
record of the very first partition says who.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import math
import uuid
from collections.abc import Callable, Iterable, Mapping

from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS
from shared.log_stream import position
from shared.log_stream.generation import Generation
from shared.log_stream.partition import Partition
from shared.log_stream.plain_program import PlainProgram
from shared.log_stream.policy import LogPolicy, Ownership
from shared.log_stream.position import FencedError
from shared.log_stream.stage import Stage, StageEntry
from shared.logs import logger

_log = logger("replay")

_POLICY = LogPolicy(idle_seconds=math.inf)
"""A replay never appends a tick to the log that it reads."""
_RETRY_SECONDS = 0.5
_SHOW_SECONDS = 0.3


class TakenOverError(Exception):
    """Another process runs the generation now; says which."""


class Claim:
    """Who runs a generation: the owner of the record of its very first partition."""

    def __init__(self, client: Client, generation: Generation) -> None:
        stage = generation.entries[0].stage
        self._client = client
        self._stream, self._subject = stage.target.name, stage.position(0)
        self.name = generation.name
        self.owner = f"replay-{uuid.uuid4().hex[:8]}"

    async def take(self) -> None:
        """Be the one who runs it from now on. Raises `HeldError`, broker errors."""
        await position.claim(
            self._client, self._stream, self._subject, self.owner, promotion=self.name
        )

    async def check(self) -> None:
        """See that nobody else has taken it. Raises `TakenOverError`, broker errors."""
        _, record = await position.read(self._client, self._stream, self._subject)
        if record.owner != self.owner:
            raise TakenOverError(f"{record.owner} runs generation {self.name} now; this one ends")


class Run:
    """Runs partitions of one stage, each up to the event that `until` names for it."""

    def __init__(
        self, broker: Broker, entry: StageEntry, claim: Claim, *, promotion: str = ""
    ) -> None:
        self._broker = broker
        self.entry = entry
        self._claim = claim
        self._promotion = promotion
        self._released = False
        self.until: Mapping[int, int] | None = None
        """None as long as nobody knows; a partition that it does not name has nothing to fold."""
        self.partitions: dict[int, Partition] = {}

    async def run(self, numbers: Iterable[int] | None = None) -> None:
        """Run all partitions, or those, until they are done or released.

        Raises groups of what ends a partition, and of `TakenOverError`.
        """
        every = range(self.entry.stage.source.partitions)
        async with asyncio.TaskGroup() as group:
            for number in every if numbers is None else numbers:
                group.create_task(self._own(number))

    def release(self) -> None:
        """End softly: what was folded is committed first."""
        self._released = True
        for partition in self.partitions.values():
            partition.release()

    def lag(self) -> int | None:
        """Return how many events are left to fold; None as long as that is not known."""
        running = self.partitions.values()
        if not running or not all(one.stats.restore_seconds for one in running):
            return None
        return sum(one.lag for one in running if not one.finished)

    def _end(self, number: int) -> int | None:
        return None if self.until is None else self.until.get(number, 0)

    async def _own(self, number: int) -> None:
        ownership = Ownership(
            self._claim.owner, lambda: True, lambda: self._end(number), self._promotion
        )
        done = False
        while not done and not self._released:
            partition = self.partitions[number] = Partition(
                self._broker,
                self.entry.stage,
                number,
                PlainProgram(self.entry.fold),
                _POLICY,
                ownership,
            )
            try:
                await partition.run()
                done = True
            except* FencedError:
                await self._still_ours(number)
            except* BROKER_ERRORS as trouble:
                _log.warning("partition lost the broker", partition=number, why=str(trouble))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _still_ours(self, number: int) -> None:
        """Fenced: another process runs it all, or has just lost it to us."""
        _log.debug("partition fenced", partition=number)
        with contextlib.suppress(*BROKER_ERRORS):
            await self._claim.check()


async def sequence_at(client: Client, stream: str, when: dt.datetime) -> int:
    """Return the first sequence that was stored at or after that time, maybe one to come."""
    time = when.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    config = {
        "ack_policy": "none",
        "mem_storage": True,
        "headers_only": True,
        "deliver_policy": "by_start_time",
        "opt_start_time": time,
        "inactive_threshold": jetstream.NANOSECONDS,
    }
    made = await jetstream.call(
        client, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    await jetstream.call(client, f"CONSUMER.DELETE.{stream}.{made['name']}")
    return int(made["delivered"]["stream_seq"]) + 1


async def tails(client: Client, stage: Stage) -> dict[int, int]:
    """Return the sequence of the last event of each partition; 0 where there is none."""
    numbers = range(stage.source.partitions)
    last = await asyncio.gather(
        *(jetstream.last_message(client, stage.source.name, stage.events(n)) for n in numbers)
    )
    return {n: stored.sequence if stored else 0 for n, stored in zip(numbers, last, strict=True)}


async def replay(
    broker: Broker,
    generation: Generation,
    show: Callable[[int, str], None],
    stop: asyncio.Event,
    until: Mapping[str, Mapping[int, int]] | None = None,
) -> bool:
    """Fold all that the log holds now, or up to `until` (by group); tell whether `stop` ended it.

    `show` is told how many events are left, and words. Raises `TakenOverError`,
    `LogChangedError` and broker errors.
    """
    client = broker.client
    claim = Claim(client, generation)
    await claim.take()
    runs = [Run(broker, entry, claim) for entry in generation.entries]
    first = {entry.stage.group for entry in generation.first}
    for run in runs:
        stage = run.entry.stage
        if stage.group in first:
            run.until = (until or {}).get(stage.group) or await tails(client, stage)
    try:
        async with asyncio.TaskGroup() as group:
            running = [(run, group.create_task(run.run())) for run in runs]
            watching = [
                group.create_task(_show(runs, show)),
                group.create_task(_release(runs, stop)),
            ]
            for run, task in running:  # the earlier ones are done: nothing more comes after this
                if run.until is None:
                    run.until = await tails(client, run.entry.stage)
                await task
            for task in watching:
                task.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    return stop.is_set()


async def _release(runs: list[Run], stop: asyncio.Event) -> None:
    await stop.wait()
    for run in runs:
        run.release()


async def _show(runs: list[Run], show: Callable[[int, str], None]) -> None:
    while True:
        await asyncio.sleep(_SHOW_SECONDS)
        left = [run.lag() for run in runs]
        if None not in left:
            show(
                sum(filter(None, left)),
                ", ".join(
                    f"{run.entry.stage.group}: {lag} left"
                    for run, lag in zip(runs, left, strict=True)
                ),
            )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
