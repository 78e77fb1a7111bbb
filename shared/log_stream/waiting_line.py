"""Outputs in line for the next commits: which of them fit into a batch, and what is left. Pure.

They stand in the order of their events. A batch takes as many as it holds; more, even of one
event, are split, and the last event of a batch tells how many of its outputs are out by then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from shared import atomic_batch, tracing
from shared.atomic_batch import BatchMessage
from shared.contracts import headers
from shared.log_stream.fold import Event, Output
from shared.log_stream.stage import Stage

_MOST_OUTPUTS: Final = atomic_batch.MAX_MESSAGES - 1
_MOST_BYTES: Final = 4_000_000


class Emitted:
    """The outputs of one event that are not committed yet; the first `done` are."""

    __slots__ = ("arrival_ns", "done", "outputs", "sequence", "traced")

    def __init__(self, event: Event, outputs: Sequence[Output], done: int) -> None:
        self.sequence = event.sequence
        self.arrival_ns = event.arrival_ns
        self.outputs = outputs
        self.done = done
        given = event.headers
        self.traced: Mapping[str, str] | None = (
            given if tracing.enabled() and tracing.sampled(given) else None
        )


class Batch(Struct, frozen=True):
    """Messages of one commit, and the event that they end with.

    `traced` are the events wholly out by then which their publishers want traced.
    """

    messages: list[BatchMessage]
    last: Emitted
    traced: list[Emitted]


class WaitingLine:
    """What a partition of a stage has emitted and not committed yet."""

    def __init__(self, stage: Stage) -> None:
        self._source = stage.source.name
        self._prefix = stage.outputs
        self._label = {headers.STAGE: stage.label} if stage.label else {}
        self._waiting: deque[Emitted] = deque()

    def __bool__(self) -> bool:
        """Tell whether anything is in line."""
        return bool(self._waiting)

    def add(self, emitted: Emitted) -> None:
        """Put the outputs of an event at the end."""
        self._waiting.append(emitted)

    def take(self) -> Batch:
        """Take as much as one commit holds from the beginning; there must be something."""
        messages: list[BatchMessage] = []
        traced: list[Emitted] = []
        size = 0
        while True:
            emitted = self._waiting[0]
            about = {headers.SOURCE: f"{self._source}:{emitted.sequence}", **self._label}
            for output in emitted.outputs[emitted.done : emitted.done + _MOST_OUTPUTS]:
                if len(messages) == _MOST_OUTPUTS or size > _MOST_BYTES:
                    return Batch(messages, emitted, traced)
                messages.append(self._message(output, about))
                size += len(output.data)
                emitted.done += 1
            if emitted.done < len(emitted.outputs):
                return Batch(messages, emitted, traced)
            self._waiting.popleft()
            if emitted.traced:
                traced.append(emitted)
            if not self._waiting or len(messages) == _MOST_OUTPUTS or size > _MOST_BYTES:
                return Batch(messages, emitted, traced)

    def _message(self, output: Output, about: dict[str, str]) -> BatchMessage:
        given = output.headers
        if given and self._prefix:
            given = {name: value for name, value in given.items() if name != headers.TTL}
        return BatchMessage(
            self._prefix + output.subject, output.data, {**given, **about} if given else about
        )
