"""What a generation has emitted: which messages of its targets are outputs, and what they hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec import Struct

from shared.contracts import headers
from shared.log_stream.generation import Generation, prefix_of
from shared.log_stream.history import Stored

_SERVERS_OWN = "nats-"
_ENGINES_OWN = (headers.SOURCE, headers.STAGE)


class Within(Struct, frozen=True):
    """Chooses results by their window: those whose `start` and `end` lie in it."""

    start: dt.datetime
    end: dt.datetime

    def holds(self, data: bytes) -> bool:
        """Tell whether a body is a result of such a window; a body without one is not."""
        window = window_of(data)
        return window is not None and self.start <= window.start and window.end <= self.end


class Window(Struct, frozen=True, gc=False):
    """The window of a result, in event time."""

    start: dt.datetime
    end: dt.datetime


_window = msgspec.json.Decoder(Window)


def window_of(data: bytes) -> Window | None:
    """Return the window that a body names as `start` and `end`; None if it names none."""
    try:
        window = _window.decode(data)
    except msgspec.DecodeError:
        return None
    return window if window.start.tzinfo and window.end.tzinfo else None


class Outputs:
    """Tells the outputs of a generation by their subject in the live one.

    No outputs are position records and what a later stage reads: these are between the stages.
    """

    def __init__(self, generation: Generation) -> None:
        self._prefix = prefix_of(generation.name)
        inner = [f"{entry.stage.positions}." for entry in generation.entries]
        inner += [f"{entry.stage.source.prefix}." for entry in generation.later]
        self._inner = tuple(inner)

    def subject(self, stored: Stored) -> str | None:
        """Return the live subject of an output; None for anything else."""
        if not (stored.headers or {}).get(headers.SOURCE):
            return None
        if stored.subject.startswith(self._inner) or not stored.subject.startswith(self._prefix):
            return None
        return stored.subject[len(self._prefix) :]


def digest(subject: str, data: bytes, given: Mapping[str, str] | None) -> bytes:
    """Return 16 bytes that stand for an output: all but source, stage, the server's headers."""
    ours = sorted(
        (name, value)
        for name, value in (given or {}).items()
        if name not in _ENGINES_OWN and not name.lower().startswith(_SERVERS_OWN)
    )
    hashed = blake2b(data, digest_size=16)
    hashed.update(repr((subject, ours)).encode())
    return hashed.digest()
