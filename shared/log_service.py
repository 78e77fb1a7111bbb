"""A service that is nothing but one fold on one partitioned log, put together.

A service of more parts (the metrics aggregator, whose rules change) composes them itself.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable

from msgspec import Struct

from shared.broker import Broker
from shared.log_metrics import MemberCollector
from shared.log_status import status_of
from shared.log_stream.fold import Fold
from shared.log_stream.member import Member
from shared.log_stream.plain_program import PlainProgram
from shared.log_stream.policy import LogPolicy
from shared.log_stream.stage import Stage
from shared.registry import ServiceEntry
from shared.service import Parts, Runtime, serve
from shared.settings import ProcessSettings

_STOP_DEADLINE_SECONDS = 25.0


class LogService(Struct, frozen=True):
    """Entry, stage, policy and fold of a log service; `fold` makes that of one partition."""

    entry: ServiceEntry
    stage: Stage
    fold: Callable[[], Fold]
    policy: LogPolicy = LogPolicy()
    stop_deadline_seconds: float = _STOP_DEADLINE_SECONDS


def serve_log(service: LogService, process: ProcessSettings) -> int:
    """Run a member until it is told to stop; return the exit code (see `shared.service`)."""
    runtime = Runtime(process, service.stop_deadline_seconds)
    return serve(service.entry, runtime, lambda broker, _: _build(service, broker))


@contextlib.asynccontextmanager
async def _build(service: LogService, broker: Broker) -> AsyncIterator[Parts]:
    name = uuid.uuid4().hex[:8]
    member = Member(
        broker, service.stage, PlainProgram(lambda *_: service.fold()), service.policy, name
    )
    yield Parts(
        units={"member": member},
        collectors=[MemberCollector(lambda: [member])],
        status=lambda: status_of([member]),
    )
