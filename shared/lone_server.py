"""Leave a server that lives while its JetStream does not: one that is parted from its cluster.

A connection to it is fine, so the client stays; but nobody leads the streams there, and whoever
sits behind it stands still until the cluster is whole again. Others of the cluster may serve.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from shared import jetstream
from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.logs import logger

_ASK_SECONDS: Final = 3.0
_PATIENCE: Final = 4
"""Answers in a row that there is no leader: an election takes less."""
_MOST_PATIENCE: Final = 64
_NO_LEADER: Final = 10008
"""Error code: this server knows no leader of JetStream."""

_log = logger("broker")


@contextlib.asynccontextmanager
async def leaving_lone_servers(broker: Broker) -> AsyncIterator[None]:
    """While the context is open, go to the next server when this one knows no leader.

    With one server known there is nowhere to go.
    """
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_watch(broker))
            yield
            watch.cancel()
    except ExceptionGroup as failures:
        if len(failures.exceptions) > 1:
            raise
        raise failures.exceptions[0] from None  # as if there were no group


async def _watch(broker: Broker) -> None:
    leaderless, patience = 0, _PATIENCE
    while True:
        await asyncio.sleep(_ASK_SECONDS)
        if not broker.connected or len(broker.client.servers) == 1:
            leaderless = 0
        elif await _knows_no_leader(broker):
            leaderless += 1
        else:
            leaderless, patience = 0, _PATIENCE
        if leaderless < patience:
            continue
        _log.warning("server knows no leader, trying another", server=broker.server)
        broker.client.leave()
        # Where no server has one, there is no use in going round quickly.
        leaderless, patience = 0, min(patience * 2, _MOST_PATIENCE)


async def _knows_no_leader(broker: Broker) -> bool:
    # Of a stream, such a server tells what it last knew; only of itself it says how it is.
    try:
        await jetstream.call(broker.client, "INFO", timeout=_ASK_SECONDS)
    except JetStreamError as error:
        return error.err_code == _NO_LEADER
    except BROKER_ERRORS:
        return False  # no answer tells nothing: the connection's pings find out about that
    return False
