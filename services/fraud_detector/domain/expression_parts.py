"""What a `where` is made of: typed parts, each compiled to one closure over a payment.

A number is a decimal; sums and products keep 50 significant digits. None is a missing value:
what is computed of it is missing, and a comparison with it is false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, Literal

from msgspec import Struct

from services.fraud_detector.domain.payment import Payment

Type = Literal["number", "text", "truth", "null"]
Value = Callable[[Payment], Any]
Test = Callable[[Payment], bool]

_CONTEXT: Final = Context(prec=50, rounding=ROUND_HALF_EVEN)
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_EXACT_DIGITS: Final = 15
_MICRO_PLACES: Final = 6
_FLOATS: Final = ("latitude", "longitude", "score")
_TEXTS: Final = (
    *("currency", "terminal", "merchant", "mcc", "country"),
    *("channel", "ip", "device", "card"),
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
SIGNS: Final = tuple(_COMPARE)


class Part(Struct, frozen=True):
    """A part of an expression: its type, how to get its value, and how to say it."""

    type: Type
    value: Value
    says: str
    name: str | None = None
    literal: Decimal | str | bool | None = None


def name(word: str) -> Part | None:
    """Return the part for a name of a payment, or None."""
    return _NAMES.get(word)


def literal(kind: Type, value: Decimal | str | bool | None, says: str) -> Part:  # noqa: FBT001
    """Return the part for a constant."""
    return Part(kind, lambda _: value, says, None, value)


def comparison(left: Part, sign: str, right: Part) -> Part:
    """Return whether a comparison holds; the types are known to fit."""
    compare = _COMPARE[sign]
    if "null" in (left.type, right.type):
        return Part("truth", _with_null(left, sign, right), f"a {sign}")
    quick = _quick(left, compare, right.literal)
    return Part("truth", quick or _general(left.value, compare, right.value), f"a {sign}")


def membership(left: Part, values: Sequence[Any], *, within: bool) -> Part:
    """Return whether a value is in a list, or is there and not in it."""
    get, among = left.value, frozenset(values)
    if within:
        return Part("truth", lambda payment: get(payment) in among, "an in")

    def absent(payment: Payment) -> bool:
        value = get(payment)
        return value is not None and value not in among

    return Part("truth", absent, "a not in")


def both(parts: Sequence[Part]) -> Part:
    """Return whether all hold, asked from left to right up to the first that does not."""
    tests = [part.value for part in parts]
    if len(tests) == 2:  # noqa: PLR2004  the usual case, without a loop
        one, other = tests
        return Part("truth", lambda payment: one(payment) and other(payment), "an and")

    def every(payment: Payment) -> bool:
        for test in tests:  # noqa: SIM110  a generator costs more than the loop
            if not test(payment):
                return False
        return True

    return Part("truth", every, "an and")


def either(parts: Sequence[Part]) -> Part:
    """Return whether one holds, asked from left to right up to the first that does."""
    tests = [part.value for part in parts]

    def some(payment: Payment) -> bool:
        for test in tests:  # noqa: SIM110  as above
            if test(payment):
                return True
        return False

    return Part("truth", some, "an or")


def negation(part: Part) -> Part:
    """Return whether something does not hold."""
    test = part.value
    return Part("truth", lambda payment: not test(payment), "a not")


def arithmetic(first: Part, rest: Sequence[tuple[str, Part]]) -> Part:
    """Return a sum or a product, from left to right."""
    start = first.value
    does = {"+": _CONTEXT.add, "-": _CONTEXT.subtract, "*": _CONTEXT.multiply}
    steps = [(does[sign], part.value) for sign, part in rest]

    def result(payment: Payment) -> Decimal | None:
        total = start(payment)
        for do, get in steps:
            value = get(payment)
            if total is None or value is None:
                return None
            total = do(total, value)
        return total  # type: ignore[no-any-return]  # a number's value is a decimal

    return Part("number", result, "a number")


def minus(part: Part) -> Part:
    """Return a number with its sign turned."""
    if isinstance(part.literal, Decimal):
        return literal("number", _CONTEXT.minus(part.literal), part.says)
    get = part.value

    def turned(payment: Payment) -> Decimal | None:
        value = get(payment)
        return None if value is None else _CONTEXT.minus(value)

    return Part("number", turned, "a number")


def _with_null(left: Part, sign: str, right: Part) -> Test:
    get = left.value if right.type == "null" else right.value
    if sign == "==":
        return lambda payment: get(payment) is None
    return lambda payment: get(payment) is not None


def _quick(left: Part, compare: Callable[[Any, Any], bool], value: object) -> Test | None:
    """Compare a name with a constant in the form that the payment has it in."""
    if left.name is None or left.type == "truth":
        return None
    if isinstance(value, str):
        return _of_text(left.value, compare, value)
    if not isinstance(value, Decimal):
        return None
    digits, exponent = len(value.as_tuple().digits), int(value.as_tuple().exponent)
    if left.name == "amount" and exponent >= -_MICRO_PLACES:
        micros = int(value.scaleb(_MICRO_PLACES, _CONTEXT))
        return _of_amount(compare, micros)
    if left.name in _FLOATS and digits <= _EXACT_DIGITS:
        # both are then the doubles nearest to their decimals: equal, or in the decimals' order
        near = float(value)
        return _general(operator.attrgetter(left.name), compare, lambda _: near)
    return None


def _of_text(get: Value, compare: Callable[[Any, Any], bool], value: str) -> Test:
    if compare is operator.eq:
        return lambda payment: get(payment) == value
    return lambda payment: get(payment) not in (None, value)


def _of_amount(compare: Callable[[Any, Any], bool], micros: int) -> Test:
    if compare is operator.ge:
        return lambda payment: payment.micros >= micros
    if compare is operator.gt:
        return lambda payment: payment.micros > micros
    if compare is operator.le:
        return lambda payment: payment.micros <= micros
    if compare is operator.lt:
        return lambda payment: payment.micros < micros
    return lambda payment: compare(payment.micros, micros)


def _general(left: Value, compare: Callable[[Any, Any], bool], right: Value) -> Test:
    def test(payment: Payment) -> bool:
        one, other = left(payment), right(payment)
        return one is not None and other is not None and compare(one, other)

    return test


def _decimal_of(field: str) -> Value:
    get = operator.attrgetter(field)

    def value(payment: Payment) -> Decimal | None:
        found = get(payment)
        return None if found is None else Decimal(repr(found))

    return value


_NAMES: Final[dict[str, Part]] = {
    "amount": Part("number", operator.attrgetter("amount"), "amount", "amount"),
    "hour": Part(
        "number", lambda payment: Decimal(payment.time_ms // _HOUR_MS % 24), "hour", "hour"
    ),
    "weekday": Part(
        "number",
        lambda payment: Decimal((payment.time_ms // _DAY_MS + 3) % 7),  # 1 January 1970: Thursday
        "weekday",
        "weekday",
    ),
    **{field: Part("number", _decimal_of(field), field, field) for field in _FLOATS},
    **{field: Part("text", operator.attrgetter(field), field, field) for field in _TEXTS},
    **{
        field: Part("truth", operator.attrgetter(field), field, field)
        for field in ("declined", "late")
    },
}
NAMES: Final = tuple(sorted(_NAMES))
