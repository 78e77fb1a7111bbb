"""What the detector runs on each partition, and how changed rules get into its log.

A change is appended wherever the partition stands, without a fence: entries carry the revision
that they have in the bucket, so one that comes twice or too late changes nothing.
"""

from __future__ import annotations

from typing import Final

from services.fraud_detector.fold import RULES, FraudFold
from services.fraud_detector.rule_book import Change, encoded
from services.fraud_detector.rule_bucket import RuleBucket
from services.fraud_detector.scope import Scope
from shared.log_stream.fold import CONTROL, Fold, Proposal

MOST_SEED_BYTES: Final = 32_000
"""The position record carries the seed, and is written with each commit."""

MOST_CHANGE_BYTES: Final = 500_000


class FraudProgram:
    """Folds payments by the rules of a bucket; one for each stage."""

    def __init__(self, bucket: RuleBucket, scope: Scope) -> None:
        self._bucket = bucket
        self._scope = scope

    def seed(self) -> str:
        """Return the rules that a new partition begins with; too many come as a change instead."""
        seed = encoded(self._bucket.known)
        return seed.decode() if len(seed) <= MOST_SEED_BYTES else ""

    def fold(self, seed: str, partition: int) -> FraudFold:
        """Return the fold of a partition that began with these rules."""
        return FraudFold(seed, self._scope, partition)

    def proposal(self, fold: Fold, *, caught_up: bool) -> Proposal | None:  # noqa: ARG002 - see above
        """Return what the bucket holds that the fold does not know yet."""
        if not isinstance(fold, FraudFold):
            return None
        news = fold.book.lacks(self._bucket.known)
        if news is None:
            return None
        return Proposal(RULES.removeprefix(CONTROL), encoded(_some(news)), fenced=False)


def _some(news: Change) -> Change:
    """Return as much as a message holds, the oldest revisions first; the rest follows."""
    size, count = 0, 0
    for entry in news.entries:
        size += len(entry.text or "") + len(entry.key) + 100
        if count and size > MOST_CHANGE_BYTES:
            break
        count += 1
    return Change(news.entries[:count], news.bucket)
