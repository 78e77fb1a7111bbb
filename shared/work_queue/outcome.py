"""What a handler says became of a job. One place, `settle`, turns it into acks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Reason = Literal["malformed", "invalid", "conflict", "exhausted", "crashed", "future"]


class Ack(Struct, frozen=True):
    """Done: the job may be forgotten. `facts` go into the delivery's log line."""

    facts: Mapping[str, Any] = {}


class Retry(Struct, frozen=True):
    """Not done, a later attempt may succeed. Without a delay the backoff policy decides.

    With `counts` false it is no failed attempt: what the job needs was away (the broker, a
    full disk), which is no fault of the job and must not use up its attempts.
    """

    error: str
    delay_seconds: float | None = None
    counts: bool = True


class DeadLetter(Struct, frozen=True):
    """Will never be done: set the job aside."""

    reason: Reason
    error: str


Outcome = Ack | Retry | DeadLetter


class Permanent(Exception):  # noqa: N818 - the word of the glossary; raised as an outcome, not a fault
    """Raised by a decoder or handler: no later attempt can succeed; dead-letter at once."""

    def __init__(self, error: str, reason: Reason = "invalid") -> None:
        super().__init__(error)
        self.reason: Reason = reason
