"""What a worker counts. Plain numbers on the hot path; exposition reads them when asked."""

from __future__ import annotations

from bisect import bisect_left

SECONDS_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)


class QueueStats:
    """Counters of one durable in this process."""

    def __init__(self, stream: str, durable: str) -> None:
        self.stream = stream
        self.durable = durable
        self.outcomes: dict[str, int] = {"ack": 0, "retry": 0, "dead": 0}
        self.dead: dict[str, int] = {}
        self.seconds_sum = 0.0
        self.seconds_counts = [0] * (len(SECONDS_BUCKETS) + 1)

    def observe(self, outcome: str, seconds: float) -> None:
        """Count a settled delivery and how long its attempt took."""
        self.outcomes[outcome] += 1
        self.seconds_sum += seconds
        self.seconds_counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1

    def count(self, what: str) -> None:
        """Count something beside the outcomes: interrupted, stale, unparked."""
        self.outcomes[what] = self.outcomes.get(what, 0) + 1

    def count_dead(self, reason: str) -> None:
        """Count a dead letter by reason."""
        self.dead[reason] = self.dead.get(reason, 0) + 1
