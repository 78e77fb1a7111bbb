"""Which rules a stage runs: each rule has one place, so a payment gives one alert a rule."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from services.fraud_detector.domain.rules import Rule


class Scope(Struct, frozen=True, eq=False):
    """The part of one stage. `whole` is its name where it reads the log as a whole, else empty."""

    whole: str = ""

    def owns(self, rule: Rule) -> bool:
        """Tell whether the rule runs here."""
        return scope_of(rule) is self


CARDS: Final = Scope()
KEYED: Final = Scope("keyed")
MODEL: Final = Scope("model")


def scope_of(rule: Rule) -> Scope:
    """Return where a rule runs.

    Any group with the card in it lies within one card's payments, so within a partition.
    """
    if rule.uses_score:
        return MODEL
    return CARDS if "card" in rule.group_by else KEYED
