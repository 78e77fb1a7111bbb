"""What a rule remembers from one window to the next, by group, and forgets when it is stale.

Windows close in the order of their ends, so the groups that were seen longest ago are always
the first in the dict, and forgetting costs what is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Chunk = list[Any]
CHUNK_GROUPS = 2_000


class Memory(Generic[T]):
    """Remembered values by group; `started_ms` is the start of the first window closed."""

    __slots__ = ("_groups", "_new", "started_ms")

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._groups: dict[str, tuple[int, T]] = {}
        self.started_ms: int | None = None

    def __len__(self) -> int:
        return len(self._groups)

    def start(self, start_ms: int) -> int:
        """Take note of a window that closes; return the start of the first one."""
        if self.started_ms is None:
            self.started_ms = start_ms
        return self.started_ms

    def recall(self, key: str, end_ms: int) -> T:
        """Return what is remembered of a group, to be changed in place: a window closes."""
        known = self._groups.pop(key) if key in self._groups else None
        value = self._new() if known is None else known[1]
        self._groups[key] = (end_ms, value)  # now the last in the dict
        return value

    def forget(self, before_ms: int) -> None:
        """Drop the groups whose last window ended at or before a time."""
        stale = []
        for key, (end_ms, _) in self._groups.items():
            if end_ms > before_ms:
                break
            stale.append(key)
        for key in stale:
            del self._groups[key]

    def snapshot(self) -> Iterator[Chunk]:
        """Yield all in slices, plain data, in order; the first holds no group."""
        yield [self.started_ms, []]
        slice_: list[Any] = []
        for key, (end_ms, value) in self._groups.items():
            slice_.append([key, end_ms, value])
            if len(slice_) == CHUNK_GROUPS:
                yield [self.started_ms, slice_]
                slice_ = []
        if slice_:
            yield [self.started_ms, slice_]

    def restore(self, chunk: Chunk) -> None:
        """Take in one slice; they must come in order."""
        self.started_ms, groups = chunk
        for key, end_ms, value in groups:
            self._groups[key] = (end_ms, value)
