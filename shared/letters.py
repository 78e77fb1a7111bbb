"""What a dead letter tells of its original, whichever engine sets it aside. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from msgspec import Struct

from shared.contracts import headers

_ERROR_CHARACTERS = 1000


class Origin(Struct, frozen=True):
    """Where the original lay, and when it had arrived there, UTC."""

    stream: str
    subject: str
    sequence: int
    arrival: dt.datetime


def about(
    given: Mapping[str, str] | None, origin: Origin, reason: str, error: str, attempts: int = 1
) -> dict[str, str]:
    """Return the headers of a letter: those `given` with the original, and where, why, when."""
    told = {
        **headers.without_instructions(given),
        headers.DEAD_REASON: reason,
        headers.DEAD_ERROR: one_line(error),
        headers.DEAD_ATTEMPTS: str(attempts),
        headers.DEAD_STREAM: origin.stream,
        headers.DEAD_SUBJECT: origin.subject,
        headers.DEAD_SEQUENCE: str(origin.sequence),
        headers.DEAD_TIME: origin.arrival.isoformat().replace("+00:00", "Z"),
    }
    if given and (message_id := given.get(headers.MESSAGE_ID)):
        told[headers.DEAD_ID] = message_id
    return told


def one_line(text: str) -> str:
    """Return the text as a header may hold it: one printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _ERROR_CHARACTERS else line[: _ERROR_CHARACTERS - 1] + "…"
