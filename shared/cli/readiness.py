"""Whether services are ready: those that are answer the NATS service protocol's ping."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

_ASK_EVERY_SECONDS = 0.2


class _Pong(Struct, frozen=True):
    name: str
    id: str


_pong = msgspec.json.Decoder(_Pong)


async def all_ready(client: Client, wanted: Mapping[str, int]) -> None:
    """Return once every service has answered from as many instances as wanted."""
    seen: dict[str, set[str]] = {name: set() for name in wanted}
    heard = asyncio.Event()

    async def collect(msg: Msg) -> None:
        try:
            pong = _pong.decode(msg.data)
        except msgspec.DecodeError:
            return  # no responders, or not a service
        seen.setdefault(pong.name, set()).add(pong.id)
        heard.set()

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=collect)
    try:
        while missing := [name for name, count in wanted.items() if len(seen[name]) < count]:
            heard.clear()
            for name in missing:
                await client.publish(f"$SRV.PING.{name}", reply=inbox)
            try:
                async with asyncio.timeout(_ASK_EVERY_SECONDS):
                    await heard.wait()
            except TimeoutError:
                continue
    finally:
        await subscription.unsubscribe()
