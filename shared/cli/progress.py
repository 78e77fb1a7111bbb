"""Progress for people: a bar on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.cli import terminal

_LINE_EVERY_SECONDS = 5.0


class Show(Protocol):
    """Shows how many are done, and some words."""

    def __call__(self, done: int, words: str) -> None:
        """Show that."""


@contextlib.contextmanager
def progress_line(title: str, total: float | None) -> Iterator[Show]:
    """Give a function that shows how far the work is; `total` None where nobody knows."""
    if not terminal.console.is_terminal:
        yield _lines(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=terminal.console) as progress:
        task = progress.add_task(title, total=total, words="")

        def show(done: int, words: str) -> None:
            progress.update(task, completed=done, words=words)

        yield show


def _lines(title: str, total: float | None) -> Show:
    of_total = "" if total is None else f" of {total:.0f}"
    last = time.monotonic()

    def show(done: int, words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            terminal.print_line(f"{title}: {done}{of_total}, {words}")
            sys.stdout.flush()

    return show
