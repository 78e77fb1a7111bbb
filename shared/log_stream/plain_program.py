"""A program that adds nothing to a fold: the log is all that it needs."""

from __future__ import annotations

from collections.abc import Callable

from shared.log_stream.fold import Fold


class PlainProgram:
    """Runs folds that are told nothing but the log.

    `fold` makes that of a partition, from the seed in its record, which is empty where this
    program has begun it.
    """

    def __init__(self, fold: Callable[[str, int], Fold]) -> None:
        self._fold = fold

    def seed(self) -> str:
        """Return nothing."""
        return ""

    def fold(self, seed: str, partition: int) -> Fold:
        """Return a new fold for a partition."""
        return self._fold(seed, partition)

    def proposal(self, _: Fold, *, caught_up: bool) -> None:
        """Propose nothing."""
