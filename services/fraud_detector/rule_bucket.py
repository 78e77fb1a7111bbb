"""The bucket of rules as it stands on the server: read again and again, filled when it is new."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nats.aio.client import Client

from services.fraud_detector.domain.starter import starter_rules
from services.fraud_detector.rule_book import Change, Entry
from services.fraud_detector.topology import RULES
from shared import atomic_batch, jetstream
from shared.atomic_batch import BatchMessage, must_not_exist
from shared.broker import Broker
from shared.deadline import Deadline
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.log_stream import history
from shared.log_stream.guard import nanoseconds
from shared.logs import logger

_log = logger("rules")

_LOOK_SECONDS: Final = 0.25
_OPERATION: Final = "KV-Operation"
_MARKER: Final = "Nats-Marker-Reason"
_PREFIX: Final = RULES.subject("")


class RuleBucket:
    """Follows the bucket; `known` is what it holds, deleted keys too."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._seen: tuple[int, int] = (0, 0)
        self.known = Change(())

    @property
    def ready(self) -> bool:
        """Whether the bucket has been read."""
        return bool(self.known.bucket)

    async def run(self, stop: asyncio.Event, _: Deadline) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            try:
                await self.look()
            except BROKER_ERRORS as error:
                _log.warning("rules not read", error=str(error) or repr(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()

    async def look(self) -> None:
        """Read the bucket if it has changed. Raises broker errors."""
        client = self._broker.client
        info = await jetstream.call(client, f"STREAM.INFO.{RULES.stream}")
        made_ns, last = nanoseconds(info["created"]), int(info["state"]["last_seq"])
        if not last:
            await fill(client)
            return await self.look()
        if (made_ns, last) == self._seen:
            return None
        self.known = await read(client, made_ns)
        self._seen = (made_ns, last)
        _log.info("rules read", rules=len(self.known.entries), revision=last)
        return None


async def read(client: Client, made_ns: int) -> Change:
    """Return the newest entry of each key. Raises broker errors."""
    entries: dict[str, Entry] = {}
    async for page in history.pages(client, RULES.stream):
        for stored in page:
            given = stored.headers or {}
            gone = given.get(_OPERATION) in {"DEL", "PURGE"} or _MARKER in given
            key = stored.subject.removeprefix(_PREFIX)
            text = None if gone else stored.data.decode("utf-8", "replace")
            entries[key] = Entry(key, stored.sequence, text)
    return Change(tuple(sorted(entries.values(), key=lambda one: one.revision)), made_ns)


async def fill(client: Client) -> None:
    """Put the starter set into a bucket that nobody has ever written to; all of it or nothing."""
    messages = [
        BatchMessage(RULES.subject(key), text.encode(), must_not_exist())
        for key, text in starter_rules().items()
    ]
    try:
        await atomic_batch.commit(client, messages)
    except JetStreamError as error:
        if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
            raise
    else:
        _log.info("starter rules loaded", rules=len(messages))
