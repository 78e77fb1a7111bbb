"""A real `nats-server` for tests: started on a free port, killed and started again at will."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

BINARY = Path(sys.executable).with_name("nats-server")

_FREE_PORT = -1
_START_SECONDS = 15.0
_STOP_SECONDS = 15.0
_LISTENING = re.compile(r"Listening for client connections on \S+:(\d+)")
_READY = "Server is ready"
_PORT_TAKEN = "address already in use"

_libc = ctypes.CDLL(None)


class Server:
    """One server with its JetStream folder beneath `folder`; a context manager.

    The first `start` lets the server choose its port; later ones take the same again, over
    the same store. `config` is appended to the configuration file, for example
    `"max_payload: 64KB"`; `jetstream` is what stands in the `jetstream` block;
    `variables` are added to its environment, for a configuration that refers to them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: str = "",
        jetstream: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.port = _FREE_PORT
        self.folder = folder
        self.config = config
        self.jetstream = jetstream
        self.variables = dict(variables or {})
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._reader: threading.Thread | None = None
        self._log: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients connect; known once started."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written since the last start."""
        return "".join(self._log)

    def start(self) -> None:
        """Start, and return when the server takes connections and JetStream is up."""
        if self._process is not None:
            raise RuntimeError("the server runs already")
        end = time.monotonic() + _START_SECONDS
        while not self._start_once(end - time.monotonic()):
            # Between a kill and this start, an outgoing connection may have taken the port.
            if _PORT_TAKEN not in self.log or time.monotonic() > end:
                raise RuntimeError(f"nats-server did not start:\n{self.log}")

    def stop(self) -> None:
        """Stop in good order; nothing happens if the server does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop at once, as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _start_once(self, seconds: float) -> bool:
        self._log.clear()
        self._ready.clear()
        process = subprocess.Popen(
            [BINARY, "-c", self._write_config()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=os.environ | self.variables,
            preexec_fn=die_with_parent,  # noqa: PLW1509  a test server must not outlive pytest
        )
        self._reader = threading.Thread(target=self._read_log, args=(process,), daemon=True)
        self._reader.start()
        self._process = process
        self._ready.wait(max(0.0, seconds))
        if process.poll() is None and _READY in self.log:
            return True
        self._end(signal.SIGKILL)
        return False

    def _write_config(self) -> Path:
        path = self.folder / "nats-server.conf"
        store = self.folder / "jetstream"
        path.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{store}"\n{self.jetstream} }}\n'
            f"{self.config}\n",
            "utf-8",
        )
        return path

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            self._log.append(line)
            if match := _LISTENING.search(line):
                self.port = int(match[1])
            if _READY in line:
                self._ready.set()
        self._ready.set()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
        if process.stderr is not None:
            process.stderr.close()


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, however that dies."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        _libc.prctl(set_parent_death_signal, signal.SIGKILL)
