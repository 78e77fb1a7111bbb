"""A program that adds nothing to a fold: the log is all that it needs."""

from __future__ import annotations

from collections.abc import Callable

from shared.log_stream.fold import Fold


class PlainProgram:
    """Runs folds that begin with nothing and are told nothing but the log."""

    def __init__(self, fold: Callable[[], Fold]) -> None:
        self._fold = fold

    def seed(self) -> str:
        """Return nothing."""
        return ""

    def fold(self, _seed: str, _partition: int) -> Fold:
        """Return a new fold."""
        return self._fold()

    def proposal(self, _: Fold, *, caught_up: bool) -> None:
        """Propose nothing."""
