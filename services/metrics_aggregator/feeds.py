"""Run a stage for each other log that a rule reads, for as long as a rule does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from services.metrics_aggregator.domain.rules import Source
from services.metrics_aggregator.feed import FeedFold
from services.metrics_aggregator.settings import PartitionSettings
from services.metrics_aggregator.topology import feed_stage
from shared import jetstream
from shared.broker import Broker
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.log_stream.member import Member
from shared.log_stream.plain_program import PlainProgram
from shared.log_stream.policy import LogPolicy
from shared.logs import logger

_log = logger("feeds")

_LOOK_SECONDS: Final = 1.0


class Feeds:
    """A member of the group of every source; `sources` gives those that rules read now, by key."""

    def __init__(
        self,
        broker: Broker,
        settings: PartitionSettings,
        policy: LogPolicy,
        name: str,
        sources: Callable[[], Mapping[str, Source]],
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._policy = policy
        self._name = name
        self._sources = sources
        self._stops: dict[str, asyncio.Event] = {}
        self._missing: set[str] = set()
        self.members: list[Member] = []
        """Those that run now."""

    @property
    def ready(self) -> bool:
        """Whether every log that a rule reads is there and read by somebody."""
        return not self._missing and all(member.ready for member in self.members)

    def why_not_ready(self) -> list[str]:
        """Return what keeps us from being ready, in words."""
        missing = [f"there is no stream {stream}" for stream in sorted(self._missing)]
        return missing + [why for member in self.members for why in member.why_not_ready()]

    async def run(self, stop: asyncio.Event, deadline: Deadline) -> None:
        """Start and stop members as rules change, until `stop`."""
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await self._look(group, deadline)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await stop.wait()
            for ended in self._stops.values():
                ended.set()

    async def _look(self, group: asyncio.TaskGroup, deadline: Deadline) -> None:
        wanted = self._sources()
        for key in [key for key in self._stops if key not in wanted]:
            self._stops.pop(key).set()
        self._missing &= {source.stream for source in wanted.values()}
        for key, source in wanted.items():
            if key not in self._stops and await self._there(source.stream):
                self._stops[key] = asyncio.Event()
                group.create_task(self._read(key, source, deadline))

    async def _read(self, key: str, source: Source, deadline: Deadline) -> None:
        stage = feed_stage(self._settings, key, source.stream, source.subject)
        member = Member(
            self._broker, stage, PlainProgram(lambda *_: FeedFold(source)), self._policy, self._name
        )
        self.members.append(member)
        _log.info("feed started", stream=source.stream, subject=source.subject, feed=key)
        try:
            await member.run(self._stops[key], deadline)
        finally:
            self.members.remove(member)
        _log.info("feed ended", stream=source.stream, feed=key)

    async def _there(self, stream: str) -> bool:
        """Tell whether a stream exists; that it does not is said once."""
        try:
            await jetstream.call(self._broker.client, f"STREAM.INFO.{stream}")
        except JetStreamError as error:
            if error.err_code in jetstream.NOT_FOUND and stream not in self._missing:
                self._missing.add(stream)
                _log.warning("no such stream", stream=stream, words="its rules wait for it")
            return False
        except BROKER_ERRORS as error:
            _log.debug("stream not looked at", stream=stream, error=str(error) or repr(error))
            return False
        self._missing.discard(stream)
        return True
