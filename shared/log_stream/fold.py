"""What a log service gives the engine: a pure fold, and what it takes and gives.

    (state, event) -> (state, outputs)

A fold has no clock, no randomness and does no I/O: time is event time, and whatever else it
must know arrives as an event in the log. So the same log always gives the same outputs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct

from shared.jetstream import NANOSECONDS

CONTROL: Final = "control."
"""Subjects of events that no publisher sends begin with this."""

TICK: Final = "control.tick"
"""Subject of the event that says `{"idle_ms": n}`: the partition has been idle so long."""


class Event(Struct, gc=False, eq=False):
    """One message of a partition; `subject` is what follows `<prefix>.<partition>.` in its own."""

    sequence: int
    arrival_ns: int
    subject: str
    data: bytes
    headers: Mapping[str, str] | None

    @property
    def arrival(self) -> dt.datetime:
        """When the log stored it, UTC, in whole seconds."""
        return dt.datetime.fromtimestamp(self.arrival_ns // NANOSECONDS, dt.UTC)


class Output(Struct, frozen=True, gc=False):
    """A message that a fold emits, for the target stream."""

    subject: str
    data: bytes
    headers: Mapping[str, str] | None = None


class Fold(Protocol):
    """State and rules of one partition."""

    schema: int
    """Version of the snapshot's form; a snapshot of another version is not used."""

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in one event; return what it emits, in a defined order.

        Must not raise for anything that a publisher can send: what cannot be read is an
        output too, a dead letter.
        """

    def open_windows(self) -> int:
        """Return how many windows wait for time to go on; without any no tick is sent."""

    def keys(self) -> int:
        """Return the size of the state in entries, to weigh a snapshot against a refold."""

    def numbers(self) -> Mapping[str, float]:
        """Return what metrics show of the state, by name, for example `watermark_seconds`."""

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces that msgspec encodes, each small enough for 20 ms."""

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot's pieces, encoded as msgpack."""


class Recall(NamedTuple):
    """What a fold wants to see again: the events before the last one, from an arrival time on."""

    since_ns: int
    take: Callable[[Sequence[Event]], None]


@runtime_checkable
class RecallingFold(Fold, Protocol):
    """A fold that may want to see what has been: for a rule that is new, for example.

    So it need not remember what it might want to know one day. What it sees is what the log
    still holds, so the log must keep events for longer than a fold looks back.
    """

    def recall(self) -> Recall | None:
        """Return what is wanted after a control message; None: nothing.

        Begins anew when it is called again, since reading may break off.
        """

    def recalled(self) -> None:
        """Note that all of it was seen."""


class Proposal(NamedTuple):
    """A control message that a fold should see: its event's subject is `control.<name>`.

    `fenced`: only if nothing lies in the partition above what was folded.
    """

    name: str
    body: bytes
    fenced: bool = True


class Program(Protocol):
    """What a service runs on each partition: how a fold begins, and what it should be told.

    Both come from outside the log, so neither reaches the fold but through it: the seed is
    kept in the position record, a proposal becomes a control message.
    """

    def seed(self) -> str:
        """Return what a fold is to begin with where none has begun yet."""

    def fold(self, seed: str, partition: int) -> Fold:
        """Return a new fold for a partition."""

    def proposal(self, fold: Fold, *, caught_up: bool) -> Proposal | None:
        """Return the control message that the fold should see next, if any.

        `caught_up`: the fold has seen all there is, so one that is fenced may succeed.
        """
