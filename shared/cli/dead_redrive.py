"""Redrive from the command line: ask, send one by one at a rate, say what became of each."""

from __future__ import annotations

import asyncio
import sys
import time

import typer
from msgspec import Struct, structs
from nats.aio.client import Client

from shared.cli import dead_view, terminal
from shared.cli.progress import progress_line
from shared.dead_letters import Selection, read
from shared.letters import DeadLetter
from shared.work_queue.redrive import RedriveRefusedError
from shared.work_queue.redrive import redrive as send_back


class How(Struct, frozen=True):
    """How to redrive: `rate` in letters a second, None for as fast as the server takes them."""

    dry_run: bool = False
    rate: float | None = None
    ask: bool = True
    keep: bool = False


class Pace:
    """Lets its caller through `rate` times a second; without a rate, at once."""

    def __init__(self, rate: float | None) -> None:
        self._seconds_each = 0.0 if rate is None else 1.0 / rate
        self._next = time.monotonic()

    async def wait(self) -> None:
        """Return when the next one is due."""
        await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        self._next = max(self._next, time.monotonic() - self._seconds_each) + self._seconds_each


async def redrive(selection: Selection, how: How) -> int:
    """Redrive what is selected; return the exit code."""
    async with terminal.broker_client() as client:
        # What is parked from here on, jobs that die again among it, is not part of this run.
        chosen = [letter.sequence async for letter in read(client, selection, bodies=False)]
        if not chosen:
            terminal.console.print("no dead letters")
            return 0
        selection = structs.replace(selection, up_to=chosen[-1])
        if how.dry_run:
            return await _show(client, selection)
        if how.ask and not _confirmed(len(chosen)):
            return terminal.FAILED
        return await _send(client, selection, how, len(chosen))


async def _show(client: Client, selection: Selection) -> int:
    table = dead_view.table()
    async for letter in read(client, selection, bodies=False):
        dead_view.add(table, letter)
    terminal.console.print(table)
    terminal.console.print(f"would redrive {table.row_count}; nothing was sent (--dry-run)")
    return 0


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise terminal.failed(
            f"{count} dead letters would be sent back; confirm with --yes, look with --dry-run",
            code=terminal.WRONG_USE,
        )
    return typer.confirm(f"Send {count} dead letters back?")


async def _send(client: Client, selection: Selection, how: How, count: int) -> int:
    pace = Pace(how.rate)
    sent = 0
    letter: DeadLetter | None = None
    try:
        with progress_line("redrive", count) as show:
            async for letter in read(client, selection):
                await pace.wait()
                ack = await send_back(client, letter, keep=how.keep)
                sent += 1
                if terminal.console.is_terminal:
                    show(sent, "")
                else:
                    terminal.print_line(f"{letter.sequence} -> {ack.stream}:{ack.sequence}")
    except RedriveRefusedError as error:
        at = 0 if letter is None else letter.sequence
        raise terminal.failed(
            f"dead letter {at} was refused: {error}. {_summary(sent, how)}; dead letter {at} and "
            f"{max(0, count - sent - 1)} more stay where they are"
        ) from error
    except asyncio.CancelledError:
        terminal.errors.print(f"interrupted. {_summary(sent, how)} of {count}")
        raise
    terminal.console.print(_summary(sent, how))
    return 0


def _summary(sent: int, how: How) -> str:
    return f"redriven {sent}" + (" (letters kept)" if how.keep else "")
