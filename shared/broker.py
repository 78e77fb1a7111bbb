"""Connection to the broker: reconnects for ever, and says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client

from shared import credentials
from shared.logs import logger
from shared.mended_client import MendedClient
from shared.settings import BrokerSettings

_log = logger("broker")
_RECONNECT_WAIT_SECONDS = 0.5
_CONNECT_TIMEOUT_SECONDS = 3
_OUTBOUND_BUFFER_BYTES = 64 * 1024 * 1024
_CLOSE_SECONDS = 3
_PING_SECONDS = 5
_UNANSWERED_PINGS = 2
"""A server that is silent for so many pings is lost. nats-py's defaults give it up to six minutes,
in which a member behind a network that dropped its connection without a word does nothing."""

_CUT_OFF = (ConnectionResetError, BrokenPipeError, nats.errors.UnexpectedEOF)


class BrokerUnreachableError(Exception):
    """No server answers under the URL, or none lets us in; says which and what to start."""


ReconnectHook = Callable[[], None]


class Broker:
    """An open connection and those who want to know when it was lost and found again."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.url = without_password(settings.url)
        self.connected = False
        self.closed = asyncio.Event()
        """Set when the connection is gone for good: the server threw us out."""
        self.last_error = ""
        self.client = MendedClient()
        self._hooks: list[ReconnectHook] = []
        self._looking = False
        self._said: set[str] = set()

    @property
    def server(self) -> str:
        """Host and port of the server that it is connected to; empty while it is to none."""
        url = self.client.connected_url
        return f"{url.hostname}:{url.port}" if url else ""

    def on_reconnect(self, hook: ReconnectHook) -> ReconnectHook:
        """Call `hook` after every reconnect; what is returned ends that."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    async def lost(self) -> None:
        """React to a lost connection."""
        if self.connected:
            self.connected = False
            self._looking = True
            self.last_error = ""
            _log.warning("broker lost", url=self.url)

    async def found(self) -> None:
        """React to a connection that is back."""
        self.connected = True
        self._looking = False
        self._said.clear()
        _log.info("broker found again", url=self.url, server=self.server)
        for hook in list(self._hooks):
            hook()

    async def gone(self) -> None:
        """React to a connection that nats-py has given up, as after `-ERR 'Authorization'`."""
        if self.connected:
            self.connected = False
            _log.error("broker closed the connection", url=self.url, error=self.last_error)
        self.closed.set()

    async def failed(self, error: Exception) -> None:
        """Log what nats-py reports beside any call; while the server is looked for, once each."""
        if isinstance(error, _CUT_OFF) and self.last_error and not self.connected:
            return  # the server has said why, and then hung up
        self.last_error = _describe(error)
        if self.connected or (self._looking and self.last_error not in self._said):
            if self._looking:
                self._said.add(self.last_error)
            _log.warning("broker error", url=self.url, error=self.last_error)


@contextlib.asynccontextmanager
async def connected(
    settings: BrokerSettings, name: str, *, stop: asyncio.Event | None = None
) -> AsyncIterator[Broker]:
    """Connect, and close at the end.

    With a `stop` event the first connection is tried until it succeeds or `stop` is set;
    without one the first failure raises. Once connected, a lost server is looked for as
    long as the process lives. Raises `BrokerUnreachableError`, and `SettingsError` for files that
    the settings name and that cannot be used.
    """
    broker = Broker(settings)
    options = _options(settings, name, broker)
    while True:
        try:
            client = MendedClient()
            await client.connect(**options)
            broker.client = client
            break
        except (OSError, TimeoutError, nats.errors.Error) as error:
            reason = broker.last_error or _describe(error)
            if stop is None:
                raise BrokerUnreachableError(_what_to_do(broker.url, reason)) from error
            _log.warning("broker unreachable", url=broker.url, error=reason)
        if await _set_within(stop, _RECONNECT_WAIT_SECONDS):
            raise BrokerUnreachableError(f"stopped while looking for a NATS server at {broker.url}")
    # nats-py takes the same number for the first connection, where -1 would hide every error.
    broker.client.options["max_reconnect_attempts"] = -1
    broker.connected = True
    try:
        yield broker
    finally:
        broker.connected = False
        await _close(broker.client)


def without_password(url: str) -> str:
    """Return the URL, or several divided by commas, as it may be shown: no user, no password."""
    return ",".join(map(_shown, url.split(",")))


def _shown(url: str) -> str:
    # Not by `urlsplit`: what it cannot read may hold a password all the same.
    scheme, divider, rest = url.rpartition("://")
    _, at, where = rest.rpartition("@")
    return f"{scheme}{divider}***@{where}" if at else url


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close()
    except TimeoutError as error:
        _log.warning("broker silent, what was on its way to it is dropped", error=repr(error))
    except (RuntimeError, OSError, nats.errors.Error) as error:
        # With the server away nats-py writes what is left to a transport that is closed, or
        # about to be.
        _log.warning("broker away, what was on its way to it is dropped", error=str(error))
    finally:
        if isinstance(client, MendedClient):
            client.abort()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _options(settings: BrokerSettings, name: str, broker: Broker) -> dict[str, Any]:
    options: dict[str, Any] = {
        "servers": settings.url.split(","),
        "name": name,
        "inbox_prefix": settings.inbox_prefix,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": _RECONNECT_WAIT_SECONDS,
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "pending_size": _OUTBOUND_BUFFER_BYTES,
        "ping_interval": _PING_SECONDS,
        "max_outstanding_pings": _UNANSWERED_PINGS,
        "disconnected_cb": broker.lost,
        "reconnected_cb": broker.found,
        "closed_cb": broker.gone,
        "error_cb": broker.failed,
        "allow_reconnect": True,
    }
    options |= credentials.login(settings)
    if context := credentials.tls(settings):
        options["tls"] = context
    return options


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _what_to_do(url: str, reason: str) -> str:
    if "authorization" in reason.lower():
        return (
            f"the NATS server at {url} refuses us ({reason}). Check NATS_USER and NATS_PASSWORD, "
            "NATS_CREDS or NATS_NKEY_SEED_FILE."
        )
    if "certificate" in reason.lower() or "tls" in reason.lower():
        return (
            f"no TLS with the NATS server at {url} ({reason}). Check NATS_TLS_CA, _CERT and _KEY."
        )
    return (
        f"no NATS server answers at {url} ({reason}). "
        "Start one with JetStream, for example with `make run` or `nats-server -js`, "
        "or name another with NATS_URL."
    )
