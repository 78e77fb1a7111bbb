"""Session windows: the sessions of a key lie side by side, sorted, and merge as events come."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
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
from shared.log_stream.windows import Session


class SessionWindows(Generic[S, V]):
    """`Windowed` for sessions.

    The sessions of a key never overlap, closed ones neither: an event that touches a closed
    session belongs to it, and is late. Within `allowed_lateness_ms` after the session's end it
    still joins, and so the session may grow, merge with others, and even be open again. A new
    revision is emitted at once; it is one more than the greatest of those that went into it,
    and *replaces every earlier result of the key that it overlaps*. If the session is open
    again, that revision is not final, and another follows at its close.

    To know what an event touches, a closed session is kept for twice the gap (one event can make
    a session late, the next one join it to what lies a gap before) plus allowed lateness, and
    longer where one event could join it to the next session.
    """

    def __init__(
        self, windower: Session, aggregate: Aggregate[S, V], allowed_lateness_ms: int = 0
    ) -> None:
        if allowed_lateness_ms < 0:
            raise ValueError("allowed_lateness_ms: must not be negative")
        self.due_ms = FOREVER
        self.open_windows = 0
        self._gap_ms = windower.gap_ms
        self._aggregate = aggregate
        self._allowed_ms = allowed_lateness_ms
        self._keep_ms = 2 * windower.gap_ms + allowed_lateness_ms
        self._sessions: dict[str, list[_Session[S]]] = {}
        self._due: dict[str, int] = {}
        self._queue: dict[int, list[str]] = {}
        self._queue_times: list[int] = []

    def add(self, key: str, time_ms: int, value: V, watermark_ms: int) -> Emission[S] | None:
        """Count an event in its session, and merge those that it joins."""
        if watermark_ms >= self.due_ms:
            raise RuntimeError(f"close({watermark_ms}) is overdue: {self.due_ms} was due")
        sessions = self._sessions.get(key)
        if sessions is None:
            sessions = self._sessions[key] = []
        elif sessions[-1].start_ms <= time_ms < sessions[-1].end_ms and not sessions[-1].closed:
            last = sessions[-1]
            last.state = self._aggregate.add(last.state, value)
            end_ms = time_ms + self._gap_ms
            if end_ms > last.end_ms:  # noqa: PLR1730 - once an event: max() costs twice that
                last.end_ms = end_ms
            return None
        emission = self._join(key, time_ms, value, watermark_ms)
        if not sessions:
            del self._sessions[key]
        return emission

    def close(self, watermark_ms: int) -> list[Closed[S]]:
        """Close what ends at or before the watermark; in the order of end, start, key."""
        closed: list[Closed[S]] = []
        while self._queue_times and self._queue_times[0] <= watermark_ms:
            due_ms = heappop(self._queue_times)
            for key in self._queue.pop(due_ms):
                if self._due.get(key) == due_ms:  # else it was queued again, for earlier
                    closed += self._advance(key, watermark_ms)
        closed.sort(key=lambda window: (window.end_ms, window.start_ms, window.key))
        self.due_ms = self._queue_times[0] if self._queue_times else FOREVER
        return closed

    def snapshot(self, chunk_windows: int = CHUNK_WINDOWS) -> Iterator[Chunk]:
        """Yield rows `[key, [[start, end, state, revision, closed], ...]]`.

        A chunk has more sessions than asked for only where one key has.
        """
        chunk: Chunk = []
        count = 0
        for key, sessions in self._sessions.items():
            if chunk and count + len(sessions) > chunk_windows:
                yield chunk
                chunk, count = [], 0
            chunk.append([key, [session.row() for session in sessions]])
            count += len(sessions)
        if chunk:
            yield chunk

    def restore(self, chunk: Chunk) -> None:
        """Take in one chunk of a snapshot."""
        for key, rows in chunk:
            sessions = self._sessions[key] = [_Session(*row) for row in rows]
            self.open_windows += sum(not session.closed for session in sessions)
            self._queue_again(key, min(self._dues(sessions)))

    def _join(self, key: str, time_ms: int, value: V, watermark_ms: int) -> Emission[S] | None:
        sessions = self._sessions[key]
        low, high = _touched(sessions, time_ms, time_ms + self._gap_ms)
        touched = sessions[low:high]
        start_ms, end_ms, revision = time_ms, time_ms + self._gap_ms, -1
        for session in touched:
            start_ms = min(start_ms, session.start_ms)
            end_ms = max(end_ms, session.end_ms)
            revision = max(revision, session.revision)
        closed = end_ms <= watermark_ms
        done = [session.end_ms for session in touched if session.closed]
        for gone_ms in [*done, end_ms] if closed else done:
            if gone_ms + self._allowed_ms <= watermark_ms:
                return Emission(late=True, counted=False, corrected=(), missed=1, end_ms=gone_ms)

        session = _Session(start_ms, end_ms, self._merged(touched, value), revision, closed)
        sessions[low:high] = [session]
        self.open_windows += (not closed) - (len(touched) - len(done))
        self._queue_again(key, self._due_of(session))
        if not done and not closed:
            return None
        corrected = (session.result(key),)
        return Emission(late=closed, counted=True, corrected=corrected, missed=0, end_ms=end_ms)

    def _merged(self, touched: list[_Session[S]], value: V) -> S:
        if not touched:
            return self._aggregate.add(self._aggregate.new(), value)
        state = touched[0].state
        for session in touched[1:]:
            state = self._aggregate.merge(state, session.state)
        return self._aggregate.add(state, value)

    def _advance(self, key: str, watermark_ms: int) -> Iterator[Closed[S]]:
        """Close and drop what is due of a key; ends ascend, so what is closed comes first."""
        sessions = self._sessions[key]
        for session in sessions:
            if session.end_ms > watermark_ms:
                break
            if not session.closed:
                session.closed = True
                self.open_windows -= 1
                yield session.result(key)
        dues = self._dues(sessions)
        self._sessions[key] = [
            session for session, due_ms in zip(sessions, dues, strict=True) if due_ms > watermark_ms
        ]
        del self._due[key]
        if self._sessions[key]:
            self._queue_again(key, min(due_ms for due_ms in dues if due_ms > watermark_ms))
        else:
            del self._sessions[key]

    def _dues(self, sessions: list[_Session[S]]) -> list[int]:
        """Return when each is to be looked at, to be closed or dropped.

        A closed one stays while the next stays that one event could join to it: dropped, it
        would be forgotten that such an event touches what is closed.
        """
        dues: list[int] = []
        next_start_ms, next_due_ms = FOREVER, FOREVER
        for session in reversed(sessions):
            due_ms = self._due_of(session)
            if session.closed and next_start_ms < session.end_ms + self._gap_ms:
                due_ms = max(due_ms, next_due_ms)
            dues.append(due_ms)
            next_start_ms, next_due_ms = session.start_ms, due_ms
        dues.reverse()
        return dues

    def _due_of(self, session: _Session[S]) -> int:
        return session.end_ms + self._keep_ms if session.closed else session.end_ms

    def _queue_again(self, key: str, due_ms: int) -> None:
        """See to it that the key is looked at by then; being looked at earlier does no harm.

        So a session that grows stays queued for its first end, and each event costs nothing.
        """
        if due_ms < self._due.get(key, FOREVER):
            self._due[key] = due_ms
            if due_ms not in self._queue:
                self._queue[due_ms] = []
                heappush(self._queue_times, due_ms)
                self.due_ms = min(self.due_ms, due_ms)
            self._queue[due_ms].append(key)


class _Session(Generic[S]):
    """Session of a key; `revision` is that of its newest result, -1 when there is none."""

    __slots__ = ("closed", "end_ms", "revision", "start_ms", "state")

    def __init__(
        self,
        start_ms: int,
        end_ms: int,
        state: S,
        revision: int,
        closed: bool,  # noqa: FBT001 - a row of a snapshot
    ) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.state = state
        self.revision = revision
        self.closed = closed

    def row(self) -> list[object]:
        """Return the session as plain data."""
        return [self.start_ms, self.end_ms, self.state, self.revision, self.closed]

    def result(self, key: str) -> Closed[S]:
        """Return the next result, which from now on is the newest."""
        self.revision += 1
        return Closed(key, self.start_ms, self.end_ms, self.state, self.revision, final=self.closed)


def _touched(sessions: list[_Session[S]], start_ms: int, end_ms: int) -> tuple[int, int]:
    """Return the slice that overlaps; sought from the end, where events mostly belong."""
    high = len(sessions)
    while high and sessions[high - 1].start_ms >= end_ms:
        high -= 1
    low = high
    while low and sessions[low - 1].end_ms > start_ms:
        low -= 1
    return low, high
