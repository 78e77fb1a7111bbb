"""Settle deliveries: send the ack, nak or term, and see that the server has it.

Double acks without waiting and without one answer each. What is settled during one turn of
the event loop is sent as one burst, and only the last of a burst asks for confirmation: the
server handles what comes over one connection in order, so an answer to the last one speaks
for all before it. A burst that is not confirmed in time, or whose connection was replaced
meanwhile, is sent again. A worker's slot is free as soon as its settlement is in a burst.
"""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.jetstream import BROKER_ERRORS
from shared.logs import logger

_log = logger("settle")

ACK = b"+ACK"
IN_PROGRESS = b"+WPI"
_RESEND_SECONDS = 2.0


def nak(delay_seconds: float = 0.0) -> bytes:
    """Give the message back: at once, or after a delay."""
    if delay_seconds <= 0:
        return b"-NAK"
    return b'-NAK {"delay": %d}' % int(delay_seconds * 1_000_000_000)


def term(reason: str) -> bytes:
    """Have the server forget the message; `reason` goes into its advisory."""
    return b"+TERM " + reason.encode()


Settlement = tuple[str, bytes]
"""Reply subject of the message, and the verb."""


class _Burst(Struct, frozen=True):
    settlements: list[Settlement]
    sent: float
    reconnects: int


class Settler:
    """Sends settlements; with `confirmed`, until the server has confirmed each.

    `run` must be running.
    """

    def __init__(self, client: Client, *, confirmed: bool) -> None:
        self._client = client
        self._confirmed = confirmed
        self._waiting: list[Settlement] = []
        self._some = asyncio.Event()
        self._bursts: dict[int, _Burst] = {}  # oldest first
        self._sending = 0
        self._last = 0
        self._prefix = ""
        self._done = asyncio.Event()

    @property
    def unconfirmed(self) -> int:
        """Settlements that the server has not confirmed, or that are not sent yet."""
        sent = sum(len(burst.settlements) for burst in self._bursts.values())
        return sent + len(self._waiting) + self._sending

    async def start(self) -> None:
        """Open the inbox on which confirmations arrive."""
        self._prefix = self._client.new_inbox()
        await self._client.subscribe(
            f"{self._prefix}.*", cb=self._confirm, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    def settle(self, reply: str, verb: bytes) -> None:
        """Send the final word on a delivery; `reply` is the message's reply subject."""
        self._waiting.append((reply, verb))
        self._some.set()

    async def progress(self, reply: str) -> None:
        """Tell the server that the delivery is still ours."""
        await self._client.publish(reply, IN_PROGRESS)

    async def run(self) -> None:
        """Send what is settled, a burst a turn, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            burst, self._waiting = self._waiting, []
            await self._send(burst)

    def resend_overdue(self) -> None:
        """Send again what was not confirmed in time."""
        overdue = time.monotonic() - _RESEND_SECONDS
        for number, burst in list(self._bursts.items()):
            if burst.sent > overdue:
                return
            self._send_again(number, burst)

    async def all_confirmed(self, seconds: float) -> bool:
        """Wait at most so long for the confirmations; tell whether all came."""
        try:
            async with asyncio.timeout(seconds):
                while self.unconfirmed:
                    self._done.clear()
                    await self._done.wait()
                if self._client.is_connected:
                    await self._client.flush()
        except BROKER_ERRORS:  # `TimeoutError` among them: the server is silent, or went just now
            return False
        return True

    async def _send(self, settlements: list[Settlement]) -> None:
        publish = self._client.publish
        if not self._confirmed:
            self._sending = len(settlements)
            for reply, verb in settlements:
                await publish(reply, verb)
            self._sending = 0
            self._done.set()
            return
        self._last = number = self._last + 1
        reconnects = self._client.stats["reconnects"]
        self._bursts[number] = _Burst(settlements, time.monotonic(), reconnects)
        for reply, verb in settlements[:-1]:
            await publish(reply, verb)
        reply, verb = settlements[-1]
        await publish(reply, verb, reply=f"{self._prefix}.{number}")

    async def _confirm(self, msg: Msg) -> None:
        number = int(msg.subject.rsplit(".", 1)[1])
        burst = self._bursts.get(number)
        if burst is None:
            return
        if burst.reconnects != self._client.stats["reconnects"]:
            self._send_again(number, burst)
            return
        del self._bursts[number]
        self._done.set()

    def _send_again(self, number: int, burst: _Burst) -> None:
        del self._bursts[number]
        _log.warning("settlements not confirmed, sending again", count=len(burst.settlements))
        self._waiting += burst.settlements
        self._some.set()
