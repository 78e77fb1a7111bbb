"""What one partition must have emitted, by a fold of its own, and how that compares."""

from __future__ import annotations

import re
from array import array

from msgspec import Struct

from shared.contracts import headers
from shared.log_stream.emitted import Within, digest
from shared.log_stream.fold import Event, Fold, Output
from shared.log_stream.history import Stored
from shared.log_stream.position import Position

_TTL = re.compile(r"(\d+)([smh]?)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_MARGIN_NS = 60 * 1_000_000_000


class Verdict(Struct):
    """What was found of one partition; `difference` is the first one in words, if any."""

    partition: int
    since: int = 0
    """Outputs of events up to this one were not looked at."""
    events: int = 0
    outputs: int = 0
    difference: str = ""


class Expected:
    """Outputs of one partition in order, as digests: 1,000,000 take 40 MB.

    `begin` is the first event to fold, `since` the last one whose outputs are not compared.
    Outputs that expire by themselves are compared as long as they must still be there.
    """

    def __init__(self, number: int, record: Position, fold: Fold, within: Within | None) -> None:
        self.record = record
        self.fold = fold
        self.begin = record.begin
        self.verdict = Verdict(number, record.since)
        self._within = within
        self._now_ns = 0
        self._digests: list[bytes] = []
        self._sequences = array("q")
        self._seen = 0
        self._expired = 0
        """Expiring outputs of events up to this one may be gone."""

    def begin_with(self, sequence: int) -> None:
        """Go on from a state that was restored, which contains this event last."""
        self.begin, self.verdict.since = sequence + 1, sequence

    def look_at(self, now_ns: int) -> None:
        """Tell what time it is, by the server."""
        self._now_ns = now_ns

    def counts(self, sequence: int) -> bool:
        """Tell whether the event is to be folded: its outputs were committed, be it in part."""
        return self.begin <= sequence <= self.record.sequence

    def apply(self, event: Event) -> None:
        """Fold one event and note what it must have emitted."""
        outputs = self.fold.apply(event)
        self.verdict.events += 1
        if event.sequence <= self.verdict.since:
            return
        if event.sequence == self.record.sequence:
            outputs = outputs[: self.record.outputs]
        for output in outputs:
            if self._within and not self._within.holds(output.data):
                continue
            if self._has_expired(event, output):
                continue
            self._digests.append(digest(output.subject, output.data, output.headers))
            self._sequences.append(event.sequence)
            self.verdict.outputs += 1

    def compare(self, stored: Stored, subject: str, sequence: int, where: str) -> None:
        """Compare the next message that was emitted."""
        if not self.begin <= sequence or sequence <= self.verdict.since:
            return
        if self._within and not self._within.holds(stored.data):
            return
        if sequence <= self._expired and headers.TTL in (stored.headers or {}):
            return
        number, verdict = self._seen, self.verdict
        if number >= len(self._digests):
            if sequence < self.record.sequence:
                self._differ(f"{where} of event {sequence} is more than the fold gives")
            return  # committed since this began
        self._seen += 1
        if verdict.difference:
            return
        if self._sequences[number] != sequence:
            self._differ(
                f"{where} is of event {sequence}, where the fold gives one of event "
                f"{self._sequences[number]}"
            )
        elif self._digests[number] != digest(subject, stored.data, stored.headers):
            self._differ(f"{where}, of event {sequence}, is not what the fold gives")

    def finish(self, target: str) -> None:
        """See that nothing is missing at the end."""
        if self._seen < len(self._digests):
            missing = len(self._digests) - self._seen
            self._differ(
                f"{target} lacks {missing} of {len(self._digests)} outputs; the first of them is "
                f"of event {self._sequences[self._seen]}"
            )

    def _has_expired(self, event: Event, output: Output) -> bool:
        match = _TTL.fullmatch((output.headers or {}).get(headers.TTL, ""))
        if match is None:
            return False
        life_ns = int(match[1]) * _UNIT_SECONDS[match[2]] * 1_000_000_000
        if event.arrival_ns + life_ns > self._now_ns + _MARGIN_NS:
            return False
        self._expired = max(self._expired, event.sequence)
        return True

    def _differ(self, words: str) -> None:
        self.verdict.difference = self.verdict.difference or words
