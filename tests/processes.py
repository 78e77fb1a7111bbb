"""Services as real processes: started as a user would, killed, frozen, thawed and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from tests.eventually import eventually
from tests.headrace import environment
from tests.server import die_with_parent

_END_SECONDS = 40.0
_LAST_LINES = 60


class Process:
    """One running service; a context manager that leaves none of its processes behind.

    `log` holds its JSON lines, `words` whatever else it wrote to standard error. The process
    leads a group of its own, so that a freeze takes its children too, as a paused machine does.
    """

    def __init__(self, program: str, url: str, **variables: str) -> None:
        """Start a module by its name, or a script by its path (`.py`)."""
        self.program = program
        self.log: list[dict[str, Any]] = []
        self.words: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, *((program,) if program.endswith(".py") else ("-m", program))],
            env=environment(NATS_URL=url, **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  a service must not outlive pytest
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        """Process id of the service; its children's group too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def events(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """Return the log lines of this event that have these facts."""
        return [
            line
            for line in list(self.log)
            if line["event"] == event and all(line.get(k) == v for k, v in facts.items())
        ]

    def kill(self) -> None:
        """Kill the service itself (SIGKILL), as the OOM killer would; not its children."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask for a soft stop (SIGTERM), as `docker stop` and Kubernetes do."""
        self._process.terminate()

    def freeze(self) -> None:
        """Stop it and its children in the midst of things (SIGSTOP)."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    async def started(self, seconds: float = 30) -> Self:
        """Wait until it takes jobs."""
        await eventually(lambda: self.events("service started") or not self.alive, seconds)
        assert self.alive, f"ended with {self._process.returncode}: {self.log} {self.words}"
        return self

    async def exit_code(self, seconds: float = _END_SECONDS) -> int:
        """Wait until it has ended, and all that it said is read."""
        await eventually(lambda: not self.alive and not self._reader.is_alive(), seconds)
        return self._process.wait()

    async def stopped(self, seconds: float = _END_SECONDS) -> None:
        """Wait until it has ended after `terminate`, and see that it did so as asked."""
        code = await self.exit_code(seconds)
        assert code == 0, f"ended with {code}: {self._last_said()}"
        assert self.words == [], self._last_said()

    def _last_said(self) -> str:
        lines = (json.dumps(line) for line in map(_short, self.log[-_LAST_LINES:]))
        return "\n".join(["", *lines, *self.words])

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _read_log(self) -> None:
        for line in self._process.stderr or ():
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                self.words.append(line)
            else:
                self.log.append(said)


def invoice_worker(url: str, **variables: str) -> Process:
    """Start an invoice worker that renders in one process, unless told otherwise."""
    return Process(
        "services.invoice_worker", url, **({"INVOICE_RENDER_PROCESSES": "1"} | variables)
    )


@contextlib.asynccontextmanager
async def invoice_workers(count: int, url: str, **variables: str) -> AsyncIterator[list[Process]]:
    """Run so many invoice workers; those that the test leaves in the list are ended with it."""
    workers = [invoice_worker(url, **variables) for _ in range(count)]
    try:
        for worker in workers:
            await worker.started()
        yield workers
    finally:
        end_all(workers)


async def all_stopped(processes: list[Process]) -> None:
    """Ask them all for a soft stop at once, and see that each ends as asked."""
    for process in processes:
        process.terminate()
    for process in processes:
        await process.stopped()


def end_all(processes: list[Process]) -> None:
    """End processes at once."""
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.enter_context(process)


def free_ports(count: int) -> Iterator[int]:
    """Yield ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [int(one.getsockname()[1]) for one in sockets]
    yield from ports


def _short(said: Any) -> Any:
    """Return what was logged without the local variables of a trace, which fill pages."""
    if isinstance(said, dict):
        return {name: _short(value) for name, value in said.items() if name != "locals"}
    return [_short(value) for value in said] if isinstance(said, list) else said
