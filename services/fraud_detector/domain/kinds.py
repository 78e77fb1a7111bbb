"""The named kinds of rules: their parameters and what they mean. `docs/fraud-rules.md` shows all.

Each kind's formula and source are in the docstring of its parameters.
"""

from __future__ import annotations

from collections.abc import Hashable
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from services.fraud_detector.domain.durations import Span
from services.fraud_detector.domain.frames import frame

MOST_EARLIER: Final = 1_000
"""No parameter may ask for more payments than that: a state counts no further."""

_LARGEST: Final = 10**12
_MOST_DECIMALS: Final = 6
_DAY: Final = Span("1d")
_HOUR: Final = Span("1h")
_MONTH: Final = Span("30d")
_QUARTER: Final = Span("90d")

Field = Literal["terminal", "merchant", "mcc", "country", "currency", "channel", "ip", "device"]


class ImpossibleTravel(Struct, frozen=True, forbid_unknown_fields=True):
    """Two payments in a row, too far apart for the time between.

    Breaks if `distance >= min_km` and `distance / time > speed_kmh`. The distance is the great
    circle's by the haversine formula on a sphere of the mean Earth radius 6371.0088 km, rounded
    to a metre; a time below a second counts as one. Only payments with a place count, and only
    pairs within `memory`; the usual 900 km/h is the speed of an airliner.

    Sources: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984) 159; radius
    R1 of the IUGG, H. Moritz, "Geodetic Reference System 1980", J. Geodesy 74 (2000) 128-133.
    """

    speed_kmh: Decimal = Decimal(900)
    min_km: Decimal = Decimal(50)
    memory: Span = _DAY

    def __post_init__(self) -> None:
        _decimal("speed_kmh", self.speed_kmh)
        _decimal("min_km", self.min_km)
        _span("memory", self.memory, "400d")


class FirstSeen(Struct, frozen=True, forbid_unknown_fields=True):
    """A value of a field that the key has not shown within `memory`.

    Breaks if the key has made at least `after` payments with that field before, and none of
    the remembered ones has this value. The newest 1,000 values of a key are remembered.

    Source: what a card has done before as features of its payments, A. Dal Pozzolo, "Adaptive
    Machine Learning for Credit Card Fraud Detection", thesis, ULB (2015).
    """

    field: Field = "country"
    after: int = 3
    memory: Span = _MONTH

    def __post_init__(self) -> None:
        _count("after", self.after)
        _span("memory", self.memory, "400d")


class AmountDeviation(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount far above what the key has paid before, in the same currency.

    Breaks if there are `n >= least` earlier payments within `memory` and
    `amount - mean > deviations * max(sd, least_spread * mean)`, with the mean and the sample
    standard deviation `sd = sqrt(sum((x - mean)^2) / (n - 1))` of the earlier ones. Compared
    exactly, in integers. `least_spread` keeps a card that always pays the same from breaking the
    rule by a cent.

    Source: W. A. Shewhart, "Economic Control of Quality of Manufactured Product" (1931):
    three standard deviations as the limit of what chance explains.
    """

    deviations: Decimal = Decimal(3)
    least: int = 10
    least_spread: Decimal = Decimal("0.1")
    memory: Span = _MONTH

    def __post_init__(self) -> None:
        _decimal("deviations", self.deviations)
        _decimal("least_spread", self.least_spread)
        _count("least", self.least, 2)
        _span("memory", self.memory, "30d")


class SmallThenLarge(Struct, frozen=True, forbid_unknown_fields=True):
    """Card testing: some tiny payments to see whether the card works, then a large one.

    Breaks if `amount >= large_amount` and there were `small_count` payments of at most
    `small_amount` within `window` before it.

    Source: "card testing" as the card schemes describe it, for example Visa, "Anti-Enumeration
    and Account Testing Best Practices for Merchants" (2021).
    """

    small_amount: Decimal = Decimal(2)
    small_count: int = 3
    large_amount: Decimal = Decimal(100)
    window: Span = _HOUR

    def __post_init__(self) -> None:
        _decimal("small_amount", self.small_amount)
        _decimal("large_amount", self.large_amount)
        if self.large_amount <= self.small_amount:
            raise ValueError("large_amount: must be above small_amount")
        _count("small_count", self.small_count)
        _span("window", self.window, "30d")


class DeclinesThenApproval(Struct, frozen=True, forbid_unknown_fields=True):
    """Someone tried until it worked: an approved payment after some declined ones.

    Breaks if the payment is not declined and there were `declines` declined ones within
    `window` before it.

    Source: as for small_then_large.
    """

    declines: int = 3
    window: Span = _HOUR

    def __post_init__(self) -> None:
        _count("declines", self.declines)
        _span("window", self.window, "30d")


class DormantThenActive(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that was silent for long and is busy at once.

    A key wakes with a payment that comes `dormant` or more after its newest, which is not older
    than `memory`. Breaks if within `window` from there it has made `count` payments, the one
    that woke it included, or makes one of at least `amount`. Payments that are older than the
    key's newest are passed over.

    Source: a break with an account's own past, as in R. J. Bolton and D. J. Hand,
    "Unsupervised Profiling Methods for Fraud Detection" (2001).
    """

    dormant: Span = _MONTH
    count: int = 3
    amount: Decimal = Decimal(500)
    window: Span = _DAY
    memory: Span = _QUARTER

    def __post_init__(self) -> None:
        _count("count", self.count)
        _decimal("amount", self.amount)
        _span("dormant", self.dormant, "400d")
        _span("window", self.window, "30d")
        _span("memory", self.memory, "400d")
        if self.memory.ms <= self.dormant.ms:
            raise ValueError("memory: must be longer than dormant")


Kind = (
    ImpossibleTravel
    | FirstSeen
    | AmountDeviation
    | SmallThenLarge
    | DeclinesThenApproval
    | DormantThenActive
)
KINDS: Final[dict[str, type[Kind]]] = {
    "impossible_travel": ImpossibleTravel,
    "first_seen": FirstSeen,
    "amount_deviation": AmountDeviation,
    "small_then_large": SmallThenLarge,
    "declines_then_approval": DeclinesThenApproval,
    "dormant_then_active": DormantThenActive,
}


def shape(kind: Kind) -> Hashable:
    """Return what a kind's state depends on; versions of a rule that agree in it can share it."""
    match kind:
        case ImpossibleTravel():
            return ("impossible_travel", kind.memory.ms)
        case FirstSeen():
            return ("first_seen", kind.field, kind.memory.ms)
        case AmountDeviation():
            return ("amount_deviation", kind.memory.ms)
        case SmallThenLarge():
            return ("small_then_large", kind.small_amount, kind.window.ms)
        case DeclinesThenApproval():
            return ("declines_then_approval", kind.window.ms)
        case DormantThenActive():
            spans = (kind.dormant.ms, kind.window.ms, kind.memory.ms)
            return ("dormant_then_active", *spans)


def memory_ms(kind: Kind) -> int:
    """Return how far back from a payment a kind's state reaches."""
    match kind:
        case SmallThenLarge() | DeclinesThenApproval():
            return frame(kind.window.ms).memory_ms
        case AmountDeviation():
            return frame(kind.memory.ms).memory_ms
        case _:
            return kind.memory.ms


def exact(value: Decimal) -> bool:
    """Tell whether a number is one that rules take: at most six decimals, below 10^12."""
    if not value.is_finite() or not -_LARGEST < value < _LARGEST:
        return False
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MOST_DECIMALS


def _decimal(name: str, value: Decimal) -> None:
    if not exact(value) or value < 0:
        raise ValueError(f"{name}: must be at least 0, below 10^12, with at most six decimals")


def _count(name: str, value: int, least: int = 1) -> None:
    if not least <= value <= MOST_EARLIER:
        raise ValueError(f"{name}: must be from {least} to {MOST_EARLIER}")


def _span(name: str, value: Span, most: str) -> None:
    if not value.between("10s", most):
        raise ValueError(f"{name}: must be from 10s to {most}")
