"""A fold with real windows, for tests: one event may fill, and one may close, very many.

`{"at": ms, "first": n, "count": n}` counts one each in the windows of keys `first` and on;
`{"echo": true}` is answered at once, `{"work": seconds}` after so much CPU time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from shared.log_stream.clock import Watermark
from shared.log_stream.fold import Event, Output
from shared.log_stream.windowed import windowed
from shared.log_stream.windows import Tumbling

SIZE_MS = 60_000


class Sum:
    """The aggregate: how many."""

    def new(self) -> int:
        return 0

    def add(self, state: int, value: int) -> int:
        return state + value

    def merge(self, left: int, right: int) -> int:
        return left + right


class Windowing:
    """One-minute windows without grace."""

    schema = 1

    def __init__(self, name: str) -> None:
        self._name = name
        self._watermark = Watermark(0)
        self._windows = windowed(Tumbling(SIZE_MS), Sum())

    def apply(self, event: Event) -> Sequence[Output]:
        kind, _, key = event.subject.partition(".")
        if kind == "control":
            return ()
        body: dict[str, Any] = json.loads(event.data)
        if "echo" in body:
            return (Output(f"out.{self._name}.echo.{key}", event.data),)
        if "work" in body:
            end = time.thread_time() + body["work"]
            while time.thread_time() < end:
                pass
            return (Output(f"out.{self._name}.work.{key}", event.data),)
        at_ms = body["at"]
        self._watermark.observe(at_ms, event.arrival_ns)
        emitted = [
            Output(
                f"out.{self._name}.window",
                msgspec.json.encode([closed.key, closed.start_ms, closed.state]),
            )
            for closed in self._windows.close(self._watermark.value_ms)
        ]
        for n in range(body["first"], body["first"] + body["count"]):
            self._windows.add(f"{n:07}", at_ms, 1, self._watermark.value_ms)
        return emitted

    def open_windows(self) -> int:
        return 0  # no ticks: only events close windows here

    def keys(self) -> int:
        return self._windows.open_windows

    def numbers(self) -> dict[str, float]:
        return {"open": float(self._windows.open_windows)}

    def snapshot(self) -> Iterator[object]:
        yield self._watermark.snapshot()
        yield from self._windows.snapshot()

    def restore(self, pieces: Iterable[bytes]) -> None:
        watermark, *chunks = map(msgspec.msgpack.decode, pieces)
        self._watermark.restore(watermark)
        for chunk in chunks:
            self._windows.restore(chunk)
