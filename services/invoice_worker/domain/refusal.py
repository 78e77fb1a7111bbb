"""How the domain says no to a job."""

from __future__ import annotations

import re
from typing import Final, Literal

_LONGEST_KEY: Final = 40
_PLAIN_KEY: Final = re.compile(rf"\w{{1,{_LONGEST_KEY}}}", re.ASCII)

Reason = Literal["malformed", "invalid"]


class Refusal(Exception):  # noqa: N818  the domain's word; to the caller it is an answer, no error
    """A job that will never become an invoice.

    `reason` is `malformed` (no JSON) or `invalid` (JSON that breaks a type or a rule) and
    becomes the reason of the dead letter. `error` starts with the path of the field as the
    job's author writes it: `lines[3].quantity: must be greater than 0`.
    """

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason: Reason = reason
        self.error = error

    def within(self, path: str) -> Refusal:
        """Return the same refusal, its path seen from further outside."""
        return Refusal(self.reason, f"{path}.{self.error}")


def invalid(path: str, words: str) -> Refusal:
    """Return the refusal of the field at `path`."""
    return Refusal("invalid", f"{path}: {words}")


def shown(key: str) -> str:
    """Return a key or name of a stranger, fit for an error.

    Errors become headers of dead letters; a key may hold line breaks, or be megabytes long.
    """
    return key if _PLAIN_KEY.fullmatch(key) else ascii(key[:_LONGEST_KEY])
