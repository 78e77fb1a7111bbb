"""How members of a log service work, and what they count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from shared.log_stream.commit import Committer
    from shared.log_stream.fold import Fold


class LogPolicy(Struct, frozen=True):
    """Values of one member; a lease that is not renewed in `lease_seconds` is void."""

    lease_seconds: Annotated[float, Meta(ge=1)] = 2.0
    snapshot_least_events: Annotated[int, Meta(ge=1)] = 20_000
    idle_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """After so long without an event open windows are moved on by a tick."""
    position_seconds: Annotated[float, Meta(gt=0)] = 5.0
    """So far apart an owner writes where it stands, though nothing came out."""
    upkeep_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """So often a partition looks whether its log is about to drop what a restore would need; a
    log should keep events for several times that."""
    batch_parser: bool = True
    """Read past nats-py's message queue (`frames`) where its version allows."""


def _no_end() -> None:
    return None


class StoppedError(Exception):
    """The member gives the partition up; says why."""


class Ownership(Struct, frozen=True):
    """For whom a partition runs, as long as `lease_valid` says so, and how far."""

    owner: str
    lease_valid: Callable[[], bool]
    until: Callable[[], int | None] = _no_end
    """The event after which it ends by itself, 0 if there is none to fold; None: not known."""
    promotion: str = ""
    """The promotion on behalf of which it runs, though that holds the partition."""

    def check(self) -> None:
        """Raise `StoppedError` where the lease has run out."""
        if not self.lease_valid():
            raise StoppedError("our lease is overdue")


class PartitionStats:
    """Numbers of one partition, for metrics and `headrace lag`."""

    def __init__(self) -> None:
        self.events = 0
        self.suppressed = 0
        self.disturbances = 0
        self.ticks = 0
        self.restore_seconds = 0.0
        self.position = 0
        self.folded = 0
        self.keys = 0
        self.open_windows = 0
        self.commits = 0
        self.outputs = 0
        self.snapshot_bytes = 0
        self._snapshot_at: float | None = None

    @property
    def snapshot_age_seconds(self) -> float | None:
        """Seconds since this owner stored a snapshot; None if it has not yet."""
        return None if self._snapshot_at is None else time.monotonic() - self._snapshot_at

    def snapshot_taken(self, size: int) -> None:
        """Note a stored snapshot."""
        self.snapshot_bytes = size
        self._snapshot_at = time.monotonic()

    def follow(self, fold: Fold, folded: tuple[int, int], committer: Committer) -> None:
        """Note where fold and committer stand."""
        self.folded = folded[0]
        self.keys = fold.keys()
        self.open_windows = fold.open_windows()
        self.position = committer.record.sequence
        self.commits = committer.commits
        self.outputs = committer.outputs
