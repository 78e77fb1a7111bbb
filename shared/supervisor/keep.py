"""Keep a child running until told to stop; then end it in good order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from shared.supervisor.child import Child, ChildSpec, running
from shared.supervisor.restarts import RESTARTS, Restarts


class Stop:
    """Two events: `soft` asks children to end, `hard` ends them at once."""

    def __init__(self, soft: asyncio.Event, hard: asyncio.Event) -> None:
        self.soft = soft
        self.hard = hard


async def keep_running(
    prepare: Callable[[], ChildSpec],
    stop: Stop,
    say: Callable[[str], None],
    *,
    on_line: Callable[[str], None] | None = None,
    restarts: Restarts = RESTARTS,
    patience: float = 30.0,
) -> None:
    """Run a child, again whenever it ends, until `stop`; `say` hears of its ends.

    `prepare` is asked before each start. `patience` is how many seconds the child may take to
    end by itself before it is killed. Its output goes line by line to `on_line`, to `say`
    where none is given. A child that cannot even be started counts as one that died.
    """
    deaths = 0
    while not stop.soft.is_set():
        started = time.monotonic()
        try:
            async with running(prepare(), on_line or say) as child:
                await first_of(child.exited, stop.soft)
                if not child.exited.is_set():
                    await _end(child, stop, say, patience)
                    return
            how = describe_exit(child.exit_code)
        except OSError as error:
            how = f"could not start: {error}"
        deaths = restarts.deaths(deaths, time.monotonic() - started)
        pause = restarts.pause(deaths)
        if not stop.soft.is_set():
            say(f"{how}; starts again in {pause:g} s")
            await first_of(stop.soft, seconds=pause)


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Return when one of the events is set, or after so many seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def describe_exit(code: int | None) -> str:
    """Say how a process ended, from its exit code."""
    if code is None or code >= 0:
        return f"exited with code {code}"
    return f"killed by {signal.Signals(-code).name}"


async def _end(child: Child, stop: Stop, say: Callable[[str], None], patience: float) -> None:
    child.terminate()
    await first_of(child.exited, stop.hard, seconds=patience)
    if not child.exited.is_set():
        say("does not end by itself; killed")
        child.kill()
        await child.exited.wait()
    elif child.exit_code:
        say(describe_exit(child.exit_code))
