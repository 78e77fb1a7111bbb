"""nats-py's client, mended where a service that runs for months would stumble."""

from __future__ import annotations

import asyncio
from typing import Any

import nats.errors
from nats.aio.client import Client, Srv
from nats.aio.msg import Msg


class NoTlsError(nats.errors.Error):
    """The server offers no TLS where we are to use it; it was sent no login."""

    def __str__(self) -> str:
        return "the server speaks no TLS, and NATS_TLS_... or tls:// asks for it"


class MendedClient(Client):
    """nats-py's client, mended in five places, and able to leave its server for another.

    It takes any subject that the server takes: a subject need not be UTF-8, and decoding it
    strictly ended nats-py's read loop, for good and without a word: one message of a stranger
    would make every worker deaf.

    A write in the moment when the connection has broken, and nats-py has not seen that yet, is
    no bare `RuntimeError`: that passed by all who expect a broker error, and ended the service.

    Where TLS is asked for, nothing is sent to a server that says it has none: nats-py believes it,
    and whoever sits in between would read the password.

    Where the login fails on the way, as when a certificate is not to be trusted, the connection is
    dropped: nats-py would wait for ever for it to be closed.

    What is left to write to a lost connection is dropped. nats-py waited until it was written
    before it connected again: for ever, where the other side took nothing any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: Srv | None = None

    def abort(self) -> None:
        """Break the connection at once."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def leave(self) -> None:
        """Break the connection, and look for another server first."""
        self._left = self._current_server
        self.abort()

    async def _attempt_reconnect(self) -> None:
        self.abort()
        await super()._attempt_reconnect()

    async def _select_next_server(self) -> None:
        if self._left in self._server_pool:
            self._server_pool.remove(self._left)
            self._server_pool.append(self._left)
        await super()._select_next_server()

    def _connect_command(self) -> bytes:
        scheme = self._current_server.uri.scheme if self._current_server else ""
        wanted = scheme == "tls" or ("tls" in self.options and scheme != "wss")
        if wanted and not self._server_info.get("tls_required"):
            raise NoTlsError
        return super()._connect_command()

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return self.msg_class(
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )

    async def _flush_pending(self, force_flush: bool = False) -> Any:  # noqa: FBT001, FBT002, ANN401 - as nats-py has it
        try:
            return await super()._flush_pending(force_flush)
        except (RuntimeError, OSError):
            # What is pending goes out after the reconnect, as all that is published till then;
            # what was under way is lost, as with any connection that breaks.
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    async def _send_ping(self, future: asyncio.Future[Any] | None = None) -> None:
        try:
            await super()._send_ping(future)
        except RuntimeError as error:
            raise ConnectionResetError(str(error)) from error

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
            self._left = None
        except (OSError, TimeoutError):
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]  # nats-py's
                self._transport = None
            raise
