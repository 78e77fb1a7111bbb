"""A TCP proxy that can part those on its two sides, in the ways that networks do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

Way = Literal["cut", "held", "lost"]
"""How what arrives is treated.

cut: connections are reset, new ones closed at once. held: nothing goes
through, and all of it does later, as when packets are dropped and then sent again. lost:
nothing goes through, and what was connected then stays deaf for ever, as when a machine on
the way forgets its connections, and tells nobody.
"""

_BYTES = 65_536


class Proxy:
    """Stands in front of one port of this machine; new connections follow the way of the day."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._way: Way | None = None
        self._passable = asyncio.Event()
        self._passable.set()
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def part(self, way: Way) -> None:
        """Part the two sides in this way until `heal`."""
        self._way = way
        if way == "cut":
            for link in list(self._links):
                link.reset()
            return
        self._passable.clear()
        for link in self._links:
            link.deaf = link.deaf or way == "lost"

    def heal(self) -> None:
        """Let through what was held, and new connections."""
        self._way = None
        self._passable.set()

    async def end(self) -> None:
        """End all connections, and wait for that."""
        self.part("cut")
        self._passable.set()
        await asyncio.gather(*self._serving)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection and carry it until either side ends it."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, deaf=self._way == "lost")
        if self._way == "cut":
            link.reset()
            return
        self._links.add(link)
        try:
            await self._passable.wait()
            there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
            link.far = to_there
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(link, reader, to_there))
                group.create_task(self._carry(link, there, writer))
        except* OSError:
            pass  # one side is gone; the other one learns of it by the reset
        finally:
            self._links.discard(link)
            link.reset()

    async def _carry(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_BYTES):
            if link.deaf:
                await link.ended.wait()  # who has dropped a packet takes no more of them
            await self._passable.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("ended")


class _Link:
    """Both ends of one connection."""

    def __init__(self, near: asyncio.StreamWriter, *, deaf: bool) -> None:
        self.deaf = deaf
        self.ended = asyncio.Event()
        self.far: asyncio.StreamWriter | None = None
        self._near = near

    def reset(self) -> None:
        self.ended.set()
        for writer in (self._near, self.far):
            if writer is not None:
                writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy on a free port."""
    made = Proxy(target)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await made.end()
