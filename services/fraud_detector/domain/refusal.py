"""How the domain says no: to a message (`Refusal`), to a rule (`RuleError`)."""

from __future__ import annotations

from typing import Final, Literal

_LONGEST: Final = 60

Reason = Literal["malformed", "invalid", "future"]


class Refusal(Exception):  # noqa: N818  the domain's word; to the caller it is an answer, no error
    """A message that is no payment and no label.

    `reason` is `malformed` (does not parse), `invalid` (parses, breaks a rule) or `future`
    (claims to have happened after its arrival) and becomes the reason of the dead letter.
    `error` starts with the path of the field.
    """

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason: Reason = reason
        self.error = error


class RuleError(ValueError):
    """A rule that cannot be used; names the field's path and what is wrong with it."""


def malformed(place: str, words: str) -> Refusal:
    """Return the refusal of bytes that do not parse at `place`."""
    return Refusal("malformed", f"{place}: {words}")


def invalid(place: str, words: str) -> Refusal:
    """Return the refusal of a value at `place`."""
    return Refusal("invalid", f"{place}: {words}")


def shown(text: str) -> str:
    """Return a stranger's text, fit for an error that becomes a header."""
    return ascii(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
