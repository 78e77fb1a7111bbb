"""What windows keep, what they give out, and what all kinds of them can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

S = TypeVar("S")
V = TypeVar("V")
V_contra = TypeVar("V_contra", contravariant=True)

Chunk = list[Any]
"""Part of a snapshot: plain data, and the live states themselves; encode it before going on."""

CHUNK_WINDOWS: Final = 2_000
"""So many take a few milliseconds to encode."""


class Aggregate(Protocol[S, V_contra]):
    """What is kept for a window: plain data that msgpack encodes, never `None`.

    For results that do not depend on the order of arrival, `add` and `merge` must not either:
    `merge` is associative and commutative, and adding to one part and merging is the same as
    adding to the whole. (Floats: see `ExactSum`.)
    """

    def new(self) -> S:
        """Return the state of a window without events."""
        ...

    def add(self, state: S, value: V_contra) -> S:
        """Return the state with one more value; it may be the same object, changed."""
        ...

    def merge(self, left: S, right: S) -> S:
        """Return the state of both; it may be `left`, changed. Neither is used again."""
        ...


class Closed(Struct, Generic[S], frozen=True, gc=False):
    """Result of a window.

    `state` is the live one where lateness is allowed: read it before the next `add`. `revision`
    counts the results of a window from 0. `final` is false only for a session that was closed
    and is open again; a result with a greater revision will follow.
    """

    key: str
    start_ms: int
    end_ms: int
    state: S
    revision: int
    final: bool


class Emission(Struct, Generic[S], frozen=True):
    """What `add` has to report. For an event that was simply counted it reports nothing.

    `late`: every window of the event was closed. `counted`: at least one window took it, be it
    late. `corrected`: new revisions of results that are out. `missed`: how many windows took it
    no more. `end_ms`: end of its last window, for `Watermark.count_late`.
    """

    late: bool
    counted: bool
    corrected: tuple[Closed[S], ...]
    missed: int
    end_ms: int


class Windowed(Protocol[S, V_contra]):
    """Windows of all keys of a partition."""

    @property
    def due_ms(self) -> int:
        """Least watermark at which `close` has something to do."""
        ...

    @property
    def open_windows(self) -> int:
        """How many windows are open, over all keys."""
        ...

    def add(self, key: str, time_ms: int, value: V_contra, watermark_ms: int) -> Emission[S] | None:
        """Count an event; `None` says that all its windows were open and took it.

        Raises `RuntimeError` if it finds that `close` is overdue for this watermark: what is
        corrected would depend on how the caller cuts its batches.
        """
        ...

    def close(self, watermark_ms: int) -> list[Closed[S]]:
        """Close what ends at or before the watermark; in the order of end, start, key.

        Costs what is closed, not what is open.
        """
        ...

    def snapshot(self, chunk_windows: int = CHUNK_WINDOWS) -> Iterator[Chunk]:
        """Yield the state in slices of so many windows; add and close nothing meanwhile."""
        ...

    def restore(self, chunk: Chunk) -> None:
        """Take in one chunk of a snapshot, of the same windower and aggregate."""
        ...
