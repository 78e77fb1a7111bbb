"""Continuous pull: a steady stream of messages from a durable, within a fixed capacity.

Instead of one `fetch` after another (five loop iterations and two tasks a message), requests
of a quarter of the capacity are kept outstanding at the server and messages arrive on one
inbox. What is requested plus what is held never exceeds the capacity, so that a message does
not wait here while another worker is idle, and a slow handler holds back the server.

A request is lost without a word when the server restarts, the leader moves, or the durable is
replaced. So the server sends a heartbeat while one is open; silence means: ask again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.broker import Broker
from shared.jetstream import BROKER_ERRORS, NANOSECONDS
from shared.logs import logger

_log = logger("pull")

_EXPIRES_SECONDS = 20.0
_HEARTBEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3.5
_RETRY_SECONDS = 0.5
_LAST_MESSAGES_SECONDS = 1.0
_QUIET_SECONDS = 0.1
_DRAIN_SECONDS = 2.0

OnMessage = Callable[[Msg], None]
Restore = Callable[[], Awaitable[None]]


class ContinuousPull:
    """Pulls from one durable. `on_message` is called for each message and must not block.

    Every message handed out counts against `capacity` until `release` is called for it.
    When the durable turns out to be gone, `restore` is awaited to make it again.
    """

    def __init__(
        self, broker: Broker, stream: str, durable: str, *, capacity: int, restore: Restore
    ) -> None:
        self._broker = broker
        self._where = f"{stream} > {durable}"
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._capacity = capacity
        self._batch = max(1, capacity // 4)
        self._enough = capacity - self._batch
        self._restore = restore
        self._held = 0
        self._outstanding = 0
        self._heard = 0.0
        self._wake = asyncio.Event()
        self._stopping = False
        self._durable_lost = False
        self._refused = False
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._on_message: OnMessage = _ignore

    @property
    def flowing(self) -> bool:
        """Whether requests are answered: connected, durable there, server not silent."""
        return self._broker.connected and not self._durable_lost and not self._refused

    async def start(self, on_message: OnMessage) -> None:
        """Open the inbox; `run` then asks for messages."""
        self._on_message = on_message
        self._inbox = self._broker.client.new_inbox()
        self._subscription = await self._broker.client.subscribe(
            self._inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._broker.on_reconnect(self._ask_anew)

    async def run(self) -> None:
        """Keep requests outstanding until `stop`."""
        while not self._stopping:
            await self._mend()
            await self._request()
            self._wake.clear()
            if self._outstanding and time.monotonic() - self._heard > _SILENCE_SECONDS:
                if self._broker.connected:
                    _log.warning("pull silent, asking again", durable=self._where)
                self._ask_anew()
                continue
            try:
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def release(self, count: int = 1) -> None:
        """Say that so many messages are no longer held."""
        self._held -= count
        if self._held + self._outstanding <= self._enough and not self._stopping:
            self._wake.set()

    async def stop(self) -> None:
        """Ask for no more. Returns when all that the server had sent has been handed out."""
        self._stopping = True
        self._wake.set()
        if self._subscription is not None and self._broker.connected:
            await self._open_requests_filled()
            await self._drain(self._subscription)

    async def _drain(self, subscription: Subscription) -> None:
        """Take what the server has sent, and no more; of one that has just died nothing comes.

        Not unsubscribe: that drops what is in flight, which then waits for ack wait.
        """
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await subscription.drain()  # type: ignore[no-untyped-call]  # as nats-py has it
        except BROKER_ERRORS as error:
            _log.warning("pull not drained", durable=self._where, error=str(error) or repr(error))

    async def _open_requests_filled(self) -> None:
        """Wait while messages keep coming for what was requested.

        What the server sends to a subscription that has just ended counts as delivered though
        nobody saw it: its next worker would take it for a job that a worker died of.
        """
        end = time.monotonic() + _LAST_MESSAGES_SECONDS
        while (  # noqa: ASYNC110 - what is waited for is that nothing more happens
            self._outstanding and time.monotonic() < min(end, self._heard + _QUIET_SECONDS)
        ):
            await asyncio.sleep(_QUIET_SECONDS / 10)

    def _wanted(self) -> int:
        free = self._capacity - self._held - self._outstanding
        return self._batch if free >= self._batch else 0

    async def _request(self) -> None:
        while not self._stopping and self.flowing and (count := self._wanted()):
            if not self._outstanding:
                self._heard = time.monotonic()
            self._outstanding += count
            request = {
                "batch": count,
                "expires": int(_EXPIRES_SECONDS * NANOSECONDS),
                "idle_heartbeat": int(_HEARTBEAT_SECONDS * NANOSECONDS),
            }
            await self._broker.client.publish(
                self._next, msgspec.json.encode(request), reply=self._inbox
            )

    async def _receive(self, msg: Msg) -> None:
        headers = msg.headers
        self._heard = time.monotonic()
        if headers is not None and "Status" in headers and not msg.reply:
            self._status(headers)
            return
        if self._outstanding:
            self._outstanding -= 1
        self._held += 1
        self._on_message(msg)

    def _status(self, headers: dict[str, str]) -> None:
        status, words = headers["Status"], headers.get("Description", "")
        if status == "100":
            return
        pending = headers.get("Nats-Pending-Messages")
        self._outstanding = max(0, self._outstanding - int(pending)) if pending else 0
        if status == "503" or "Consumer Deleted" in words or "Consumer is push" in words:
            self._durable_lost = True
        elif status == "409" and "Leadership Change" not in words and "Shutdown" not in words:
            _log.warning("pull refused", durable=self._where, status=status, words=words)
            self._refused = True
        self._wake.set()

    async def _mend(self) -> None:
        if self._refused:
            await asyncio.sleep(_RETRY_SECONDS)
            self._refused = False
        while self._durable_lost and self._broker.connected and not self._stopping:
            try:
                await self._restore()
                self._durable_lost = False
            except Exception as error:  # noqa: BLE001 - said, and tried again: the server may be starting
                _log.warning("durable gone", durable=self._where, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)

    def _ask_anew(self) -> None:
        self._outstanding = 0
        self._heard = time.monotonic()
        self._wake.set()


def _ignore(_: Msg) -> None:
    raise RuntimeError("a message arrived before start")
