"""What keys have done lately: exact counts and sums over windows of event time.

Time is cut into buckets, numbered from the epoch; a window is a range of whole buckets. A key
keeps one entry for each bucket in which something happened, with counts and sums from its
beginning on, so that a window is the difference of two entries. All numbers are integers, so
nothing depends on the order in which it came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

_LEAST_PRUNED: Final = 16
"""So many old entries go at once: one by one would move the others each time."""

_MOST_DROPPED: Final = 4
"""So many idle keys go at most with one payment, which brings one new key at most."""

_PIECE_NUMBERS: Final = 30_000
"""Numbers in one piece of a snapshot, more by one key's at most: encoded in about 2 ms."""

_MOST_ENCODED: Final = 2**63


class History(Struct, gc=False, eq=False):
    """Entries of one key, by bucket, oldest first.

    `counts[n]` and `sums[n]` are of all that happened before the n-th entry, so each has one
    number more than `buckets`. `used`: the newest hour of the store when the key was last used.
    """

    buckets: list[int]
    counts: list[int]
    sums: list[int]
    used: int = 0

    def add(self, bucket: int, count: int, value: int, lowest: int) -> None:
        """Add to a bucket, be it an old one; forget those up to `lowest`, once they are many."""
        buckets, counts, sums = self.buckets, self.counts, self.sums
        if not buckets or buckets[-1] < bucket:
            buckets.append(bucket)
            counts.append(counts[-1] + count)
            sums.append(sums[-1] + value)
            if len(buckets) > _LEAST_PRUNED and buckets[_LEAST_PRUNED] <= lowest:
                old = bisect_right(buckets, lowest)
                del buckets[:old], counts[:old], sums[:old]
            return
        place = bisect_right(buckets, bucket)
        if not place or buckets[place - 1] != bucket:
            buckets.insert(place, bucket)
            place += 1
            counts.insert(place, counts[place - 1])
            sums.insert(place, sums[place - 1])
        for later in range(place, len(counts)):
            counts[later] += count
            sums[later] += value

    def windows(
        self, bucket: int, widths: tuple[int, int, int], lowest: int
    ) -> tuple[int, int, int, int]:
        """Return where windows begin that end with a bucket, and where they end.

        Widths go from the shortest to the longest. What is not beyond `lowest` is in no window.
        """
        buckets = self.buckets
        short, middle, long = widths
        end = bisect_right(buckets, bucket)
        if bucket - long < lowest:
            first = bisect_right(buckets, lowest, 0, end)
        else:
            first = bisect_right(buckets, bucket - long, 0, end)
        second = bisect_right(buckets, bucket - middle, first, end)
        return bisect_right(buckets, bucket - short, second, end), second, first, end


class Histories:
    """Histories by key; those that were not used for long are dropped."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, History] = OrderedDict()
        """Longest unused first."""

    def __len__(self) -> int:
        return len(self._keys)

    def entries(self) -> int:
        """Return how many entries all keys have, counting each."""
        return sum(len(history.buckets) for history in self._keys.values())

    def find(self, key: str) -> History | None:
        """Return a key's history, if there is one; that is no use of it."""
        return self._keys.get(key)

    def use(self, key: str, newest: int) -> History:
        """Return a key's history, a new one if need be; `newest` is the newest hour so far."""
        history = self._keys.get(key)
        if history is None:
            history = self._keys[key] = History([], [0], [0])
        else:
            self._keys.move_to_end(key)
        history.used = newest
        return history

    def drop(self, lowest: int) -> bool:
        """Drop keys last used in hour `lowest` or earlier, a few; return whether more may be."""
        keys = self._keys
        for _ in range(_MOST_DROPPED):
            key = next(iter(keys), None)
            if key is None or keys[key].used > lowest:
                return False
            del keys[key]
        return True

    def snapshot(self) -> Iterator[list[Any]]:
        """Yield all keys, in slices."""
        rows: list[Any] = []
        numbers = 0
        for key, history in self._keys.items():
            sums: list[Any] = history.sums
            if sums[-1] >= _MOST_ENCODED:  # msgpack has no greater integers
                sums = [str(total) for total in sums]
            rows.append([key, history.buckets, history.counts, sums, history.used])
            numbers += 3 * len(sums)
            if numbers >= _PIECE_NUMBERS:
                yield rows
                rows, numbers = [], 0
        yield rows

    def restore(self, rows: list[Any]) -> None:
        """Add the keys of one slice."""
        for key, buckets, counts, sums, used in rows:
            self._keys[key] = History(buckets, counts, [int(total) for total in sums], used)
