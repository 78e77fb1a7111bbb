"""`headrace up`: a server of one's own and all services, supervised, on one screen."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Meta, Struct, field

from shared import registry, settings
from shared.broker import connected, without_password
from shared.cli import terminal
from shared.cli.greeting import greeting
from shared.cli.readiness import all_ready
from shared.cli.service_children import MAX_SCALE, Replica, parse_scale, replicas
from shared.cli.signals import stop_on_signals
from shared.embedded_server import NAME, EmbeddedServer, EmbeddedServerError, locked
from shared.settings import BrokerSettings, HttpSettings, LogSettings
from shared.supervisor.keep import Stop, first_of, keep_running
from shared.supervisor.output import Screen

_OURS = "headrace"

Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the embedded server, 0 for a free one (default 4222, or PORT).",
    ),
]
Store = Annotated[Path, typer.Option(help="Folder of the embedded server.")]
Scale = Annotated[
    list[str] | None,
    typer.Option(
        "--scale",
        metavar="SERVICE=N",
        help=f"Run a service N times, 0 to {MAX_SCALE}; may be given again.",
    ),
]


class UpSettings(Struct, frozen=True):
    """What `up` reads from the environment; without NATS_URL it starts a server itself."""

    broker: BrokerSettings
    http: HttpSettings
    logs: LogSettings
    nats_url: str | None = field(default=None, name="NATS_URL")
    port: Annotated[int, Meta(ge=0, le=65535)] = field(default=4222, name="PORT")


class Up:
    """One run of `headrace up`."""

    def __init__(self, chosen: tuple[Replica, ...], stop: Stop) -> None:
        self.replicas = chosen
        self.stop = stop
        names = (_OURS, *(replica.name for replica in chosen), NAME)
        self.screen = Screen(sys.stdout, names, coloured=sys.stdout.isatty())

    async def with_server(self, port: int, store: Path) -> None:
        """Start a server, run the services on it, stop the services first, the server last."""
        with locked(store):
            server = EmbeddedServer(port, store, partial(self.screen.line, NAME))
            stop_server = Stop(asyncio.Event(), self.stop.hard)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    keep_running(
                        server.spec,
                        stop_server,
                        partial(self.screen.line, NAME),
                        on_line=server.on_line,
                    )
                )
                try:
                    await first_of(server.ready, server.failed, self.stop.soft)
                    if server.ready.is_set():
                        where = f"{server.url}, JetStream in {store}/"
                        self._say(f"{NAME} runs at {where}")
                        broker = BrokerSettings(url=server.url)
                        await self._services(broker, fresh_broker=True)
                finally:
                    stop_server.soft.set()
        if server.failed.is_set() and not self.stop.soft.is_set():
            raise EmbeddedServerError(server.words)

    async def on_server(self, broker: BrokerSettings) -> None:
        """Run the services on a server that is there. Raises `BrokerUnreachableError`."""
        async with connected(broker, "headrace up"):
            self._say(f"services use {without_password(broker.url)}")
        await self._services(broker, fresh_broker=False)

    async def _services(self, broker: BrokerSettings, *, fresh_broker: bool) -> None:
        async with asyncio.TaskGroup() as tasks:
            for replica in self.replicas:
                tasks.create_task(
                    keep_running(
                        partial(replica.spec, broker.url, fresh_broker=fresh_broker),
                        self.stop,
                        partial(self.screen.line, replica.name),
                    )
                )
            announcing = tasks.create_task(self._announce(broker))
            await self.stop.soft.wait()
            announcing.cancel()
            self._say("stopping; Ctrl-C again kills")

    async def _announce(self, broker: BrokerSettings) -> None:
        started = time.monotonic()
        wanted = Counter(replica.service.name for replica in self.replicas)
        async with connected(broker, "headrace up", stop=self.stop.soft) as connection:
            await all_ready(connection.client, wanted)
        self._say(f"ready after {time.monotonic() - started:.1f} s")
        for line in greeting([replica.service for replica in self.replicas], broker.url):
            self.screen.line("", line)  # without a name before it, to be copied

    def _say(self, words: str) -> None:
        self.screen.line(_OURS, words)


def up(port: Port = None, store: Store = Path(".headrace"), scale: Scale = None) -> None:
    """Start a NATS server and all services, keep them running, show their logs.

    With NATS_URL set the services use that server and none is started. Ctrl-C stops the
    services first, each finishing what it has in hand, then the server.
    """
    try:
        wanted = parse_scale(scale or (), [entry.name for entry in registry.services()])
    except ValueError as error:
        raise terminal.failed(str(error), code=terminal.WRONG_USE) from error
    try:
        terminal.run(_up(port, store, wanted))
    except EmbeddedServerError as error:
        raise terminal.failed(str(error)) from error


async def _up(port: int | None, store: Path, wanted: dict[str, int]) -> None:
    loaded = settings.load(UpSettings)
    terminal.configure_logs(loaded.logs)
    chosen = replicas(registry.services(), wanted, http_port=loaded.http.port)
    hard = asyncio.Event()
    with stop_on_signals(again=hard) as soft:
        run = Up(chosen, Stop(soft, hard))
        if loaded.nats_url is None:
            await run.with_server(loaded.port if port is None else port, store)
        else:
            await run.on_server(loaded.broker)
