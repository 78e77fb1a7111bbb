"""How far event time has come: the watermark of one partition. Pure: no clock is read here.

Event times are whole milliseconds since the epoch, UTC. Arrival times are nanoseconds, as the
server stamps them. Both come out of the log, so a replay sees the very same watermark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

NEVER: Final = -(1 << 62)
"""Before every event time: the watermark of a partition that has seen no event."""

FOREVER: Final = 1 << 62
"""After every event time."""

LateCause = Literal["order", "tick"]


def too_far_ahead(time_ms: int, arrival_ns: int, allowed_skew_ms: int) -> bool:
    """Tell whether an event claims to have happened later than its arrival can excuse.

    Such an event must not be observed: it would make all that follow it late.
    """
    return time_ms > arrival_ns // 1_000_000 + allowed_skew_ms


class Watermark:
    """Greatest event time seen minus grace; it never goes back.

    `value_ms` is the watermark, `NEVER` before the first event. An event at `value_ms` or
    later is always in time; an earlier one is late once all its windows are closed.

    A watermark is the same for every grace but for the difference. So where many rules with
    graces of their own share a partition, one `Watermark(0)` is enough: subtract each grace
    from `value_ms`, and add it to the end that is handed to `count_late`.
    """

    __slots__ = ("arrival_ns", "grace_ms", "greatest_ms", "late", "late_after_tick", "value_ms")

    def __init__(self, grace_ms: int) -> None:
        if grace_ms < 0:
            raise ValueError("grace_ms: must not be negative")
        self.grace_ms = grace_ms
        self.value_ms = NEVER
        self.greatest_ms = NEVER
        self.arrival_ns = 0
        self.late = 0
        self.late_after_tick = 0

    def observe(self, time_ms: int, arrival_ns: int) -> None:
        """Take in an event: its own time, and when it arrived."""
        self.arrival_ns = arrival_ns
        if time_ms > self.greatest_ms:
            self.greatest_ms = time_ms
            value_ms = time_ms - self.grace_ms
            if value_ms > self.value_ms:  # noqa: PLR1730 - once an event: max() costs twice that
                self.value_ms = value_ms

    def tick(self, arrival_ns: int, observed_idle_ms: int) -> None:
        """Take in a tick, which says that the partition has been idle.

        Event time is taken to have gone on at the data's own pace since the last event, for the
        shorter of what the log shows (from that event's arrival to the tick's) and what the
        tick's writer observed while it was connected. So data that runs an hour behind loses
        no more than the pause, and an outage of the broker is no idleness.
        """
        if self.greatest_ms == NEVER:
            return
        idle_ms = min((arrival_ns - self.arrival_ns) // 1_000_000, observed_idle_ms)
        self.value_ms = max(self.value_ms, self.greatest_ms + idle_ms - self.grace_ms)

    def follow(self, value_ms: int) -> None:
        """Move on to a watermark that is known elsewhere; what is earlier is late from now on."""
        self.value_ms = max(self.value_ms, value_ms)

    def is_closed(self, window_end_ms: int) -> bool:
        """Tell whether a window with this (exclusive) end is closed."""
        return window_end_ms <= self.value_ms

    def count_late(self, window_end_ms: int) -> LateCause:
        """Count an event whose last window ended at `window_end_ms`, and say why it is late.

        `order`: it came later than grace allows, in `late`. `tick`: it would have been in time
        had no tick moved the watermark, in `late_after_tick`; a longer idle time cures that.
        """
        if window_end_ms <= self.greatest_ms - self.grace_ms:
            self.late += 1
            return "order"
        self.late_after_tick += 1
        return "tick"

    def snapshot(self) -> list[int]:
        """Return all that changes, as plain data."""
        return [
            self.value_ms,
            self.greatest_ms,
            self.arrival_ns,
            self.late,
            self.late_after_tick,
        ]

    def restore(self, state: Sequence[int]) -> None:
        """Continue where `snapshot` was taken."""
        self.value_ms, self.greatest_ms, self.arrival_ns, self.late, self.late_after_tick = state
