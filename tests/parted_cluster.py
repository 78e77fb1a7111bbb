"""Three servers whose routes and members can be parted, one server from the other two."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.cluster import SERVERS, Cluster, ready
from tests.processes import free_ports
from tests.proxy import Proxy, Way, proxy
from tests.server import Server

_NOWHERE = "127.0.0.1:1"


class PartedCluster:
    """A cluster in which each server reaches each other one by a way of their own."""

    def __init__(self, servers: Cluster, routes: dict[frozenset[str], list[Proxy]]) -> None:
        self.servers = servers
        self._routes = routes

    @property
    def url(self) -> str:
        """Where clients connect: all of them."""
        return self.servers.url

    def named(self, address: str) -> str:
        """Return the name of the server that clients reach at this host and port."""
        return next(name for name, url in self.servers.urls() if url.endswith(address))

    def part(self, name: str, way: Way) -> None:
        """Part one server from the others; clients still reach it."""
        for pair, both in self._routes.items():
            if name in pair:
                for route in both:
                    route.part(way)

    def heal(self) -> None:
        """Let all servers reach one another again."""
        for both in self._routes.values():
            for route in both:
                route.heal()


@contextlib.asynccontextmanager
async def parted_cluster(folder: Path) -> AsyncIterator[PartedCluster]:
    """Run three servers; what they tell one another of their addresses leads nowhere."""
    ports = {f"n{number}": port for number, port in enumerate(free_ports(SERVERS), 1)}
    async with contextlib.AsyncExitStack() as stack:
        routes: dict[frozenset[str], list[Proxy]] = {}
        servers = {}
        for name, port in ports.items():
            targets = []
            for other, its_port in ports.items():
                if other != name:
                    route = await stack.enter_async_context(proxy(its_port))
                    routes.setdefault(frozenset((name, other)), []).append(route)
                    targets.append(f'"{route.url}"')
            own = folder / name
            own.mkdir()
            servers[name] = Server(
                own,
                config=f"server_name: {name}\n"
                f'cluster {{ name: test, listen: "127.0.0.1:{port}", advertise: "{_NOWHERE}", '
                f"no_advertise: true, routes: [{', '.join(targets)}] }}",
            )
        for server in servers.values():
            await asyncio.to_thread(server.start)
            stack.callback(server.stop)
        made = Cluster(servers)
        await ready(made)
        yield PartedCluster(made, routes)
