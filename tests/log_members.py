"""Members of a log stage as real processes that come and go (`python -m tests.log_rig`)."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.server import die_with_parent


class MemberProcess(Struct, frozen=True):
    """One member; its log lines are in a file of its own."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this event; whatever is no JSON is left out."""
        lines = [line for line in self.log.read_text("utf-8").splitlines() if line[:1] == "{"]
        return [said for said in map(json.loads, lines) if said["event"] == event]


class Members:
    """Starts members m1, m2, ...; `policy` are fields of `LogPolicy`, other than the rig's."""

    def __init__(
        self, url: str, name: str, logs: Path, fold: str = "counting", **policy: float
    ) -> None:
        self._arguments = ("-m", "tests.log_rig", url, name)
        self._how = (fold, *(f"{field}={value}" for field, value in policy.items()))
        self._logs = logs
        self._count = 0
        self.running: list[MemberProcess] = []

    async def spawn(self) -> MemberProcess:
        self._count += 1
        name = f"m{self._count}"
        path = self._logs / f"{name}.log"
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                name,
                *self._how,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        assert process.stdout is not None
        await process.stdout.readline()  # it hears signals from now on
        member = MemberProcess(name, process, path)
        self.running.append(member)
        return member

    async def end(self, member: MemberProcess, number: signal.Signals) -> int:
        self.running.remove(member)
        member.send(number)
        return await member.process.wait()

    async def end_all(self) -> list[int]:
        return [await self.end(member, signal.SIGTERM) for member in list(self.running)]

    def named(self, name: str) -> MemberProcess:
        return next(member for member in self.running if member.name == name)
