"""The keys of one group of rules, each with the states of all that look at it.

Keys that were idle for longer than the longest memory of the group's rules are dropped: keys
live in two generations, and each time that event time passes a multiple of that memory the old
one goes, the young one is the old one, and who is heard of moves into a new young one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

from services.fraud_detector.domain.aggregates import Record, Step
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule

Key = Any
Test = Callable[[Payment], bool]
Guarded = tuple[Test | None, Step]
_SEPARATOR: Final = "\x1f"
_MOST_FOREIGN: Final = 65_536
_TURNED: Final = -1


class Layout:
    """Which rule's state is where in a record: each state's serial, by slot."""

    __slots__ = ("_none", "serials")

    def __init__(self, serials: Sequence[int]) -> None:
        self.serials = tuple(serials)
        self._none = (None,) * len(self.serials)

    def fresh(self) -> Record:
        """Return a record without any state."""
        return [self, *self._none]

    def moved(self, record: Record) -> Record:
        """Return a record in this layout; what no rule wants any more is gone."""
        before = dict(zip(record[0].serials, record[1:], strict=True))
        return [self, *(before.get(serial) for serial in self.serials)]


class Table:
    """Keys and records of the rules that share `group_by` and whether currencies are apart."""

    __slots__ = (
        "_foreign",
        "_needed",
        "_owns",
        "_words",
        "key",
        "layout",
        "memory_ms",
        "old",
        "rules",
        "serials",
        "steps",
        "turn_ms",
        "young",
    )

    def __init__(
        self, group_by: Sequence[str], owns: Callable[[str], bool] | None, *, by_currency: bool
    ) -> None:
        fields = (*group_by, "currency") if by_currency else tuple(group_by)
        self.key: Callable[[Payment], Key] = attrgetter(*fields)
        self._words = attrgetter(*group_by)
        self._needed = tuple(field for field in group_by if field != "card")
        self._owns = owns
        self._foreign: set[str] = set()
        self.young: dict[Key, Record] = {}
        self.old: dict[Key, Record] = {}
        self.layout = Layout(())
        self.rules: tuple[Rule, ...] = ()
        self.serials: tuple[int, ...] = ()
        self.steps: tuple[Guarded, ...] = ()
        self.memory_ms = 0
        self.turn_ms = _TURNED

    def use(self, rules: Sequence[tuple[Rule, int]], steps: Sequence[Guarded]) -> None:
        """Serve these rules from now on, each with the serial of its state."""
        self.rules = tuple(rule for rule, _ in rules)
        serials = tuple(serial for _, serial in rules)
        self.steps = tuple(steps)
        self.memory_ms = memory_ms = max(rule.memory_ms for rule in self.rules)
        if self.turn_ms != _TURNED:  # two turns are never closer than what must be remembered
            self.turn_ms = -(-self.turn_ms // memory_ms) * memory_ms
        if serials != self.serials:
            self.serials = serials
            self.layout = Layout(serials)

    def turn(self, time_ms: int) -> None:
        """Let event time have come to `time_ms`, at or after `turn_ms`."""
        if self.turn_ms != _TURNED:
            self.old = self.young if time_ms < self.turn_ms + self.memory_ms else {}
            self.young = {}
        self.turn_ms = (time_ms // self.memory_ms + 1) * self.memory_ms

    def find(self, key: Key, payment: Payment) -> Record | None:
        """Return the record of a key that is not in the young generation; None: not for us."""
        record = self.old.pop(key, None)
        if record is None:
            if not self._concerns(payment):
                return None
            record = self.layout.fresh()
        elif record[0] is not self.layout:
            record = self.layout.moved(record)
        self.young[key] = record
        return record

    def records(self) -> Iterator[tuple[bool, Key, Record]]:
        """Yield whether it is young, the key, and the record, of all keys."""
        for young, keys in ((False, self.old), (True, self.young)):
            for key, record in keys.items():
                current = record[0] is self.layout
                yield young, key, record if current else self.layout.moved(record)

    def put(self, *, young: bool, keys: Iterable[tuple[Key, Record]]) -> None:
        """Take in restored records."""
        (self.young if young else self.old).update(keys)

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def _concerns(self, payment: Payment) -> bool:
        for field in self._needed:
            if getattr(payment, field) is None:
                return False
        if self._owns is None:
            return True
        words = self._words(payment)
        text = words if isinstance(words, str) else _SEPARATOR.join(words)
        if text in self._foreign:
            return False
        if self._owns(text):
            return True
        if len(self._foreign) >= _MOST_FOREIGN:
            self._foreign.clear()
        self._foreign.add(text)
        return False
