"""A rule: what of a payment's key is looked at, and which value of it is too much.

JSON as in `docs/fraud-rules.md`. Nothing unknown is ignored: a rule with a misspelt field would
do something else than its author thinks.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.fraud_detector.domain.card_numbers import holds_card_number
from services.fraud_detector.domain.durations import Span
from services.fraud_detector.domain.expression import Expression, parse
from services.fraud_detector.domain.frames import frame
from services.fraud_detector.domain.kinds import (
    KINDS,
    AmountDeviation,
    Kind,
    exact,
    memory_ms,
    shape,
)
from services.fraud_detector.domain.refusal import RuleError, shown

Group = Literal["card", "terminal", "merchant", "country", "mcc", "ip", "device"]
Field = Literal[
    "amount",
    "card",
    "terminal",
    "merchant",
    "mcc",
    "country",
    "currency",
    "channel",
    "ip",
    "device",
]
Function = Literal["count", "sum", "avg", "min", "max", "stddev", "distinct"]
Operator = Literal[">=", ">", "<=", "<", "==", "!="]
State = Literal["active", "shadow", "paused", "deleted"]

MOST_DISTINCT: Final = 10_000
"""So many values a key are told apart, the newest; a limit beyond can never be reached."""

_MOST_BYTES: Final = 8_000
_MOST_VERSION: Final = 1 << 53
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MONEY: Final = ("sum", "avg", "min", "max", "stddev")
_AT: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_NAMED: Final = re.compile(r"[a-z_]+: ")


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """What breaks the rule: an aggregate that is `operator` `value`."""

    operator: Operator
    value: Decimal

    def __str__(self) -> str:
        return f"{self.operator} {self.value}"


class Aggregate(Struct, frozen=True, forbid_unknown_fields=True):
    """A function over a field of the payments in the window; `count` needs no field."""

    function: Function
    field: Field | None = None


class Rule(Struct, frozen=True):
    """A rule that was checked: with an `aggregate`, `window` and `limit`, or with a `kind`."""

    id: str
    state: State
    group_by: tuple[Group, ...]
    where: Expression | None
    aggregate: Aggregate | None
    kind: Kind | None
    window: Span | None
    limit: Limit | None
    action: str
    version: int

    @property
    def window_ms(self) -> int:
        """Length of the window; of a kind: how far back it looks."""
        return self.window.ms if self.window else self.memory_ms

    @property
    def memory_ms(self) -> int:
        """How far back from a payment the rule's state reaches."""
        if self.window is not None:
            return frame(self.window.ms).memory_ms
        return memory_ms(self.kind) if self.kind is not None else 0

    @property
    def definition(self) -> Hashable:
        """Equal for two versions of a rule that can share their state."""
        if self.kind is not None:
            core: Hashable = shape(self.kind)
        else:
            core = (self.aggregate, self.window_ms)
        return (self.group_by, self.where.text if self.where else None, core)

    @property
    def uses_score(self) -> bool:
        """Tell whether the model's score must be known before the rule is asked."""
        return self.where is not None and "score" in self.where.names

    @property
    def by_currency(self) -> bool:
        """Tell whether each currency of a key has a state of its own: euros plus yen is no sum."""
        if self.aggregate is not None:
            return self.aggregate.function in _MONEY
        return isinstance(self.kind, AmountDeviation)


class _Written(Struct, frozen=True, forbid_unknown_fields=True):
    id: str | None = None
    state: State = "active"
    group_by: tuple[Group, ...] = ("card",)
    where: str | None = None
    aggregate: Aggregate | None = None
    kind: str | None = None
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    window: Span | None = None
    limit: Limit | None = None
    action: str = "review"
    version: int | None = None


def parse_rule(text: str | bytes, key: str, default_version: int) -> Rule:
    """Parse a rule; raises `RuleError` naming the field's path.

    `key` is what it is stored under, and its id; without a `version` it gets `default_version`.
    """
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(body) > _MOST_BYTES:
        raise RuleError(f"is longer than {_MOST_BYTES} bytes")
    written: _Written = _decoded(body, _Written, "")
    if not _ID.fullmatch(key) or holds_card_number(key):
        raise RuleError(f"id: {shown(key)} is not 1 to 64 letters, digits, dashes or underscores")
    if written.id not in (None, key):
        raise RuleError(f"id: {shown(str(written.id))} is not the rule's key {shown(key)}")
    _check_words(written)
    where = _where(written.where)
    if (written.aggregate is None) == (written.kind is None):
        raise RuleError("aggregate: a rule has either an aggregate or a kind")
    kind = None if written.kind is None else _kind(written)
    if written.aggregate is not None:
        _check_aggregate(written, written.aggregate)
    version = default_version if written.version is None else written.version
    return Rule(
        *(key, written.state, written.group_by, where, written.aggregate, kind),
        *(written.window, written.limit, written.action, version),
    )


def _check_words(written: _Written) -> None:
    if not _ID.fullmatch(written.action):
        raise RuleError(f"action: {shown(written.action)} is no word of letters and digits")
    if not written.group_by or len(set(written.group_by)) != len(written.group_by):
        raise RuleError("group_by: must name one or more fields, each once")
    if written.version is not None and not 0 <= written.version <= _MOST_VERSION:
        raise RuleError("version: must not be negative")


def _where(text: str | None) -> Expression | None:
    if text is None:
        return None
    if holds_card_number(text):
        raise RuleError("where: holds a card number")
    try:
        return parse(text)
    except RuleError as error:
        raise RuleError(f"where: {error}") from None


def _kind(written: _Written) -> Kind:
    found = KINDS.get(written.kind or "")
    if found is None:
        raise RuleError(f"kind: {shown(written.kind or '')} is none of {', '.join(KINDS)}")
    for name in ("window", "limit"):
        if getattr(written, name) is not None:
            raise RuleError(f"{name}: is for aggregates; a kind has parameters")
    kind: Kind = _decoded(bytes(written.parameters), found, "parameters")
    return kind


def _check_aggregate(written: _Written, aggregate: Aggregate) -> None:
    if bytes(written.parameters) != b"{}":
        raise RuleError("parameters: are for kinds; an aggregate has none")
    if written.window is None or written.limit is None:
        raise RuleError(f"{'limit' if written.window else 'window'}: is missing")
    if not written.window.between("10s", "30d"):
        raise RuleError("window: must be from 10s to 30d")
    function, field = aggregate.function, aggregate.field
    if function in _MONEY and field != "amount":
        raise RuleError(f"aggregate.field: {function} needs amount")
    if function == "distinct" and field in (None, "amount"):
        raise RuleError("aggregate.field: distinct needs a field other than amount")
    value = written.limit.value
    if not exact(value) or value < 0:
        raise RuleError("limit.value: must be at least 0, below 10^12, with at most six decimals")
    if function == "distinct" and value > MOST_DISTINCT:
        raise RuleError(f"limit.value: no more than {MOST_DISTINCT} values are told apart")


def _decoded(body: bytes, into: Any, outer: str) -> Any:  # noqa: ANN401  the caller names the type
    try:
        return msgspec.json.decode(body, type=into, dec_hook=_span)
    except msgspec.ValidationError as error:
        found = _AT.fullmatch(str(error))
        words, path = (found["words"], found["path"] or "") if found else (str(error), "")
        place = ".".join(part for part in (outer, path) if part)
        between = "." if place and _NAMED.match(words) else ": " if place else ""
        raise RuleError(f"{place}{between}{words.replace('`', '')}") from None
    except (ValueError, RecursionError) as error:
        raise RuleError(f"{outer or 'rule'}: {error}") from None


def _span(into: type, value: object) -> Span:
    if into is not Span or not isinstance(value, str):
        raise ValueError("must be a span of time such as 10s, 15m, 1h or 30d")
    return Span(value)
