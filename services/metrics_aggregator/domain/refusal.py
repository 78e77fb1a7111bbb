"""How the domain says no: to a message (`Refusal`), to a rule file (`RuleError`)."""

from __future__ import annotations

from typing import Final, Literal

_LONGEST: Final = 60

Reason = Literal["malformed", "invalid"]


class Refusal(Exception):  # noqa: N818  the domain's word; to the caller it is an answer, no error
    """A message that holds no samples; all of it is refused, never a part.

    `reason` is `malformed` (does not parse) or `invalid` (parses, breaks a rule) and becomes
    the reason of the dead letter. `error` starts with the place: a field's path or a line.
    """

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason: Reason = reason
        self.error = error


class RuleError(ValueError):
    """A rule file that cannot be used; names the rule, the option and what is wrong with it."""


def malformed(place: str, words: str) -> Refusal:
    """Return the refusal of bytes that do not parse at `place`."""
    return Refusal("malformed", f"{place}: {words}")


def invalid(place: str, words: str) -> Refusal:
    """Return the refusal of a value at `place`."""
    return Refusal("invalid", f"{place}: {words}")


def shown(text: str) -> str:
    """Return a stranger's text, fit for an error that becomes a header."""
    return ascii(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
