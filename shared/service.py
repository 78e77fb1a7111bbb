"""Run a service: settings, signals, broker, topology, health, units, one deadline, exit code.

A service's `__main__` says what it is made of; this file says how any service lives:

    start -> connect (for ever) -> provision -> run units -> SIGTERM -> soft stop -> exit 0

Exit codes: 0 stopped as asked; 1 failed; 2 settings are wrong; 3 the server holds a topology
that cannot become ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import uvloop
from msgspec import Struct

from shared import logs, settings, tracing
from shared.broker import Broker, BrokerUnreachableError, connected
from shared.deadline import Deadline
from shared.discovery import announced
from shared.health import Page, PortError, served
from shared.jetstream import BROKER_ERRORS
from shared.logs import logger
from shared.lone_server import leaving_lone_servers
from shared.metrics import registry_of
from shared.provision import LeftToOperatorError, ProvisionRefusedError, provision
from shared.registry import ServiceEntry
from shared.settings import ProcessSettings, SettingsError

_log = logger("service")

_PROVISION_RETRY_SECONDS = 0.5
_COLLECT_AFTER = (20_000, 20, 20)


class Unit(Protocol):
    """A part of a service that runs until the service stops."""

    @property
    def ready(self) -> bool:
        """Whether it does its work at this moment."""

    async def run(self, stop: asyncio.Event, deadline: Deadline) -> None:
        """Work until `stop` is set; then end before the deadline."""


@runtime_checkable
class Explaining(Protocol):
    """A unit that can tell why it is not ready."""

    def why_not_ready(self) -> list[str]:
        """Return the reasons, in words."""


class Parts(Struct, frozen=True):
    """What a service is made of once it is connected."""

    units: dict[str, Unit]
    prepare: Callable[[], Awaitable[None]] | None = None
    """What must be done before any unit runs; while the broker fails, it is tried again."""
    collectors: Sequence[Any] = ()
    """Collectors of prometheus_client."""
    status: Callable[[], dict[str, object]] = dict
    pages: Mapping[str, Page] = {}
    """Pages of metrics beside `/metrics`, by their path."""


class Runtime(Struct, frozen=True):
    """The settings that every service has."""

    process: ProcessSettings
    stop_deadline_seconds: float


Build = Callable[[Broker, Callable[[], Any]], AbstractAsyncContextManager[Parts]]
"""Makes the parts from the broker and an awaitable that provisions again."""

Settings = TypeVar("Settings", bound=Struct)


def load_settings(cls: type[Settings]) -> Settings:
    """Read the settings, or end the process with their faults on standard error."""
    try:
        return settings.load(cls)
    except SettingsError as error:
        sys.stderr.write(f"settings: {error}\n")
        sys.exit(2)


def serve(entry: ServiceEntry, runtime: Runtime, build: Build) -> int:
    """Run the service until it is told to stop; return the exit code."""
    logs.configure(runtime.process.log, service=entry.name)
    # By default Python looks for cycles after every 700 new objects, here a few jobs; jobs make
    # hardly any, and looking took 15 % of the CPU of an invoice.
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        with (
            tracing.exporting(runtime.process.tracing.endpoint, entry.name),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(_guarded(entry, runtime, build))
    except tracing.TracingUnavailableError as error:
        sys.stderr.write(f"settings: {error}\n")
        return 2


async def _guarded(entry: ServiceEntry, runtime: Runtime, build: Build) -> int:
    stop = asyncio.Event()
    deadline = Deadline(runtime.stop_deadline_seconds)
    _listen_to_signals(stop, deadline)
    try:
        async with (
            connected(runtime.process.broker, entry.name, stop=stop) as broker,
            leaving_lone_servers(broker),
        ):
            await _run(entry, runtime, build, broker=broker, stop=stop, deadline=deadline)
    except ProvisionRefusedError as error:
        _log.error("topology refused", differences=str(error).splitlines())
        return 3
    except BrokerUnreachableError as error:
        _log.warning("never connected", error=str(error))
        return 0 if stop.is_set() else 1
    except SettingsError as error:
        _log.error("settings refused", error=str(error))
        return 2
    except PortError as error:
        _log.error("http refused", error=str(error))
        return 2
    except Exception:  # noqa: BLE001 - the last place: said with its trace, exit code 1, restarted from outside
        _log.error("service failed", exc_info=True)
        return 1
    _log.info("service stopped")
    return 0


async def _run(
    entry: ServiceEntry,
    runtime: Runtime,
    build: Build,
    *,
    broker: Broker,
    stop: asyncio.Event,
    deadline: Deadline,
) -> None:
    topology = entry.topology()

    async def provision_again() -> None:
        await provision(broker.client, topology, runtime.process.streams)

    _log.info("broker connected", url=broker.url, server=broker.server)
    await _until_done(
        provision_again,
        stop,
        lambda error: _log.warning("provision failed, trying again", error=error),
    )
    if stop.is_set():
        return
    async with build(broker, provision_again) as parts:
        if parts.prepare is not None:
            # In a cluster, a stream that was made just now may not answer at once.
            await _until_done(
                parts.prepare,
                stop,
                lambda error: _log.warning("preparation failed, trying again", error=error),
            )
            if stop.is_set():
                return

        def not_ready() -> list[str]:
            return [
                f"{name}: {reason}"
                for name, unit in parts.units.items()
                if not unit.ready
                for reason in _reasons(unit)
            ]

        async with (
            served(
                runtime.process.http.port,
                registry_of(parts.collectors),
                not_ready,
                parts.pages,
            ),
            announced(broker.client, entry.name, entry.description, parts.status),
            asyncio.TaskGroup() as group,
        ):
            watch = group.create_task(_fail_when_closed(broker))
            units = [
                group.create_task(unit.run(stop, deadline), name=name)
                for name, unit in parts.units.items()
            ]
            _log.info("service started", units=list(parts.units))
            await stop.wait()
            deadline.start()
            _log.info("soft stop", deadline_seconds=deadline.seconds)
            await asyncio.wait(units)
            watch.cancel()


def _reasons(unit: Unit) -> list[str]:
    reasons = unit.why_not_ready() if isinstance(unit, Explaining) else []
    return reasons or ["not ready"]


async def _until_done(
    attempt: Callable[[], Awaitable[None]], stop: asyncio.Event, failed: Callable[[str], None]
) -> None:
    said = ""
    while not stop.is_set():
        try:
            await attempt()
        except BROKER_ERRORS as error:
            failed(str(error) or repr(error))
        except LeftToOperatorError as error:
            if str(error) != said:
                said = str(error)
                _log.warning("waiting for an operator to provision", differences=said.splitlines())
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PROVISION_RETRY_SECONDS)


async def _fail_when_closed(broker: Broker) -> None:
    await broker.closed.wait()
    raise BrokerUnreachableError(f"{broker.url} closed the connection: {broker.last_error}")


def _listen_to_signals(stop: asyncio.Event, deadline: Deadline) -> None:
    def on_signal() -> None:
        if stop.is_set():  # asked a second time: finish nothing more
            deadline.expire()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
