"""One run of a child process, in a session of its own, its output handed on line by line."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import BinaryIO, cast

from msgspec import Struct

from shared.supervisor.output import Lines

_CHUNK_BYTES = 64 * 1024
_LAST_WORDS_SECONDS = 1.0

# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_SET_PARENT_DEATH_SIGNAL = 1


class ChildSpec(Struct, frozen=True):
    """What to run, under which name; `environment` is the whole of it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


class Child:
    """A running child process; made by `running`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.exited = asyncio.Event()

    @property
    def pid(self) -> int:
        """Its process id, also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal's number; None while it runs."""
        return self._process.returncode

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.exit_code is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and whatever it has started (SIGKILL to its group)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def running(spec: ChildSpec, on_line: Callable[[str], None]) -> AsyncIterator[Child]:
    """Start the child; at the end nothing of its group is left. Raises `OSError`.

    The terminal's Ctrl-C reaches the supervisor only, since the child has its own session.
    On Linux the kernel ends the child when the supervisor dies, however that dies.
    """
    # A pipe of our own: the exit of the child must not wait for grandchildren that hold it.
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                env=dict(spec.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        finally:
            os.close(write_end)
        child = Child(process)
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(_pump(cast("BinaryIO", output), on_line))
            waiting = tasks.create_task(_wait(child, process))
            try:
                yield child
            finally:
                child.kill()
                await asyncio.shield(waiting)
                # A grandchild in a session of its own may hold the pipe for ever.
                await asyncio.wait({pumping}, timeout=_LAST_WORDS_SECONDS)
                pumping.cancel()


async def _wait(child: Child, process: asyncio.subprocess.Process) -> None:
    await process.wait()
    # What it left behind, as a pool of renderers, is of no use to anyone.
    child.kill()
    child.exited.set()


async def _pump(output: BinaryIO, on_line: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), output
    )
    lines = Lines()
    with contextlib.closing(transport):
        while data := await reader.read(_CHUNK_BYTES):
            for line in lines.feed(data):
                on_line(line)
        for line in lines.end():
            on_line(line)


def _die_with(parent: int) -> Callable[[], None]:
    def ask_kernel() -> None:
        if _libc is None:
            return
        _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before we asked

    return ask_kernel
