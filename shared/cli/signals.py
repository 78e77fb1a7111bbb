"""Ctrl-C and SIGTERM as an event to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_on_signals(again: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
    """Give an event that the first signal sets; the second one sets `again`, if given."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def react() -> None:
        if stop.is_set() and again is not None:
            again.set()
        stop.set()

    for number in _NUMBERS:
        loop.add_signal_handler(number, react)
    try:
        yield stop
    finally:
        for number in _NUMBERS:
            loop.remove_signal_handler(number)
