"""A `nats-server` of our own, for a desk rather than for production: one process, one folder.

It listens on 127.0.0.1 only. Its store is locked, since `nats-server` itself would let two
processes write to one folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.supervisor.child import ChildSpec

BINARY = "nats-server"
HOST = "127.0.0.1"
NAME = "nats-server"

_LINE = re.compile(r"^\[\d+\] \S+ \S+ \[(?P<level>[A-Z]{3})\] (?P<words>.*)$")
_LISTENING = re.compile(r"^Listening for client connections on \S+:(?P<port>\d+)$")
_READY = "Server is ready"
_PORT_TAKEN = "address already in use"
_QUIET_LEVELS = frozenset({"INF", "DBG", "TRC"})


class EmbeddedServerError(Exception):
    """The server cannot start; says why and what to do."""


class EmbeddedServer:
    """What the supervisor needs to run the server, and what its log tells.

    `ready` is set while it takes connections, `failed` when it gave a fatal error; `words`
    then says which. Port 0 takes a free one, and the same again after a restart.
    """

    def __init__(self, port: int, store: Path, show: Callable[[str], None]) -> None:
        self.port = port
        self.store = store
        self.ready = asyncio.Event()
        self.failed = asyncio.Event()
        self.words = ""
        self._show = show
        self._binary = find_binary()

    @property
    def url(self) -> str:
        """Where clients connect; with port 0 known once `ready`."""
        return f"nats://{HOST}:{self.port}"

    def spec(self) -> ChildSpec:
        """Return what to run, for the next start."""
        self.ready.clear()
        port = str(self.port or -1)
        arguments = ("-a", HOST, "-p", port, "-js", "-sd", str(self.store), "-n", "headrace")
        return ChildSpec(NAME, (str(self._binary), *arguments), {})

    def on_line(self, line: str) -> None:
        """Take a line of the server's log: note what it means, show warnings and worse."""
        match = _LINE.match(line)
        if match is None:
            self._show(line)
            return
        level, words = match["level"], match["words"]
        if listening := _LISTENING.match(words):
            self.port = int(listening["port"])
        elif words == _READY:
            self.ready.set()
        if level == "FTL":
            self.words = self._explain(words)
            self.failed.set()
        if level not in _QUIET_LEVELS:
            self._show(words)

    def _explain(self, words: str) -> str:
        if _PORT_TAKEN in words:
            return (
                f"port {self.port} is in use, perhaps by a NATS server. Take another port: "
                f"`make run PORT={self.port + 1}`; or use that server: "
                f"`NATS_URL={self.url} make run`."
            )
        return f"{BINARY} does not start: {words}"


def find_binary() -> Path:
    """Return the server's binary: of the wheel, else on PATH. Raises `EmbeddedServerError`."""
    beside_python = Path(sys.executable).with_name(BINARY)
    if beside_python.is_file():
        return beside_python
    on_path = shutil.which(BINARY)
    if on_path is None:
        raise EmbeddedServerError(
            f"there is no {BINARY}: install the extra `headrace[embedded-server]`, "
            "as `make install` does, or name a running server with NATS_URL"
        )
    return Path(on_path)


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep the folder for this process alone. Raises `EmbeddedServerError`."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock = (store / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise EmbeddedServerError(f"cannot write to {store}/: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EmbeddedServerError(
                f"another `headrace up` uses the folder {store}/; stop it, or use its server "
                "with NATS_URL, or take another folder with --store"
            ) from error
        yield
