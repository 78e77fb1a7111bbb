"""Tumbling and hopping windows: their ends are known beforehand, so they are filed by end."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from typing import Generic

from shared.log_stream.clock import FOREVER
from shared.log_stream.window_results import (
    CHUNK_WINDOWS,
    Aggregate,
    Chunk,
    Closed,
    Emission,
    S,
    V,
)
from shared.log_stream.windows import Hopping, Placed, Tumbling


class FixedWindows(Generic[S, V]):
    """`Windowed` for tumbling and hopping windows.

    A window closes when the watermark reaches its end. With `allowed_lateness_ms` it is kept
    until the watermark has reached its end plus that; a late event then gives a new revision at
    once (revision 0 where the key had no event in time).
    """

    def __init__(
        self,
        windower: Tumbling | Hopping | Placed,
        aggregate: Aggregate[S, V],
        allowed_lateness_ms: int = 0,
    ) -> None:
        if allowed_lateness_ms < 0:
            raise ValueError("allowed_lateness_ms: must not be negative")
        self.due_ms = FOREVER
        self.open_windows = 0
        self._windower = windower
        self._size_ms = windower.size_ms
        self._offset_ms = windower.offset_ms
        self._single = windower.every_ms == windower.size_ms
        self._new = aggregate.new
        self._add = aggregate.add
        self._allowed_ms = allowed_lateness_ms
        self._open: dict[int, dict[str, S]] = {}
        self._open_ends: list[int] = []
        self._kept: dict[int, tuple[dict[str, S], dict[str, int]]] = {}  # revisions above 0
        self._kept_ends: list[int] = []

    def add(self, key: str, time_ms: int, value: V, watermark_ms: int) -> Emission[S] | None:
        """Count an event, in each of its windows."""
        if not self._single:
            return self._add_to_each(key, time_ms, value, watermark_ms)
        size_ms = self._size_ms
        end_ms = time_ms - (time_ms - self._offset_ms) % size_ms + size_ms
        if end_ms <= watermark_ms:
            return self._add_to_each(key, time_ms, value, watermark_ms)
        # The one path that nearly every event takes: written out, it allocates nothing.
        states = self._open.get(end_ms)
        if states is None:
            states = self._begin(end_ms)
        state = states.get(key)
        if state is None:
            state = self._new()
            self.open_windows += 1
        states[key] = self._add(state, value)
        return None

    def close(self, watermark_ms: int) -> list[Closed[S]]:
        """Close what ends at or before the watermark; in the order of end, start, key."""
        closed: list[Closed[S]] = []
        while self._open_ends and self._open_ends[0] <= watermark_ms:
            end_ms = heappop(self._open_ends)
            states = self._open.pop(end_ms)
            start_ms = end_ms - self._size_ms
            closed += [
                Closed(key, start_ms, end_ms, states[key], 0, True)  # noqa: FBT003 - the hot loop: keywords cost a third more
                for key in sorted(states)
            ]
            self.open_windows -= len(states)
            if watermark_ms < end_ms + self._allowed_ms:
                self._kept[end_ms] = (states, {})
                heappush(self._kept_ends, end_ms)
        while self._kept_ends and self._kept_ends[0] + self._allowed_ms <= watermark_ms:
            del self._kept[heappop(self._kept_ends)]
        self._look_ahead()
        return closed

    def snapshot(self, chunk_windows: int = CHUNK_WINDOWS) -> Iterator[Chunk]:
        """Yield rows `[end, {key: state}]` of open, `[end, {key: state}, {key: revision}]` of kept.

        Only revisions above 0 are named.
        """
        chunk: Chunk = []
        room = chunk_windows
        for end_ms, states, revisions in self._filed():
            items = iter(states.items())
            while part := dict(islice(items, room)):
                row: list[object] = [end_ms, part]
                if revisions is not None:
                    row.append({key: revisions[key] for key in part if key in revisions})
                chunk.append(row)
                room -= len(part)
                if not room:
                    yield chunk
                    chunk, room = [], chunk_windows
        if chunk:
            yield chunk

    def restore(self, chunk: Chunk) -> None:
        """Take in one chunk of a snapshot."""
        for end_ms, part, *kept in chunk:
            if kept:
                states, revisions = self._kept.get(end_ms) or self._keep(end_ms)
                revisions.update(kept[0])
            else:
                states = self._open.get(end_ms) or self._begin(end_ms)
                self.open_windows += len(part)
            states.update(part)
        self._look_ahead()

    def _filed(self) -> Iterator[tuple[int, dict[str, S], dict[str, int] | None]]:
        for end_ms, states in self._open.items():
            yield end_ms, states, None
        for end_ms, (states, revisions) in self._kept.items():
            yield end_ms, states, revisions

    def _add_to_each(
        self, key: str, time_ms: int, value: V, watermark_ms: int
    ) -> Emission[S] | None:
        corrected: list[Closed[S]] = []
        missed = 0
        end_ms = 0
        starts = self._windower.starts(time_ms)
        for start_ms in starts:
            end_ms = start_ms + self._size_ms
            if end_ms > watermark_ms:
                self._count(key, end_ms, value)
            elif watermark_ms >= self.due_ms:
                raise RuntimeError(f"close({watermark_ms}) is overdue: {self.due_ms} was due")
            elif end_ms + self._allowed_ms > watermark_ms:
                corrected.append(self._correct(key, end_ms, value))
            else:
                missed += 1
        if not corrected and not missed:
            return None
        return Emission(
            late=end_ms <= watermark_ms,
            counted=missed < len(starts),
            corrected=tuple(corrected),
            missed=missed,
            end_ms=end_ms,
        )

    def _count(self, key: str, end_ms: int, value: V) -> None:
        states = self._open.get(end_ms)
        if states is None:
            states = self._begin(end_ms)
        state = states.get(key)
        if state is None:
            state = self._new()
            self.open_windows += 1
        states[key] = self._add(state, value)

    def _correct(self, key: str, end_ms: int, value: V) -> Closed[S]:
        states, revisions = self._kept.get(end_ms) or self._keep(end_ms)
        state = states.get(key)
        revision = 0
        if state is None:
            state = self._new()
        else:
            revision = revisions[key] = revisions.get(key, 0) + 1
        states[key] = state = self._add(state, value)
        return Closed(key, end_ms - self._size_ms, end_ms, state, revision, final=True)

    def _begin(self, end_ms: int) -> dict[str, S]:
        states: dict[str, S] = {}
        self._open[end_ms] = states
        heappush(self._open_ends, end_ms)
        self.due_ms = min(self.due_ms, end_ms)
        return states

    def _keep(self, end_ms: int) -> tuple[dict[str, S], dict[str, int]]:
        kept: tuple[dict[str, S], dict[str, int]] = ({}, {})
        self._kept[end_ms] = kept
        heappush(self._kept_ends, end_ms)
        self.due_ms = min(self.due_ms, end_ms + self._allowed_ms)
        return kept

    def _look_ahead(self) -> None:
        close_ms = self._open_ends[0] if self._open_ends else FOREVER
        drop_ms = self._kept_ends[0] + self._allowed_ms if self._kept_ends else FOREVER
        self.due_ms = min(close_ms, drop_ms)
