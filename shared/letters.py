"""What a dead letter tells of its original, written by either engine and read again. Pure."""

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


class DeadLetter(Struct, frozen=True):
    """A message set aside. `sequence` and `parked_at` are those in DEAD_LETTERS.

    The `origin_...` fields say where the message was; `origin_time` is when it had arrived
    there (RFC 3339), `origin_id` its `Nats-Msg-Id`, empty where it had none. `headers` are
    those of the letter, `body` is empty where only headers were read.
    """

    sequence: int
    parked_at: dt.datetime
    service: str
    reason: str
    error: str
    attempts: int | None
    origin_stream: str
    origin_subject: str
    origin_sequence: int | None
    origin_time: str
    origin_id: str
    headers: Mapping[str, str]
    body: bytes


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


def parse(
    subject: str, sequence: int, time: dt.datetime, msg_headers: Mapping[str, str], body: bytes
) -> DeadLetter:
    """Read a message of DEAD_LETTERS; what its headers do not say is empty or None."""
    _, service, reason = [*subject.split(".", 2), "", ""][:3]
    return DeadLetter(
        sequence=sequence,
        parked_at=time,
        service=service,
        reason=reason or msg_headers.get(headers.DEAD_REASON, ""),
        error=msg_headers.get(headers.DEAD_ERROR, ""),
        attempts=_integer(msg_headers.get(headers.DEAD_ATTEMPTS)),
        origin_stream=msg_headers.get(headers.DEAD_STREAM, ""),
        origin_subject=msg_headers.get(headers.DEAD_SUBJECT, ""),
        origin_sequence=_integer(msg_headers.get(headers.DEAD_SEQUENCE)),
        origin_time=msg_headers.get(headers.DEAD_TIME, ""),
        origin_id=msg_headers.get(headers.DEAD_ID, ""),
        headers=msg_headers,
        body=body,
    )


def one_line(text: str) -> str:
    """Return the text as a header may hold it: one printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _ERROR_CHARACTERS else line[: _ERROR_CHARACTERS - 1] + "…"


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
