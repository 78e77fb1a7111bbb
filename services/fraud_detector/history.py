"""Fold the log of payments by one rule, outside of any member: for back-tests and explanations.

It is the detector's own fold, so what it finds is what a member finds. It writes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.domain.reading import ALLOWED_SKEW_MS
from services.fraud_detector.domain.rules import Rule
from services.fraud_detector.fold import FraudFold
from services.fraud_detector.rule_book import FOR_EVER, Change, Entry, encoded
from services.fraud_detector.scope import CARDS, MODEL, Scope, scope_of
from services.fraud_detector.settings import PartitionSettings
from services.fraud_detector.topology import EVENT_PREFIX, card_stage, keyed_stage, model_stage
from shared.log_stream import history
from shared.log_stream.fold import Event, Output
from shared.log_stream.history import Span
from shared.log_stream.stage import Stage

_MILLISECOND: Final = 1_000_000


class Step(Struct, frozen=True, gc=False):
    """One event of the log, and what it emitted."""

    event: Event
    outputs: tuple[Output, ...]


class Trial:
    """One rule on the log, by itself; folds of all partitions of the stage where it would run."""

    def __init__(self, rule_text: str, rule: Rule, partitions: PartitionSettings) -> None:
        self.rule = rule
        self.scope = scope_of(rule)
        self.stage = stage_of(self.scope, partitions)
        entry = Entry(rule.id, max(1, rule.version), rule_text)
        self._seed = encoded(Change((entry,), bucket=1, fixed=FOR_EVER)).decode()
        self._folds: dict[int, FraudFold] = {}

    def apply(self, number: int, event: Event) -> tuple[Output, ...]:
        """Fold one event of a partition; return what it emits."""
        fold = self._folds.get(number)
        if fold is None:
            fold = self._folds[number] = FraudFold(self._seed, self.scope, number)
        return tuple(fold.apply(event))

    def kind(self, event: Event) -> tuple[str, str]:
        """Return what an event is, `made` or `labeled`, and its card; empty for anything else."""
        subject = event.subject
        if self.scope.whole:
            _, _, subject = subject.partition(".")
        if not subject.startswith(EVENT_PREFIX):
            return "", ""
        kind, _, card = subject[len(EVENT_PREFIX) :].partition(".")
        return kind, card

    def begins_ns(self, since_ns: int) -> int:
        """Return the arrival from which to fold so that its windows are full at `since_ns`.

        The model has learned from all that there is, so where it is asked that is 0.
        """
        if self.scope is MODEL:
            return 0
        back_ms = self.rule.memory_ms + ALLOWED_SKEW_MS
        return max(1, since_ns // _MILLISECOND - back_ms) * _MILLISECOND if since_ns else 0


def stage_of(scope: Scope, partitions: PartitionSettings) -> Stage:
    """Return the stage of a scope."""
    if scope is CARDS:
        return card_stage(partitions)
    return model_stage() if scope is MODEL else keyed_stage()


async def steps(
    client: Client, trial: Trial, begin_ns: int, subject: str = ""
) -> AsyncIterator[list[Step]]:
    """Yield the events of the log from an arrival on with what the trial emits, page by page.

    `subject` restricts what is read. Raises broker errors.
    """
    stage = trial.stage
    span = Span(subject or stage.all_events(), begin_ns)
    async for page in history.pages(client, stage.source.name, span):
        found: list[Step] = []
        for stored in page:
            placed = stage.placed(stored.subject)
            if placed is None:
                continue
            number, subject_of_event = placed
            event = Event(
                stored.sequence,
                stored.arrival_ns,
                subject_of_event,
                stored.data,
                stored.headers,
            )
            found.append(Step(event, trial.apply(number, event)))
        yield found
