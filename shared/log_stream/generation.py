"""A generation: a full copy of a service's stages, folding the same log beside the live one.

It reads what the live one reads and writes all that it writes under names of its own: results
and positions of generation `new` of `METRICS` stand in the stream `METRICS-new`, each under
`generation.new.` and its live subject. A later stage reads what an earlier one has written
there. It appends nothing to the log that it reads, and what it writes expires with it only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shared.contracts import headers
from shared.log_stream.stage import Stage, StageEntry
from shared.topology import Log

LIVE: Final = "live"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


class GenerationError(Exception):
    """There is no such generation, or it is not what was asked for; says what to do."""


class Generation(Struct, frozen=True):
    """A generation of a service, or the live one (`name` is then `live`)."""

    name: str
    live: tuple[StageEntry, ...]
    entries: tuple[StageEntry, ...]

    @property
    def targets(self) -> tuple[Log, ...]:
        """The streams that its stages write, once each."""
        return _targets(self.entries)

    @property
    def first(self) -> tuple[StageEntry, ...]:
        """The stages that read a log from outside."""
        return tuple(entry for entry in self.entries if self.feeds(entry) is None)

    @property
    def later(self) -> tuple[StageEntry, ...]:
        """The stages that read what an earlier one writes."""
        return tuple(entry for entry in self.entries if self.feeds(entry) is not None)

    def feeds(self, entry: StageEntry) -> Log | None:
        """Return the target that a stage reads, straight or copied; None: a log from outside."""
        return _feeds(entry.stage, self.targets)


def generation_of(live: tuple[StageEntry, ...], name: str) -> Generation:
    """Return the generation `name` of a service with these stages. Raises `GenerationError`."""
    if name == LIVE:
        return Generation(name, live, live)
    if not _NAME.fullmatch(name):
        raise GenerationError(f"{name!r} is no name: 1 to 32 letters, digits, `-` and `_`")
    targets = _targets(live)
    copies = tuple(replace(entry, stage=_copy(entry.stage, name, targets)) for entry in live)
    return Generation(name, live, copies)


def prefix_of(name: str) -> str:
    """Return what all subjects of a generation begin with."""
    return "" if name == LIVE else f"generation.{name}."


def _targets(entries: Iterable[StageEntry]) -> tuple[Log, ...]:
    """Return the streams that stages write, once each."""
    targets = (entry.stage.target for entry in entries)
    return tuple({target.name: target for target in targets if isinstance(target, Log)}.values())


def _feeds(stage: Stage, targets: Iterable[Log]) -> Log | None:
    events = f"{stage.source.prefix}.>"
    return next((target for target in targets if events in target.subjects), None)


def _copy(stage: Stage, name: str, targets: Iterable[Log]) -> Stage:
    prefix = prefix_of(name)
    source, target = stage.source, stage.target
    if not isinstance(target, Log):
        raise GenerationError(f"{stage.group} writes into {target.name}, which others read")
    if feeding := _feeds(stage, targets):
        source = replace(source, name=f"{feeding.name}-{name}", prefix=prefix + source.prefix)
    return replace(
        stage,
        group=f"{stage.group}-{name}",
        source=source,
        target=Log(
            name=f"{target.name}-{name}",
            subjects=(
                *(prefix + subject for subject in target.subjects),
                f"{prefix}begun.{target.name}",
            ),
            description=f"Generation {name} of {target.name}",
            atomic=True,
            keep=True,
            max_message_bytes=target.max_message_bytes,
        ),
        positions=prefix + stage.positions,
        snapshot_prefix=f"{stage.snapshot_prefix}.generation.{name}",
        told=False,
        record_headers=headers.IN_PLACE,
        outputs=prefix + stage.outputs,
    )
