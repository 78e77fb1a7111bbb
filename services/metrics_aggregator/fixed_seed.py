"""Seeds whose rules stand, whatever the log says: those of a replay by other rules.

Once such a generation is promoted, the log counts again from there on: the seed then says up to
which event it does not. So a fold of the log from its beginning always gives the same.
"""

from __future__ import annotations

from typing import Final

FIXED: Final = "# fixed: these rules stand, whatever the log says"
"""The first line of such a seed, or how it begins."""

_UP_TO: Final = " up to "
_FOR_EVER: Final = (1 << 63) - 1


def fixed_seed(rules: str, until: int | None) -> str:
    """Return the seed for these rules, fixed up to that sequence of the log, or for ever (None)."""
    return f"{FIXED}\n{rules}" if until is None else f"{FIXED}{_UP_TO}{until}\n{rules}"


def fixed_until(seed: str) -> int:
    """Return the last sequence at which no control message changes the rules; 0: all do."""
    line, _, _ = seed.partition("\n")
    if not line.startswith(FIXED):
        return 0
    until = line.removeprefix(FIXED + _UP_TO)
    return int(until) if until.isdecimal() else _FOR_EVER
