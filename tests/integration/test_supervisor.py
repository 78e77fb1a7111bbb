"""The supervisor keeps children alive and ends them in good order: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from shared.supervisor.child import ChildSpec
from shared.supervisor.keep import Stop, keep_running
from shared.supervisor.restarts import Restarts
from tests.eventually import eventually
from tests.process_facts import alive

SOON = Restarts(first=0.01, most=0.05)

OBEDIENT = """
import signal, sys
def end(*_):
    print("ended in good order", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True: signal.pause()
"""

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()
"""

WITH_GRANDCHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("grandchild", child.pid, flush=True)
while True: signal.pause()
"""


class Kept(Struct):
    stop: Stop
    lines: list[str]
    task: asyncio.Task[None]

    def said(self, words: str) -> Callable[[], bool]:
        return lambda: any(words in line for line in self.lines)

    def times(self, words: str) -> int:
        return sum(words in line for line in self.lines)


@asynccontextmanager
async def kept(
    code: str, *, patience: float = 20, command: tuple[str, ...] = ()
) -> AsyncIterator[Kept]:
    stop = Stop(asyncio.Event(), asyncio.Event())
    lines: list[str] = []
    # The first line names the child's process id.
    named = f"import os; print('pid', os.getpid(), flush=True)\n{code}"
    spec = ChildSpec("child", command or (sys.executable, "-c", named), dict(os.environ))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            keep_running(lambda: spec, stop, lines.append, restarts=SOON, patience=patience)
        )
        yield Kept(stop, lines, task)
        stop.soft.set()
        stop.hard.set()


def pids(one: Kept, word: str = "pid") -> list[int]:
    return [int(line.split()[1]) for line in one.lines if line.startswith(f"{word} ")]


async def test_a_killed_child_is_started_again() -> None:
    async with kept(OBEDIENT) as one:
        await eventually(one.said("up"))
        first = pids(one)[0]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: one.times("up") == 2)
        assert one.said("killed by SIGKILL; starts again in 0.01 s")()
        assert pids(one)[1] != first


async def test_a_storm_of_deaths_does_not_end_the_supervisor() -> None:
    async with kept("raise SystemExit(3)") as one:
        await eventually(lambda: one.times("exited with code 3") >= 8, 30)
        assert not one.task.done()
        assert one.said("starts again in 0.05 s")()


async def test_a_command_that_does_not_exist_is_tried_again() -> None:
    async with kept("", command=("/no/such/program",)) as one:
        await eventually(lambda: one.times("could not start") >= 2)


async def test_a_soft_stop_lets_the_child_end_by_itself() -> None:
    async with kept(OBEDIENT) as one:
        await eventually(one.said("up"))
        one.stop.soft.set()
        await eventually(one.task.done)
        assert one.lines[-1] == "ended in good order"
        assert not alive(pids(one)[0])


async def test_a_child_that_does_not_listen_is_killed_after_a_while() -> None:
    async with kept(STUBBORN, patience=0.1) as one:
        await eventually(one.said("up"))
        one.stop.soft.set()
        await eventually(one.task.done)
        assert one.said("does not end by itself; killed")()
        assert not alive(pids(one)[0])


async def test_a_hard_stop_waits_for_nobody() -> None:
    async with kept(STUBBORN, patience=600) as one:
        await eventually(one.said("up"))
        one.stop.soft.set()
        one.stop.hard.set()
        await eventually(one.task.done)
        assert not alive(pids(one)[0])


async def test_what_a_child_has_started_ends_with_it() -> None:
    async with kept(WITH_GRANDCHILD) as one:
        await eventually(one.said("grandchild"))
        grandchild = pids(one, "grandchild")[0]
        assert alive(grandchild)
        os.kill(pids(one)[0], signal.SIGKILL)
        await eventually(lambda: one.times("grandchild") == 2)
        await eventually(lambda: not alive(grandchild))


async def test_the_last_words_of_a_dying_child_are_shown(tmp_path: Path) -> None:
    code = f"import sys; print('a' * 300_000); sys.exit('last words of {tmp_path.name}')"
    async with kept(code) as one:
        await eventually(one.said("starts again"))
        assert one.said(f"last words of {tmp_path.name}")()
        assert one.said("a" * 300_000)()
