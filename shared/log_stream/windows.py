"""Kinds of windows, as values: which spans of event time an event belongs to.

All are half-open, `[start, end)`, in milliseconds since the epoch, UTC. What is kept for each
window, and when it closes, is `windowed`'s business; how far time has come, `clock`'s.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Span(NamedTuple):
    """Half-open interval of event time."""

    start_ms: int
    end_ms: int


class Tumbling(Struct, frozen=True):
    """Windows of one size, side by side: each event is in exactly one.

    They are aligned to the epoch, moved by `offset_ms` (a day that begins at 06:00 UTC has an
    offset of 6 hours).
    """

    size_ms: int
    offset_ms: int = 0

    def __post_init__(self) -> None:
        _positive(self, "size_ms")
        _within(self.offset_ms, self.size_ms)

    @property
    def every_ms(self) -> int:
        """From one start to the next: the size."""
        return self.size_ms

    def starts(self, time_ms: int) -> range:
        """Return the start of the window of an event."""
        start_ms = time_ms - (time_ms - self.offset_ms) % self.size_ms
        return range(start_ms, start_ms + 1)

    def spans(self, time_ms: int) -> list[Span]:
        """Return the window of an event."""
        return [Span(start_ms, start_ms + self.size_ms) for start_ms in self.starts(time_ms)]


class Hopping(Struct, frozen=True):
    """Windows of one size, a new one `every_ms`: they overlap, an event is in several.

    Each event costs one addition a window, `size_ms / every_ms` in all.
    """

    size_ms: int
    every_ms: int
    offset_ms: int = 0

    def __post_init__(self) -> None:
        _positive(self, "size_ms", "every_ms")
        if self.every_ms > self.size_ms:
            raise ValueError("every_ms: must not exceed size_ms, or events would fall between")
        _within(self.offset_ms, self.every_ms)

    def starts(self, time_ms: int) -> range:
        """Return the starts of the windows of an event, the earliest first."""
        last_ms = time_ms - (time_ms - self.offset_ms) % self.every_ms
        earlier = (self.size_ms - 1 - (time_ms - last_ms)) // self.every_ms
        return range(last_ms - earlier * self.every_ms, last_ms + 1, self.every_ms)

    def spans(self, time_ms: int) -> list[Span]:
        """Return the windows of an event, the earliest first."""
        return [Span(start_ms, start_ms + self.size_ms) for start_ms in self.starts(time_ms)]


class Placed(Struct, frozen=True):
    """Windows of one size whose start the event's time names: for what was windowed before.

    So partial results of tumbling and of hopping windows find the window that they are of.
    """

    size_ms: int
    offset_ms: int = 0
    every_ms: int = 0

    def __post_init__(self) -> None:
        _positive(self, "size_ms")

    def starts(self, time_ms: int) -> range:
        """Return the start, which is the time itself."""
        return range(time_ms, time_ms + 1)

    def spans(self, time_ms: int) -> list[Span]:
        """Return the window that starts there."""
        return [Span(time_ms, time_ms + self.size_ms)]


class Session(Struct, frozen=True):
    """Events of a key that follow one another by less than `gap_ms`, from first to last + gap.

    An event in between merges the sessions on its two sides into one.
    """

    gap_ms: int

    def __post_init__(self) -> None:
        _positive(self, "gap_ms")

    def spans(self, time_ms: int) -> list[Span]:
        """Return the session of an event that has no neighbours."""
        return [Span(time_ms, time_ms + self.gap_ms)]


class Sliding(Struct, frozen=True):
    """The look-back at each event: the events of its key in `(time - size, time]`.

    In whole milliseconds that is the half-open `[time - size + 1, time + 1)`. It is answered at
    the event, not at a close: see `look_back`.
    """

    size_ms: int

    def __post_init__(self) -> None:
        _positive(self, "size_ms")

    def spans(self, time_ms: int) -> list[Span]:
        """Return what an event looks back on."""
        return [Span(time_ms - self.size_ms + 1, time_ms + 1)]


Windower = Tumbling | Hopping | Placed | Session
"""The kinds that close, and give their result then."""


def _positive(value: Struct, *names: str) -> None:
    for name in names:
        if getattr(value, name) <= 0:
            raise ValueError(f"{name}: must be greater than 0")


def _within(offset_ms: int, step_ms: int) -> None:
    if not 0 <= offset_ms < step_ms:
        raise ValueError(f"offset_ms: must be at least 0 and less than {step_ms}")
