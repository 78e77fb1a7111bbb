"""Settle deliveries: send the ack, nak or term, and see that the server has it.

Double acks without waiting: each carries a reply subject, many are in flight, and one that is
not confirmed in time is sent again. The worker's slot is free as soon as the ack is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from nats.aio.client import Client
from nats.aio.msg import Msg

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


class Settler:
    """Sends settlements; with `confirmed`, until the server has confirmed each."""

    def __init__(self, client: Client, *, confirmed: bool) -> None:
        self._client = client
        self._confirmed = confirmed
        self._pending: OrderedDict[int, tuple[str, bytes, float]] = OrderedDict()
        self._last = 0
        self._prefix = ""
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def unconfirmed(self) -> int:
        """Settlements sent and not yet confirmed."""
        return len(self._pending)

    async def start(self) -> None:
        """Open the inbox on which confirmations arrive."""
        self._prefix = self._client.new_inbox()
        await self._client.subscribe(
            f"{self._prefix}.*", cb=self._confirm, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def settle(self, reply: str, verb: bytes) -> None:
        """Send the final word on a delivery; `reply` is the message's reply subject."""
        if not self._confirmed:
            await self._client.publish(reply, verb)
            return
        self._last = number = self._last + 1
        self._pending[number] = (reply, verb, time.monotonic())
        await self._client.publish(reply, verb, reply=f"{self._prefix}.{number}")

    async def progress(self, reply: str) -> None:
        """Tell the server that the delivery is still ours."""
        await self._client.publish(reply, IN_PROGRESS)

    async def resend_overdue(self) -> None:
        """Send again what was not confirmed in time."""
        overdue = time.monotonic() - _RESEND_SECONDS
        while self._pending:
            number, (reply, verb, sent) = next(iter(self._pending.items()))
            if sent > overdue:
                return
            del self._pending[number]
            _log.warning("settlement not confirmed, sending again", verb=verb.decode())
            await self.settle(reply, verb)

    async def all_confirmed(self, seconds: float) -> bool:
        """Wait at most so long for the confirmations; tell whether all came."""
        try:
            async with asyncio.timeout(seconds):
                while self._pending:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _confirm(self, msg: Msg) -> None:
        number = int(msg.subject.rsplit(".", 1)[1])
        self._pending.pop(number, None)
        if not self._pending:
            self._empty.set()
