"""What the aggregator runs on each partition, and where its rules come from.

The rule file reaches a fold through its log only: as the seed of a partition that nobody has
begun, later as the control message `rules`. So members whose files differ for a while agree on
what was in force when, and a replay knows it too.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib import resources
from pathlib import Path
from typing import Final

from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.fold import MetricsFold, checked_rules
from shared.deadline import Deadline
from shared.log_stream.fold import Fold
from shared.logs import logger

_log = logger("rules")

_LOOK_SECONDS: Final = 1.0


class MetricsProgram:
    """Folds samples by the rules of a file; `run` follows the file's changes.

    Raises `RuleError` where the file cannot be read or its rules cannot be used.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
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

    def fold(self, seed: str) -> MetricsFold:
        """Return the fold of a partition that began with these rules."""
        return MetricsFold(seed)

    def proposal(self, fold: Fold) -> tuple[str, bytes] | None:
        """Return the file's rules if the fold has others."""
        if not isinstance(fold, MetricsFold) or fold.rules_text == self._text:
            return None
        return "rules", self._text.encode()

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
