"""The rules as the log tells them: which are in force at an event.

They live in the bucket `FRAUD_RULES`, and reach a fold through its log only: as the seed of a
partition that nobody has begun, later as control messages `rules`. Each entry carries the
revision that it has in the bucket, so a message that comes twice, or from a member that knows
less, changes nothing. A bucket that was made anew counts its revisions anew; it is told by the
time of its making, and its rules replace all that were there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from services.fraud_detector.domain.refusal import RuleError
from services.fraud_detector.domain.rules import Rule, parse_rule

FOR_EVER = (1 << 63) - 1


class Entry(Struct, frozen=True):
    """One key of the bucket: its revision, and the rule's text; None where it was deleted."""

    key: str
    revision: int
    text: str | None


class Change(Struct, frozen=True):
    """What a seed or a control message says: entries of the bucket made at `bucket`.

    `bucket` is nanoseconds since the epoch, 0 for none. `fixed`: no control message counts up
    to that sequence of the log, since these rules stand in a replay.
    """

    entries: tuple[Entry, ...]
    bucket: int = 0
    fixed: int = 0


class Refused(Struct, frozen=True):
    """An entry that cannot be used, and why; what was in force before stays in force."""

    entry: Entry
    why: str


class _Named(Struct):
    id: str


_change = msgspec.json.Decoder(Change)


class RuleBook:
    """Entries that are known, and the rules in force."""

    def __init__(self, seed: str) -> None:
        self.bucket = 0
        self.fixed = 0
        self._known: dict[str, int] = {}
        """Revision by key, of deleted and refused ones too."""
        self._texts: dict[str, Entry] = {}
        """What is in force, as it stands in the bucket."""
        self.rules: tuple[Rule, ...] = ()
        """Rules in force that are evaluated: active and shadow ones, by id."""
        if seed:
            change = _change.decode(seed)
            self.fixed = change.fixed
            self.change(change)

    def change(self, change: Change) -> list[Refused]:
        """Take in what is newer than what is known; return what cannot be used."""
        if change.bucket < self.bucket:
            return []
        if change.bucket > self.bucket:
            self.bucket, self._known = change.bucket, {}
            self._texts.clear()
        refused: list[Refused] = []
        for entry in change.entries:
            if entry.revision <= self._known.get(entry.key, 0):
                continue
            self._known[entry.key] = entry.revision
            if entry.text is None:
                self._texts.pop(entry.key, None)
                continue
            try:
                parse(entry)
            except RuleError as error:
                refused.append(Refused(entry, str(error)))
            else:
                self._texts[entry.key] = entry
        self._use()
        return refused

    def lacks(self, change: Change) -> Change | None:
        """Return what of a change is news here, or None."""
        if change.bucket < self.bucket:
            return None
        if change.bucket > self.bucket:
            return change
        news = tuple(
            entry for entry in change.entries if entry.revision > self._known.get(entry.key, 0)
        )
        return Change(news, change.bucket) if news else None

    def entry(self, rule_id: str) -> Entry | None:
        """Return what stands in the bucket for a rule in force."""
        return self._texts.get(rule_id)

    def snapshot(self) -> object:
        """Return all of it as plain data."""
        entries = [[one.key, one.revision, one.text] for one in self._texts.values()]
        return [self.bucket, self.fixed, self._known, entries]

    def restore(self, piece: Sequence[object]) -> None:
        """Continue where `snapshot` was taken."""
        types = tuple[int, int, dict[str, int], list[tuple[str, int, str]]]
        self.bucket, self.fixed, self._known, entries = msgspec.convert(piece, types)
        self._texts = {key: Entry(key, revision, text) for key, revision, text in entries}
        self._use()

    def _use(self) -> None:
        rules = (parse(self._texts[key]) for key in sorted(self._texts))
        self.rules = tuple(rule for rule in rules if rule.state in {"active", "shadow"})


def fixed(rules: str, until: int | None) -> str:
    """Return the seed of a replay by these rules, a JSON array of them, each with its id.

    No control message up to the sequence `until` changes them; None: none ever does. Raises
    `RuleError`.
    """
    try:
        texts = msgspec.json.decode(rules, type=list[msgspec.Raw])
        ids = [msgspec.json.decode(text, type=_Named).id for text in texts]
    except msgspec.DecodeError as error:
        raise RuleError(f"no JSON array of rules, each with its id: {error}") from None
    if len(set(ids)) < len(ids):
        raise RuleError("two rules have the same id")
    entries = tuple(
        Entry(key, 1, bytes(text).decode()) for key, text in zip(ids, texts, strict=True)
    )
    for entry in entries:
        try:
            parse(entry)
        except RuleError as error:
            raise RuleError(f"{entry.key}: {error}") from None
    return encoded(Change(entries, bucket=1, fixed=FOR_EVER if until is None else until)).decode()


def parse(entry: Entry) -> Rule:
    """Return the rule of an entry; its revision is its version where it names none.

    Raises `RuleError`.
    """
    return parse_rule(entry.text or "", entry.key, entry.revision)


def encoded(change: Change) -> bytes:
    """Return a change as seed or body of a control message."""
    return msgspec.json.encode(change)


def decoded(data: bytes) -> Change:
    """Return what a control message says. Raises `msgspec.DecodeError`."""
    return _change.decode(data)
