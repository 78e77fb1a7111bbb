"""The detector's fold: payments, labels and rules in; alerts, scores and dead letters out.

One fold for all three stages: `Scope` says which rules are its own. Pure. Rules come from the
log too (see `rule_book`); the windows of a new one are filled from what the log holds of the
past, which the engine shows again (`recall`), before it alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.quality import QualityBook
from services.fraud_detector.domain.reading import ALLOWED_SKEW_MS, read_label, read_payment
from services.fraud_detector.domain.refusal import Refusal
from services.fraud_detector.domain.rules import Rule
from services.fraud_detector.domain.scoring import Scorer
from services.fraud_detector.outputs import alert, dead_payment, dead_rule, score
from services.fraud_detector.rule_book import RuleBook, decoded
from services.fraud_detector.scope import CARDS, MODEL, Scope
from services.fraud_detector.topology import EVENT_PREFIX
from shared.contracts.payments import LABELED, MADE
from shared.log_stream.clock import NEVER, Watermark
from shared.log_stream.fold import Event, Output, Recall

GRACE_MS: Final = 60_000
"""A payment that is more than this older than the newest of its partition is late."""

RULES: Final = "control.rules"

_MADE: Final = f"{EVENT_PREFIX}{MADE}."
_MADE_LENGTH: Final = len(_MADE)
_LABELED: Final = f"{EVENT_PREFIX}{LABELED}."
_MILLISECOND: Final = 1_000_000


class FraudFold:
    """State of one partition of a stage."""

    schema = 1

    def __init__(self, seed: str, scope: Scope = CARDS, partition: int = 0) -> None:
        self.book = RuleBook(seed)
        self.scope = scope
        self._whole = scope.whole
        self._first = scope is CARDS and partition == 0
        self._time = Watermark(GRACE_MS)
        self._board = Board(self._own_rules())
        self._warming: tuple[Rule, ...] = ()
        self._begun_to_warm = False
        self._quality = QualityBook()
        self._scorer = Scorer() if scope is MODEL else None
        self._late = 0
        self._refused = 0

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in one message of the partition; return what it emits."""
        place, subject = "", event.subject
        if self._whole:
            place, _, subject = subject.partition(".")
        if subject.startswith(_MADE):
            return self._paid(event, subject[_MADE_LENGTH:])
        if subject.startswith(_LABELED):
            return self._labelled(event, subject[len(_LABELED) :])
        if subject == RULES and place == self._whole:
            return self._change_rules(event)
        return self._unknown(event, subject)

    def open_windows(self) -> int:
        """Return 0: nothing waits for time to go on."""
        return 0

    def keys(self) -> int:
        """Return the size of the state in entries."""
        scorer = self._scorer.keys() if self._scorer else 0
        return self._board.keys() + self._quality.keys() + scorer

    def numbers(self) -> Mapping[str, float]:
        """Return watermark, counts of what was late or refused, and those of board and model."""
        value_ms = self._time.value_ms
        known = {} if value_ms == NEVER else {"watermark_seconds": value_ms / 1000}
        own = {"late_payments": self._late, "refused_messages": self._refused}
        scorer = self._scorer.numbers() if self._scorer else {}
        return {**known, **own, **self._board.numbers(), **scorer}

    @property
    def quality(self) -> QualityBook:
        """How good the rules of this partition are."""
        return self._quality

    def snapshot(self) -> Iterator[object]:
        """Yield the state in pieces."""
        yield ["own", self.book.snapshot(), self._time.snapshot(), self._late, self._refused]
        for piece in self._board.snapshot():
            yield ["board", piece]
        for entry in self._quality.snapshot():
            yield ["quality", entry]
        if self._scorer:
            for part in self._scorer.snapshot():
                yield ["scorer", part]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot."""
        parts: dict[str, list[Any]] = {"own": [], "board": [], "quality": [], "scorer": []}
        for piece in pieces:
            kind, *rest = msgspec.msgpack.decode(piece, strict=False)
            parts[kind].append(rest)
        [(book, time, self._late, self._refused)] = parts["own"]
        self.book.restore(book)
        self._time.restore(time)
        self._board = Board(self._own_rules())
        self._board.restore(piece for (piece,) in parts["board"])
        self._quality = QualityBook()
        for (piece,) in parts["quality"]:
            self._quality.restore(piece)
        if self._scorer:
            for (piece,) in parts["scorer"]:
                self._scorer.restore_piece(piece)

    def recall(self) -> Recall | None:
        """Return what the windows of new rules need of the past; None: no rule is new."""
        if self._time.greatest_ms == NEVER:
            self._warming = ()  # nothing has been: there is nothing to see again, later neither
        if not self._warming:
            return None
        if self._begun_to_warm:  # it broke off: what was seen is forgotten
            fresh = {rule.id for rule in self._warming}
            self._board.use([rule for rule in self._own_rules() if rule.id not in fresh])
            self._board.use(self._own_rules())
        self._begun_to_warm = True
        memory_ms = max(rule.memory_ms for rule in self._warming)
        since_ms = self._time.greatest_ms - memory_ms - ALLOWED_SKEW_MS
        return Recall(max(1, since_ms) * _MILLISECOND, self._warm)

    def recalled(self) -> None:
        """Let the new rules begin with what was seen."""
        self._begun_to_warm, self._warming = False, ()

    def _paid(self, event: Event, card: str) -> Sequence[Output]:
        try:
            payment = read_payment(
                event.data, card, event.headers, event.sequence, event.arrival_ns
            )
        except Refusal as refusal:
            return self._refuse(event, refusal)
        time_ms = payment.time_ms
        if time_ms < self._time.value_ms:
            payment.late = True
            self._late += 1
        self._time.observe(time_ms, event.arrival_ns)
        self._quality.goes_on(time_ms)
        outputs: list[Output] = []
        if self._scorer:
            payment.score = self._scorer.score(payment)
            outputs.append(score(payment, payment.score, self._scorer.learned))
        for finding in self._board.evaluate(payment):
            self._quality.alerted(payment.payment_id, finding.rule.id, time_ms)
            outputs.append(alert(event, payment, finding))
        return outputs

    def _labelled(self, event: Event, card: str) -> Sequence[Output]:
        try:
            label = read_label(event.data, card, event.sequence, event.arrival_ns)
        except Refusal as refusal:
            return self._refuse(event, refusal)
        self._quality.labelled(label.payment_id, fraud=label.fraud, time_ms=label.time_ms)
        self._quality.goes_on(label.time_ms)
        if self._scorer:
            self._scorer.label(label)
        return ()

    def _change_rules(self, event: Event) -> Sequence[Output]:
        if event.sequence <= self.book.fixed:
            return ()
        try:
            change = decoded(event.data)
        except msgspec.DecodeError as error:
            return self._refuse(event, Refusal("malformed", f"rules: {error}"))
        refused = self.book.change(change)
        fresh = self._board.use(self._own_rules())
        self._warming = tuple(rule for rule in fresh if not rule.uses_score)
        if not self._first:
            return ()
        return [
            dead_rule(event, one.entry.key, one.entry.revision, one.entry.text or "", one.why)
            for one in refused
        ]

    def _unknown(self, event: Event, subject: str) -> Sequence[Output]:
        """Refuse what is neither payment nor label; control messages of others are none of ours."""
        if not subject.startswith(EVENT_PREFIX):
            return ()
        kind, _, _ = subject[len(EVENT_PREFIX) :].partition(".")
        return self._refuse(
            event, Refusal("invalid", f"subject: {kind!r} is neither {MADE} nor {LABELED}")
        )

    def _refuse(self, event: Event, refusal: Refusal) -> Sequence[Output]:
        """Return the dead letter; of the stages that all see a message, the first one writes it."""
        self._refused += 1
        return [dead_payment(event, refusal)] if self.scope is CARDS else ()

    def _warm(self, events: Sequence[Event]) -> None:
        fresh = [rule.id for rule in self._warming]
        for event in events:
            subject = event.subject
            if self.scope.whole:
                _, _, subject = subject.partition(".")
            if not subject.startswith(_MADE):
                continue
            payment = self._read(event, subject[len(_MADE) :])
            if payment is not None:
                self._board.take(payment, fresh)

    def _read(self, event: Event, card: str) -> Payment | None:
        try:
            return read_payment(event.data, card, event.headers, event.sequence, event.arrival_ns)
        except Refusal:
            return None  # its dead letter was written when it came

    def _own_rules(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.book.rules if self.scope.owns(rule))
