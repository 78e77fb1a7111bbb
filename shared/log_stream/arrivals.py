"""Wait for what others do on the server: members that come as far, copies that arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import StoredMessage
from shared.log_stream.generation import GenerationError
from shared.log_stream.stage import Stage

_COPY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1


async def copied(client: Client, stage: Stage, target: str) -> None:
    """Wait until all that stream `target` holds for a stage has come to the stage's source.

    Raises `GenerationError` where it does not come, and broker errors.
    """
    source = stage.source.name
    if source == target:
        return

    async def there() -> bool:
        for number in range(stage.source.partitions):
            events = stage.events(number)
            last = await jetstream.last_message(client, target, events)
            copy = await jetstream.last_message(client, source, events)
            if last is not None and (copy is None or _origin(copy) < last.sequence):
                return False
        return True

    if not await came(there, _COPY_SECONDS):
        raise GenerationError(f"{source} does not take over from {target}")


async def came(there: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Wait for a fact, so long; tell whether it came."""
    end = time.monotonic() + seconds
    while not await there():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def _origin(copy: StoredMessage) -> int:
    """Return the sequence that a copy had where it came from, as the server notes it."""
    return int(copy.headers["Nats-Stream-Source"].split()[1])
