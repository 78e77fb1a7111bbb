"""Which payments a sliding window holds: those of so many buckets of time, the last one open.

| window | bucket |
|---|---|
| up to 1 minute | 1 ms |
| up to 1 hour | 1 s |
| up to 1 day | 1 minute |
| up to 7 days | 10 minutes |
| up to 30 days | 1 hour |

A payment at `t` sees those of its key in the buckets `t // b - ceil(w / b) + 1` to `t // b` that
were taken in before it, and itself. Where a bucket is 1 ms that is exactly `(t - w, t]`.

Payments may come out of order. A key's state reaches back over its window and, for those that
come late, as far again, at most an hour: a payment that is older than its key's newest by no
more than that sees all of its window. Of what lies further back it sees what is still there;
one that is older than all that is remembered sees itself and is not remembered.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_BUCKETS: Final = (
    (60_000, 1),
    (3_600_000, 1_000),
    (86_400_000, 60_000),
    (7 * 86_400_000, 600_000),
)
_COARSEST_MS: Final = 3_600_000
_MOST_LATE_MS: Final = 3_600_000


class Frame(Struct, frozen=True, gc=False):
    """A window of `buckets` buckets of `bucket_ms`; the state reaches back over `reach` buckets."""

    bucket_ms: int
    buckets: int
    reach: int

    @property
    def memory_ms(self) -> int:
        """How far back from a payment the state reaches."""
        return (self.reach + 1) * self.bucket_ms

    def window(self, time_ms: int) -> tuple[int, int]:
        """Return the first and last instant that count for a payment at `time_ms`."""
        first = time_ms // self.bucket_ms - self.buckets + 1
        return max(first * self.bucket_ms, 0), time_ms


def frame(window_ms: int) -> Frame:
    """Return how a window is kept."""
    bucket_ms = next((size for most, size in _BUCKETS if window_ms <= most), _COARSEST_MS)
    buckets = -(-window_ms // bucket_ms)
    late = -(-min(window_ms, _MOST_LATE_MS) // bucket_ms)
    return Frame(bucket_ms, buckets, buckets + late)
