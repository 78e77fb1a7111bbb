"""How good rules are, by what became known of the payments: precision, recall, alert load.

Counted over a sliding window of event time: alerts whose payment, and labels whose time, lie in
it. In `precision` count alerts of which it is known: labelled ones, and those that are older
than the label delay, which nobody has called fraud. `recall` is of all labelled frauds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

DAY_MS: Final = 86_400_000
WINDOW_MS: Final = 30 * DAY_MS
LABEL_DELAY_MS: Final = 7 * DAY_MS
_PIECE: Final = 5_000
_AT_ONCE: Final = -1
_NEVER: Final = 1 << 62


class RuleQuality(Struct):
    """Counts of one rule in the window; `precision` and `recall` are None where none is known."""

    alerts: int = 0
    confirmed: int = 0
    refuted: int = 0
    """Labelled as no fraud, or not labelled within the label delay."""
    frauds: int = 0
    """Labelled frauds in the window, alerted by this rule or not."""

    @property
    def precision(self) -> float | None:
        """Share of alerts, of those known, that were fraud."""
        known = self.confirmed + self.refuted
        return self.confirmed / known if known else None

    @property
    def recall(self) -> float | None:
        """Share of labelled frauds that the rule alerted."""
        return self.confirmed / self.frauds if self.frauds else None


class _Alerted(Struct):
    time_ms: int
    rules: list[str]
    fraud: bool | None = None
    """None: not known yet."""
    given_up: bool = False
    """Taken for no fraud, since the label delay is over."""


class QualityBook:
    """Alerts and labels of the window, and the counts that follow from them."""

    def __init__(self, window_ms: int = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._greatest_ms = 0
        self._due_ms = _AT_ONCE
        """Until event time has passed this, nothing is to be given up or forgotten."""
        self._alerted: dict[str, _Alerted] = {}
        self._by_age: deque[str] = deque()
        """Alerted payments in the order of the log, first to be given up, then forgotten."""
        self._undecided: deque[str] = deque()
        self._labels: dict[str, tuple[int, bool]] = {}
        self._rules: dict[str, RuleQuality] = {}
        self._frauds = 0

    def alerted(self, payment_id: str, rule_id: str, time_ms: int) -> None:
        """Note an alert."""
        one = self._alerted.get(payment_id)
        if one is None:
            one = self._alerted[payment_id] = _Alerted(time_ms, [])
            label = self._labels.get(payment_id)
            one.fraud = None if label is None else label[1]
            self._by_age.append(payment_id)
            self._undecided.append(payment_id)
            self._due_ms = min(self._due_ms, time_ms + min(LABEL_DELAY_MS, self._window_ms))
        elif rule_id in one.rules:
            return
        one.rules.append(rule_id)
        quality = self._rules.setdefault(rule_id, RuleQuality())
        quality.alerts += 1
        _count(quality, one, 1)

    def labelled(self, payment_id: str, *, fraud: bool, time_ms: int) -> None:
        """Note a label; the last one of a payment counts."""
        before = self._labels.pop(payment_id, None)
        if before is not None:
            self._frauds -= before[1]
            self._due_ms = _AT_ONCE  # another may be the oldest now
        self._due_ms = min(self._due_ms, time_ms + self._window_ms)
        self._labels[payment_id] = (time_ms, fraud)
        self._frauds += fraud
        one = self._alerted.get(payment_id)
        if one is not None:
            self._decide(one, fraud=fraud)

    def goes_on(self, time_ms: int) -> None:
        """Note how far event time has come; what is older than the window is forgotten."""
        if time_ms <= self._greatest_ms:
            return
        self._greatest_ms = time_ms
        if time_ms > self._due_ms:
            self._give_up(time_ms - LABEL_DELAY_MS)
            self._forget(time_ms - self._window_ms)
            self._due_ms = self._next_due()

    def rules(self) -> dict[str, RuleQuality]:
        """Return the counts by rule id, in its order."""
        found = {key: self._rules[key] for key in sorted(self._rules) if self._rules[key].alerts}
        for quality in found.values():
            quality.frauds = self._frauds
        return found

    @property
    def frauds(self) -> int:
        """Labelled frauds in the window."""
        return self._frauds

    def keys(self) -> int:
        """Return the size of the state in entries."""
        return len(self._alerted) + len(self._labels)

    def snapshot(self) -> Iterator[list[object]]:
        """Yield the state in pieces."""
        yield ["time", self._greatest_ms]
        undecided = set(self._undecided)
        alerted = [
            [key, one.time_ms, one.rules, one.fraud, one.given_up, key in undecided]
            for key in self._by_age
            for one in (self._alerted[key],)
        ]
        for begin in range(0, len(alerted), _PIECE):
            yield ["alerted", alerted[begin : begin + _PIECE]]
        labels = [[key, *label] for key, label in self._labels.items()]
        for begin in range(0, len(labels), _PIECE):
            yield ["labels", labels[begin : begin + _PIECE]]

    def restore(self, piece: Sequence[object]) -> None:
        """Take in one piece of a snapshot."""
        match piece:
            case ["time", int(greatest_ms)]:
                self._greatest_ms = greatest_ms
            case ["alerted", list(entries)]:
                for key, time_ms, rules, fraud, given_up, undecided in entries:
                    one = self._alerted[key] = _Alerted(time_ms, rules, fraud, given_up)
                    self._by_age.append(key)
                    if undecided:
                        self._undecided.append(key)
                    for rule_id in rules:
                        quality = self._rules.setdefault(rule_id, RuleQuality())
                        quality.alerts += 1
                        _count(quality, one, 1)
            case ["labels", list(entries)]:
                for key, time_ms, fraud in entries:
                    self._labels[key] = (time_ms, fraud)
                    self._frauds += fraud

    def _next_due(self) -> int:
        """Return what `_due_ms` is to be: each line is worked off from its oldest."""
        due = [_NEVER]
        if self._undecided:
            oldest = self._alerted.get(self._undecided[0])
            due.append(_AT_ONCE if oldest is None else oldest.time_ms + LABEL_DELAY_MS)
        if self._by_age:
            due.append(self._alerted[self._by_age[0]].time_ms + self._window_ms)
        if self._labels:
            due.append(next(iter(self._labels.values()))[0] + self._window_ms)
        return min(due)

    def _decide(self, one: _Alerted, *, fraud: bool | None, given_up: bool = False) -> None:
        for rule_id in one.rules:
            _count(self._rules[rule_id], one, -1)
        one.fraud, one.given_up = fraud, given_up
        for rule_id in one.rules:
            _count(self._rules[rule_id], one, 1)

    def _give_up(self, before_ms: int) -> None:
        waiting = self._undecided
        while waiting and (
            (one := self._alerted.get(waiting[0])) is None or one.time_ms < before_ms
        ):
            waiting.popleft()
            if one is not None and one.fraud is None:
                self._decide(one, fraud=None, given_up=True)

    def _forget(self, before_ms: int) -> None:
        while self._by_age and self._alerted[self._by_age[0]].time_ms < before_ms:
            one = self._alerted.pop(self._by_age.popleft())
            for rule_id in one.rules:
                quality = self._rules[rule_id]
                quality.alerts -= 1
                _count(quality, one, -1)
        while self._labels:
            key = next(iter(self._labels))
            time_ms, fraud = self._labels[key]
            if time_ms >= before_ms:
                return
            del self._labels[key]
            self._frauds -= fraud


def _count(quality: RuleQuality, one: _Alerted, by: int) -> None:
    if one.fraud:
        quality.confirmed += by
    elif one.fraud is False or one.given_up:
        quality.refuted += by
