"""What a rule says of a payment that breaks it, and the numbers in it as text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from msgspec import Struct

from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Limit, Rule

MOST_EVIDENCE: Final = 50
MICROS: Final = 1_000_000
_HUGE: Final = 1 << 400
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_SIX_PLACES: Final = Decimal("0.000001")


class Finding(Struct, frozen=True, gc=False):
    """A payment broke a rule.

    `observed` and `limit` are decimal text; `window` is the first and last instant that counted,
    in milliseconds; `evidence` are the newest sequences that did, oldest first, the payment's
    own the last.
    """

    rule: Rule
    observed: str
    limit: str
    window: tuple[int, int]
    evidence: list[int]
    explanation: str


class Bounds(Struct, frozen=True, gc=False):
    """A limit on integers: broken if `(low <= x <= high) is wanted`."""

    low: int
    high: int
    wanted: bool = True


def bounds(limit: Limit, scale: int = 1) -> Bounds:
    """Return a limit as bounds of the integers that are `scale` times what the limit is on."""
    value = limit.value * scale
    floor = int(value.to_integral_value(ROUND_FLOOR))
    ceiling = int(value.to_integral_value(ROUND_CEILING))
    match limit.operator:
        case ">=":
            return Bounds(ceiling, _HUGE)
        case ">":
            return Bounds(floor + 1, _HUGE)
        case "<=":
            return Bounds(-_HUGE, floor)
        case "<":
            return Bounds(-_HUGE, ceiling - 1)
        case "==":
            return Bounds(ceiling, floor)
        case "!=":
            return Bounds(ceiling, floor, wanted=False)


def subject(rule: Rule, payment: Payment) -> str:
    """Return whose payments a rule looked at: the values of its group."""
    return ", ".join(str(getattr(payment, field)) for field in rule.group_by)


def money(micros: int) -> str:
    """Return an amount in millionths as decimal text, without needless zeros."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS)
    return f"{sign}{whole}.{rest:06d}".rstrip("0").rstrip(".")


def quotient(above: int, below: int) -> str:
    """Return a quotient as decimal text, rounded to six places."""
    return six_places(EXACT.divide(Decimal(above), Decimal(below)))


def root(above: int, below: int) -> str:
    """Return the square root of a quotient as decimal text, rounded to six places."""
    return six_places(EXACT.sqrt(EXACT.divide(Decimal(above), Decimal(below))))


def own(payment: Payment, earlier: Sequence[int]) -> list[int]:
    """Return the evidence of a payment that is not among those that count."""
    return [*earlier[1 - MOST_EVIDENCE :], payment.sequence]


def six_places(value: Decimal) -> str:
    """Return a number as decimal text, rounded to six places, without needless zeros."""
    text = format(value.quantize(_SIX_PLACES, context=EXACT), "f")
    return text.rstrip("0").rstrip(".")
