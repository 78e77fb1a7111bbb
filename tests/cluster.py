"""Three real `nats-server`s in a cluster, for streams of three replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import BROKER_ERRORS
from tests.eventually import eventually
from tests.processes import free_ports
from tests.server import Server

SERVERS = 3
_READY_SECONDS = 60
_ATTEMPTS = 3


class Cluster:
    """Servers n1, n2, n3, each with a folder of its own."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self._servers = servers

    @property
    def url(self) -> str:
        """Where clients connect: all of them."""
        return ",".join(server.url for server in self._servers.values())

    def urls(self) -> list[tuple[str, str]]:
        """Name and URL of each."""
        return [(name, server.url) for name, server in self._servers.items()]

    async def kill(self, name: str) -> None:
        """Stop one at once (SIGKILL)."""
        await asyncio.to_thread(self._servers[name].kill)

    async def start(self, name: str) -> None:
        """Start it again, over the same store."""
        await asyncio.to_thread(self._servers[name].start)


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run a cluster that takes streams; the ports of its routes are free ones."""
    with contextlib.ExitStack() as running:
        made = await asyncio.to_thread(_start, running, folder)
        await ready(made)
        yield made


async def ready(made: Cluster) -> None:
    """Wait until it takes streams."""
    client = await nats.connect(made.url.split(","))
    try:
        await eventually(lambda: _takes_streams(client), _READY_SECONDS)
    finally:
        await client.close()


async def leader_of(client: Client, stream: str) -> str:
    """Return the name of the server that leads a stream; empty while none does."""
    try:
        info = await jetstream.call(client, f"STREAM.INFO.{stream}", timeout=1)
    except BROKER_ERRORS:
        return ""
    leader: str = info["cluster"].get("leader", "")
    return leader


def _start(running: contextlib.ExitStack, folder: Path) -> Cluster:
    for attempt in range(_ATTEMPTS):
        ports = list(free_ports(SERVERS))
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        servers = {}
        for number, port in enumerate(ports, 1):
            own = folder / f"n{number}-{attempt}"
            own.mkdir()
            servers[f"n{number}"] = Server(
                own,
                config=f"server_name: n{number}\n"
                f'cluster {{ name: test, listen: "127.0.0.1:{port}", routes: [{routes}] }}',
            )
        with contextlib.ExitStack() as trying:
            try:
                for server in servers.values():
                    trying.enter_context(server)
            except RuntimeError:  # somebody has taken a port meanwhile
                continue
            running.enter_context(trying.pop_all())
            return Cluster(servers)
    raise RuntimeError("no free ports for the routes of a cluster")


async def _takes_streams(client: Client) -> bool:
    config = {"name": "PROBE", "subjects": ["probe"], "num_replicas": SERVERS}
    try:
        await jetstream.call(client, "STREAM.CREATE.PROBE", config, timeout=2)
        await jetstream.call(client, "STREAM.DELETE.PROBE", timeout=2)
    except (*BROKER_ERRORS, nats.errors.NoRespondersError):
        return False
    return True
