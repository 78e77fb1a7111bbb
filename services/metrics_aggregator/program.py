"""What the aggregator runs on each partition, and where its rules come from.

The rule file reaches a fold through its log only: as the seed of a partition that nobody has
begun, later as the control message `rules`. So members whose files differ for a while agree on
what was in force when, and a replay knows it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from services.metrics_aggregator.domain.partials import source_key
from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.domain.rules import Source
from services.metrics_aggregator.fold import FOLLOW, RULES, MetricsFold, checked_rules
from services.metrics_aggregator.horizon import Horizon
from shared.deadline import Deadline
from shared.log_stream.fold import CONTROL, Fold, Proposal
from shared.logs import logger

_log = logger("rules")

_LOOK_SECONDS: Final = 1.0
_FENCED_SECONDS: Final = 3.0
_AGAIN_SECONDS: Final = 10.0
_FOLLOW_SECONDS: Final = 2.0
"""So long a lane must be silent before it follows the time of the others."""


class MetricsProgram:
    """Folds samples by the rules of a file; `run` follows the file's changes.

    Raises `RuleError` where the file cannot be read or its rules cannot be used.
    """

    def __init__(
        self,
        file: Path | None,
        merges: int = 1,
        idle_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._clock = clock
        self._merges = merges
        self._horizon: Horizon | None = None
        self._follow_seconds = min(_FOLLOW_SECONDS, idle_seconds)
        self._wished: dict[int, tuple[str, float]] = {}
        self._quiet: dict[tuple[int, str], tuple[int, float]] = {}
        self._text = _read(file)
        self._looked_at: str | None = self._text
        self._refused = ""
        checked_rules(self._text)

    @property
    def ready(self) -> bool:
        """Whether the file's rules are those in force."""
        return not self._refused

    def seed(self) -> str:
        """Return the rules that a new partition begins with."""
        return self._text

    def sources(self) -> dict[str, Source]:
        """Return the other logs that the file's rules read, by key."""
        found = {source_key(rule.source): rule.source for rule in checked_rules(self._text)}
        return {key: source for key, source in found.items() if key}

    def look_at(self, horizon: Horizon) -> None:
        """Let idle partitions follow the others from now on."""
        self._horizon = horizon

    def fold(self, seed: str, partition: int) -> MetricsFold:
        """Return the fold of a partition that began with these rules."""
        return MetricsFold(seed, partition, self._merges)

    def proposal(self, fold: Fold, *, caught_up: bool) -> Proposal | None:
        """Return the file's rules if the fold has others; else whom an idle lane follows."""
        if not isinstance(fold, MetricsFold):
            return None
        if proposal := self._change(fold, caught_up=caught_up):
            return proposal
        known = self._horizon.known() if self._horizon else {}
        ahead = {
            source: mark_ms
            for source, mark_ms in known.items()
            if source in fold.lanes and self._follows(fold, source, mark_ms)
        }
        if not ahead:
            return None
        # No fence: samples may come meanwhile, of other sources or late ones. Two owners who
        # both say it do no harm.
        return Proposal(FOLLOW.removeprefix(CONTROL), msgspec.json.encode(ahead), fenced=False)

    def _change(self, fold: MetricsFold, *, caught_up: bool) -> Proposal | None:
        """Return the file's rules if the fold has others.

        Behind the last event at first, so that a zombie's are refused. Where events never cease
        that does not succeed: then wherever it comes, now and again until the fold sees it.
        """
        if fold.rules_text == self._text:
            self._wished.pop(fold.partition, None)
            return None
        now = self._clock()
        text, again = self._wished.get(fold.partition, ("", 0.0))
        if text != self._text:
            again = now + _FENCED_SECONDS
        unfenced = now >= again
        self._wished[fold.partition] = (self._text, now + _AGAIN_SECONDS if unfenced else again)
        if not caught_up and not unfenced:
            return None
        return Proposal(RULES.removeprefix(CONTROL), self._text.encode(), fenced=not unfenced)

    def _follows(self, fold: MetricsFold, source: str, mark_ms: int) -> bool:
        """Tell whether a lane has been idle long enough, and others are ahead of it."""
        lane = fold.lanes[source]
        now = self._clock()
        arrival_ns, since = self._quiet.get((fold.partition, source), (-1, now))
        if arrival_ns != lane.time.arrival_ns:
            since = now
        self._quiet[fold.partition, source] = (lane.time.arrival_ns, since)
        return now - since >= self._follow_seconds and lane.is_behind(mark_ms)

    async def run(self, stop: asyncio.Event, _: Deadline) -> None:
        """Read the file again whenever it changes; rules that cannot be used change nothing."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await stop.wait()
            if self._file is not None:
                await self._look(self._file)

    async def _look(self, file: Path) -> None:
        """Take the file's text if its rules can be used, else say once why not."""
        try:
            text = await asyncio.to_thread(_read, file)
        except RuleError as error:
            self._looked_at = None  # what can be read again is looked at again
            self._refuse(str(error))
            return
        if text == self._looked_at:
            return
        self._looked_at = text
        try:
            checked_rules(text)
        except RuleError as error:
            self._refuse(str(error))
            return
        self._refused = ""
        if text != self._text:
            self._text = text
            _log.info("rules changed", file=str(file))

    def _refuse(self, why: str) -> None:
        if why != self._refused:
            self._refused = why
            _log.error("rules refused", file=str(self._file), error=why)


def _read(file: Path | None) -> str:
    if file is None:
        return (resources.files("services.metrics_aggregator") / "rules" / "demo.yaml").read_text(
            "utf-8"
        )
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{file}: {error}") from None
