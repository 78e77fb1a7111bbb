"""A stage: one partitioned log read, one stream written, with positions beside the outputs."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from shared.log_stream.fold import Fold
from shared.topology import Log, PartitionedLog


class Stage(Struct, frozen=True):
    """Names of one stage; `group` names its members' leases and its durables."""

    group: str
    source: PartitionedLog
    target: Log
    positions: str
    """Subject prefix of the position records in the target: `<positions>.<partition>`."""
    snapshots: Log
    snapshot_prefix: str
    """Subject prefix of snapshot chunks: `<snapshot_prefix>.<partition>.<snapshot>.<n>`."""
    told: bool = True
    """Whether owners append control messages to the source: ticks, proposals of the program."""

    def position(self, partition: int) -> str:
        """Return the subject of a partition's position record."""
        return f"{self.positions}.{partition}"

    def durable(self, partition: int) -> str:
        """Return the name of a partition's durable."""
        return f"{self.group}-{partition}"

    def events(self, partition: int) -> str:
        """Return the filter that selects all that a partition must see."""
        return f"{self.source.prefix}.{partition}.>"

    def control(self, partition: int, name: str) -> str:
        """Return the subject of a partition's control messages of that name."""
        return f"{self.source.prefix}.{partition}.control.{name}"


class StageEntry(Struct, frozen=True):
    """A stage and what it runs: `fold` makes the fold of a partition from a seed and its number.

    A service has them in the order of its data: a later one may read what an earlier one writes.
    """

    stage: Stage
    fold: Callable[[str, int], Fold]
