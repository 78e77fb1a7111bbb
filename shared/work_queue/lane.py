"""A lane: jobs waiting in line, and a fixed number of slots that each work on one at a time.

Slots are tasks that live as long as the lane. While jobs wait, a slot goes from one to the
next without giving up its turn in between, which is what makes small jobs cheap.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

from shared.work_queue.delivery import Held

_YIELD_AFTER = 64


class Slot:
    """Room for one job under way."""

    __slots__ = ("cut", "held", "interruptible", "started", "task", "wake")

    def __init__(self) -> None:
        self.held: Held | None = None
        self.started = 0.0
        self.interruptible = False
        self.cut: Literal["timeout", "stop"] | None = None
        self.task: asyncio.Task[None] | None = None
        self.wake: asyncio.Future[None] | None = None

    def cut_off(self, why: Literal["timeout", "stop"]) -> None:
        """Cancel the handler that runs in this slot, once."""
        if self.interruptible and self.cut is None and self.task is not None:
            self.cut = why
            self.task.cancel()

    def mend(self) -> None:
        """Make the slot usable again after a cut."""
        self.cut = None
        if self.task is not None:
            while self.task.cancelling():
                self.task.uncancel()


Work = Callable[[Held, Slot], Awaitable[None]]


class Lane:
    """Jobs in line and `width` slots for them."""

    def __init__(self, width: int, work: Work) -> None:
        self._work = work
        self._waiting: deque[Held] = deque()
        self._idle: list[Slot] = []
        self.slots = tuple(Slot() for _ in range(width))
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._woken = 0

    def put(self, held: Held) -> None:
        """Append a job; an idle slot takes it soon."""
        self._waiting.append(held)
        if self._idle and not self._woken:
            self._woken = 1
            self._at_rest.clear()
            asyncio.get_running_loop().call_soon(self._wake)

    def take_waiting(self) -> list[Held]:
        """Take out the jobs that no slot has begun."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    async def at_rest(self) -> None:
        """Wait until every slot is idle."""
        await self._at_rest.wait()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the slots."""
        for slot in self.slots:
            slot.task = group.create_task(self._run(slot))

    def cancel(self) -> None:
        """End the slots; for when they are idle."""
        for slot in self.slots:
            if slot.task is not None:
                slot.task.cancel()

    def _wake(self) -> None:
        """Wake one slot, then two, four...: one is enough for jobs that never wait."""
        count = min(self._woken, len(self._waiting), len(self._idle))
        for _ in range(count):
            wake = self._idle.pop().wake
            if wake is not None and not wake.done():
                wake.set_result(None)
        if len(self._waiting) > count and self._idle:
            self._woken *= 2
            asyncio.get_running_loop().call_soon(self._wake)
        else:
            self._woken = 0
            self._note_rest()

    def _note_rest(self) -> None:
        if len(self._idle) == len(self.slots) and not self._waiting:
            self._at_rest.set()

    async def _run(self, slot: Slot) -> None:
        loop = asyncio.get_running_loop()
        turns = 0
        while True:
            while not self._waiting:
                slot.wake = loop.create_future()
                self._idle.append(slot)
                if not self._woken:
                    self._note_rest()
                await slot.wake
            self._at_rest.clear()
            turns += 1
            if turns % _YIELD_AFTER == 0:
                await asyncio.sleep(0)  # handlers that never wait must not starve the loop
                continue
            held = self._waiting.popleft()
            slot.held = held
            slot.started = time.monotonic()
            await self._work(held, slot)
            slot.held = None
