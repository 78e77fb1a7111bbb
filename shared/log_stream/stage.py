"""A stage: one partitioned log read, one stream written, with positions beside the outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from shared.contracts import headers
from shared.log_stream.fold import Fold
from shared.topology import Log, PartitionedLog


class Stage(Struct, frozen=True):
    """Names of one stage; `group` names its members' leases and its durables."""

    group: str
    source: PartitionedLog
    """Without a prefix all under its `subjects` is one partition: what another service writes."""
    target: Log | PartitionedLog
    positions: str
    """Subject prefix of the position records in the target: `<positions>.<partition>`."""
    snapshots: Log
    snapshot_prefix: str
    """Subject prefix of snapshot chunks: `<snapshot_prefix>.<partition>.<snapshot>.<n>`."""
    told: bool = True
    """Whether owners append control messages to the source: ticks, proposals of the program."""
    stateless: bool = False
    """Whether the fold remembers nothing: it goes on from its position, without a snapshot."""
    record_headers: Mapping[str, str] = headers.IN_PLACE
    """Headers of the position records. A stream to which publishers send takes no roll-ups, since
    theirs could clear it; there, records that another has followed are purged now and then."""
    outputs: str = ""
    """What the subjects of outputs begin with, before what the fold says; in a generation, whose
    outputs do not expire one by one."""
    whole: str = ""
    """Reads all partitions of the source as one, in the order of the log: keys that are none of
    the source's meet there. Its events' subjects begin with their partition; control messages of
    its own are stored as if this were one."""
    label: str = ""
    """Header `Headrace-Stage` of the outputs, where several stages of one source share a target."""

    @property
    def keeps_old_positions(self) -> bool:
        """Whether a record that another has followed stays in the target until it is purged."""
        return headers.ROLLUP not in self.record_headers

    def position(self, partition: int) -> str:
        """Return the subject of a partition's position record."""
        return f"{self.positions}.{partition}"

    def durable(self, partition: int) -> str:
        """Return the name of a partition's durable."""
        return f"{self.group}-{partition}"

    def events(self, partition: int) -> str:
        """Return the filter that selects all that a partition must see."""
        if self.whole:
            return ">"  # the server finds the next message at once, however many subjects there are
        if not self.source.prefix:
            return self.source.subjects
        return f"{self.source.prefix}.{partition}.>"

    def all_events(self) -> str:
        """Return the filter that selects the events of all partitions."""
        return f"{self.source.prefix}.>" if self.source.prefix else self.source.subjects

    def cut(self, partition: int) -> int:
        """Return how much of an event's subject says no more than its partition."""
        if self.whole:
            return len(f"{self.source.prefix}.")
        return len(f"{self.source.prefix}.{partition}.") if self.source.prefix else 0

    def placed(self, subject: str) -> tuple[int, str] | None:
        """Return the partition of a message of the source, and its event's subject.

        None for what is not an event of this stage.
        """
        if not self.source.prefix:
            return 0, subject
        prefix = f"{self.source.prefix}."
        if not subject.startswith(prefix):
            return None
        if self.whole:
            return 0, subject[len(prefix) :]
        number, _, rest = subject[len(prefix) :].partition(".")
        return (int(number), rest) if number.isdecimal() else None

    def control(self, partition: int, name: str) -> str:
        """Return the subject of a partition's control messages of that name."""
        return f"{self.source.prefix}.{self.whole or partition}.control.{name}"


class StageEntry(Struct, frozen=True):
    """A stage and what it runs: `fold` makes the fold of a partition from a seed and its number.

    A service has them in the order of its data: a later one may read what an earlier one writes.
    """

    stage: Stage
    fold: Callable[[str, int], Fold]
