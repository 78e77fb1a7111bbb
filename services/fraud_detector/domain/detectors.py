"""The rules of one partition at work: what each key did, and which payments break a rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from services.fraud_detector.domain.aggregates import Step
from services.fraud_detector.domain.findings import Finding
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule
from services.fraud_detector.domain.sizes import estimated_bytes
from services.fraud_detector.domain.steps import guard, packed, step, unpacked
from services.fraud_detector.domain.tables import Table, Test

_RECORDS_A_PIECE: Final = 250
_NEVER: Final = 1 << 62
_IDLE: Final = ("paused", "deleted")

Name = tuple[tuple[str, ...], bool]
Plan = tuple[tuple[Table, Test | None, tuple[Step, ...], tuple[tuple[Test, Step], ...]], ...]
"""Each table, which payments concern it at all (None: all), its detectors that all of these
concern, and those that some concern. Detectors share no state, so their order is free."""


class Board:
    """States of the given rules, of the keys that `owns` says are this partition's (None: all).

    `owns` is asked for a key's text: the value of the rule's field, or the values, joined by the
    unit separator (U+001F), where it groups by more than one. Findings come in the order of the
    rules' ids. What comes of a payment depends only on the payments before it, in their order.
    """

    def __init__(
        self, rules: Sequence[Rule] = (), owns: Callable[[str], bool] | None = None
    ) -> None:
        self._owns = owns
        self._tables: dict[Name, Table] = {}
        self._serials: dict[str, tuple[object, int]] = {}
        self._next_serial = 0
        self._turn_ms = _NEVER
        self._all: Plan = ()
        self._some: tuple[frozenset[str], Plan] | None = None
        self.use(rules)

    def evaluate(  # noqa: C901  calls cost more
        self, payment: Payment, plan: Plan | None = None
    ) -> list[Finding]:
        """Take in a payment and return the rules that it breaks; of a plan's, or of all."""
        if payment.time_ms >= self._turn_ms:
            self._turn(payment.time_ms)
        found: list[Finding] = []
        for table, gate, always, sometimes in self._all if plan is None else plan:
            if gate is not None and not gate(payment):
                continue
            key = table.key(payment)
            record = table.young.get(key)
            if record is None:
                record = table.find(key, payment)
                if record is None:
                    continue
            elif record[0] is not table.layout:
                record = table.young[key] = table.layout.moved(record)
            for look in always:
                finding = look(record, payment)
                if finding is not None:
                    found.append(finding)
            for matches, look in sometimes:
                if matches(payment):
                    finding = look(record, payment)
                    if finding is not None:
                        found.append(finding)
        if len(found) > 1:
            found.sort(key=_by_id)
        return found

    def take(self, payment: Payment, only: Collection[str] | None = None) -> None:
        """Take in a payment without findings: of the rules with these ids, or of all."""
        if only is None:
            self.evaluate(payment)
            return
        ids = frozenset(only)
        if self._some is None or self._some[0] != ids:
            self._some = ids, self._plan(ids)
        self.evaluate(payment, self._some[1])

    def use(self, rules: Sequence[Rule]) -> list[Rule]:
        """Change the rules; return those whose state is new and wants to be warmed.

        A rule whose definition is unchanged keeps its state. Paused and deleted ones are out.
        """
        groups: dict[Name, list[tuple[Rule, int]]] = {}
        serials: dict[str, tuple[object, int]] = {}
        new: list[Rule] = []
        for rule in sorted(rules, key=lambda rule: rule.id):
            if rule.state in _IDLE:
                continue
            known = self._serials.get(rule.id)
            if known is None or known[0] != rule.definition:
                known = rule.definition, self._next_serial
                self._next_serial += 1
                new.append(rule)
            serials[rule.id] = known
            groups.setdefault((rule.group_by, rule.by_currency), []).append((rule, known[1]))
        self._serials = serials
        self._tables = {name: self._table(name, groups[name]) for name in sorted(groups)}
        self._all = self._plan(None)
        self._some = None
        self._turn_ms = min((table.turn_ms for table in self._tables.values()), default=_NEVER)
        return new

    def keys(self) -> int:
        """Return the number of keys that are remembered."""
        return sum(len(table) for table in self._tables.values())

    def numbers(self) -> dict[str, float]:
        """Return the numbers of keys, of states, and about how many bytes a card takes."""
        cards = max((len(t) for name, t in self._tables.items() if "card" in name[0]), default=0)
        entries, size = estimated_bytes(self._tables.values())
        return {
            "keys": float(self.keys()),
            "entries": float(entries),
            "bytes_a_card": size / cards if cards else 0.0,
        }

    def snapshot(self) -> Iterator[object]:
        """Yield all state as plain data, in pieces that encode in a few milliseconds.

        Nothing may be taken in before the last piece is encoded.
        """
        for number, (name, table) in enumerate(self._tables.items()):
            ids = [rule.id for rule in table.rules]
            yield ["table", number, *name, ids, table.turn_ms]
            piece: list[object] = []
            age = False
            for young, key, record in table.records():
                if len(piece) >= _RECORDS_A_PIECE or young is not age:
                    yield ["keys", number, age, piece]
                    piece = []
                age = young
                piece.append([key, *map(packed, record[1:])])
            yield ["keys", number, age, piece]

    def restore(self, pieces: Iterable[list[Any]]) -> None:
        """Go on where a snapshot was taken; the rules must be those of that time.

        Raises `ValueError` if they are not.
        """
        tables = list(self._tables.items())
        for kind, number, *rest in pieces:
            if number >= len(tables):
                raise ValueError("the snapshot is of other rules")
            (group_by, by_currency), table = tables[number]
            if kind == "table":
                fields, apart, ids, turn_ms = rest
                if (tuple(fields), apart) != (group_by, by_currency) or ids != [
                    rule.id for rule in table.rules
                ]:
                    raise ValueError("the snapshot is of other rules")
                table.young, table.old, table.turn_ms = {}, {}, turn_ms
            else:
                young, records = rest
                table.put(
                    young=young,
                    keys=(
                        (
                            tuple(key) if isinstance(key, list) else key,
                            [table.layout, *map(unpacked, states)],
                        )
                        for key, *states in records
                    ),
                )
        self._turn_ms = min((table.turn_ms for table in self._tables.values()), default=_NEVER)

    def _turn(self, time_ms: int) -> None:
        for table in self._tables.values():
            if time_ms >= table.turn_ms:
                table.turn(time_ms)
        self._turn_ms = min((table.turn_ms for table in self._tables.values()), default=_NEVER)

    def _table(self, name: Name, rules: list[tuple[Rule, int]]) -> Table:
        table = self._tables.get(name) or Table(name[0], self._owns, by_currency=name[1])
        steps = [(guard(rule), step(rule, slot)) for slot, (rule, _) in enumerate(rules, 1)]
        table.use(rules, steps)
        return table

    def _plan(self, only: frozenset[str] | None) -> Plan:
        plan: list[tuple[Table, Test | None, tuple[Step, ...], tuple[tuple[Test, Step], ...]]] = []
        for table in self._tables.values():
            steps = [
                one
                for rule, one in zip(table.rules, table.steps, strict=True)
                if only is None or rule.id in only
            ]
            if len(steps) == 1:  # asked before the key is looked up, most are done
                plan.append((table, steps[0][0], (steps[0][1],), ()))
            elif steps:
                always = tuple(look for test, look in steps if test is None)
                sometimes = tuple((test, look) for test, look in steps if test is not None)
                plan.append((table, None, always, sometimes))
        return tuple(plan)


def _by_id(finding: Finding) -> str:
    return finding.rule.id
