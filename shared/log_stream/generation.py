"""A generation: a full copy of a service's stages, folding the same log beside the live one.

It reads what the live one reads and writes all that it writes under names of its own: results
and positions of generation `new` of `METRICS` stand in the stream `METRICS-new`, each under
`generation.new.` and its live subject. A later stage reads what an earlier one has written
there. It appends nothing to the log that it reads, and what it writes expires with it only.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace
from nats.aio.client import Client

from shared import atomic_batch, jetstream
from shared.atomic_batch import BatchMessage, must_not_exist
from shared.jetstream import JetStreamError
from shared.log_stream import position
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage, StageEntry
from shared.provision import provision
from shared.settings import StreamSettings
from shared.topology import Log, Topology

LIVE: Final = "live"

_TIMEOUT_SECONDS = 10.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


class GenerationError(Exception):
    """There is no such generation, or it is not what was asked for; says what to do."""


class Begun(Struct, frozen=True):
    """How a generation was begun; kept with it, since it goes on just so."""

    asked: str
    """The beginning as it was asked for; empty: all that the log held."""
    begins: dict[str, int]
    """The first event that counts, by the name of each log from outside."""
    rules: str | None = None
    """What it was begun with instead of the seeds of the live one."""
    seed: str | None = None
    """The seed made of these rules."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names this very generation, since names may be used again."""


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
        record_headers={},
        outputs=prefix + stage.outputs,
    )


def _begun(generation: Generation) -> str:
    """Return the subject of the record of how it was begun; other services have theirs."""
    return f"{prefix_of(generation.name)}begun.{generation.live[0].stage.target.name}"


async def begun(client: Client, generation: Generation) -> Begun | None:
    """Return how a generation was begun; None if it was not. Raises broker errors."""
    target = generation.entries[0].stage.target.name
    stored = await jetstream.last_message(client, target, _begun(generation))
    return None if stored is None else msgspec.json.decode(stored.data, type=Begun)


async def begin(client: Client, generation: Generation, asked: Begun) -> Begun:
    """Begin a generation, or see that it was begun just so; return how it was.

    Raises `GenerationError` where it was begun otherwise, and broker errors.
    """
    stored = await begun(client, generation)
    if stored is None:
        live = generation.live[0].stage.target.name
        info = await jetstream.call(client, f"STREAM.INFO.{live}")
        replicas = StreamSettings(replicas=info["config"]["num_replicas"])
        await provision(client, Topology(generation.targets), replicas)
        record = BatchMessage(_begun(generation), msgspec.json.encode(asked), must_not_exist())
        for target in generation.targets:
            first = target is generation.targets[0]
            records = await _records(client, generation, target, asked)
            await _store(client, [record, *records] if first else records)
        stored = await begun(client, generation)
    if stored is None or (stored.asked, stored.rules) != (asked.asked, asked.rules):
        raise GenerationError(_otherwise(generation.name, stored or asked, asked))
    for target in generation.targets[1:]:  # where it was killed in between
        await _store(client, await _records(client, generation, target, stored))
    return stored


async def _records(
    client: Client, generation: Generation, target: Log, how: Begun
) -> list[BatchMessage]:
    """Return the first position records of the stages that write to `target`."""
    records: list[BatchMessage] = []
    own = {entry.stage.group for entry in generation.first}
    for live, entry in zip(generation.live, generation.entries, strict=True):
        if entry.stage.target.name != target.name:
            continue
        first = entry.stage.group in own
        for number in range(entry.stage.source.partitions):
            seed = how.seed if first else None
            if seed is None:
                seed = await _live_seed(client, live.stage, number, needed=first)
            record = Position(
                epoch=1, owner="replay", seed=seed, begin=how.begins.get(entry.stage.source.name, 0)
            )
            data = msgspec.json.encode(record)
            records.append(BatchMessage(entry.stage.position(number), data, must_not_exist()))
    return records


async def _live_seed(client: Client, stage: Stage, number: int, *, needed: bool) -> str:
    _, record = await position.read(client, stage.target.name, stage.position(number))
    if needed and not record.epoch:
        raise GenerationError(
            f"{stage.group} has never run its partition {number}, so nobody knows what it begins "
            "with: start it once, or name the rules"
        )
    return record.seed


async def _store(client: Client, records: Sequence[BatchMessage]) -> None:
    """Store all of them, unless they are there."""
    try:
        await atomic_batch.commit(client, records, _TIMEOUT_SECONDS)
    except JetStreamError as error:
        if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
            raise


def _otherwise(name: str, stored: Begun, asked: Begun) -> str:
    since = f"--from {stored.asked}" if stored.asked else "no --from"
    what = "other rules" if stored.rules != asked.rules else "another beginning"
    given = "rules of its own" if stored.rules is not None else "no --rules"
    return (
        f"generation {name} was begun with {what} ({since}, {given}); go on just so, take another "
        f"name, or remove it: `headrace replay ... --remove {name}`"
    )


async def names(client: Client, live: tuple[StageEntry, ...]) -> list[str]:
    """Return which generations a service has, the live one apart. Raises broker errors."""
    target = live[0].stage.target.name
    found: list[str] = []
    while True:
        page = await jetstream.call(
            client,
            "STREAM.NAMES",
            {"subject": f"generation.*.begun.{target}", "offset": len(found)},
        )
        streams: list[str] = page.get("streams") or []
        found += streams
        if not streams or len(found) >= page["total"]:
            return sorted(name.removeprefix(f"{target}-") for name in found)


async def notes(client: Client, generation: Generation) -> list[str]:
    """Say what makes a generation's results others than those of the whole log."""
    found: list[str] = []
    for stage in (entry.stage for entry in generation.first):
        records = [
            (await position.read(client, stage.target.name, stage.position(number)))[1]
            for number in range(stage.source.partitions)
        ]
        begin = max(record.begin for record in records)
        if begin > 1:
            found.append(
                f"{generation.name} begins at {stage.source.name}:{begin}: results that need what "
                "came before are others, or missing"
            )
        since = max(record.since for record in records)
        if since:
            promoted = {record.generation for record in records if record.since}
            found.append(
                f"{generation.name} goes on with the state of {', '.join(sorted(promoted))}: up to "
                f"{stage.source.name}:{since} its results are those of the generation before"
            )
    return found


async def remove(client: Client, generation: Generation) -> None:
    """Remove streams, durables and snapshots of a generation. Raises broker errors."""
    for entry in generation.entries:
        stage = entry.stage
        await jetstream.call(
            client,
            f"STREAM.PURGE.{stage.snapshots.name}",
            {"filter": f"{stage.snapshot_prefix}.>"},
        )
        for number in range(stage.source.partitions):
            await _unless_gone(
                client, f"CONSUMER.DELETE.{stage.source.name}.{stage.durable(number)}"
            )
    for target in reversed(generation.targets):  # the first one tells that there is something left
        await _unless_gone(client, f"STREAM.DELETE.{target.name}")


async def _unless_gone(client: Client, subject: str) -> None:
    try:
        await jetstream.call(client, subject)
    except JetStreamError as error:
        if error.err_code not in jetstream.NOT_FOUND:
            raise
