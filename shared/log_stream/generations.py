"""Generations as the server keeps them: begun, listed, removed.

How one was begun stands in a record of its own, beside its results. The batch that stores it
also stores the first position records, so of two who begin it at once one decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
from msgspec import Struct, field
from nats.aio.client import Client

from shared import atomic_batch, jetstream
from shared.atomic_batch import BatchMessage, must_not_exist
from shared.jetstream import JetStreamError
from shared.log_stream import position
from shared.log_stream.generation import Generation, GenerationError, prefix_of
from shared.log_stream.position import Position
from shared.log_stream.records import records_of
from shared.log_stream.stage import Stage, StageEntry
from shared.provision import provision
from shared.settings import StreamSettings
from shared.topology import Log, Topology

_TIMEOUT_SECONDS = 10.0


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


def _subject(generation: Generation) -> str:
    """Return the subject of the record of how it was begun; other services have theirs."""
    return f"{prefix_of(generation.name)}begun.{generation.live[0].stage.target.name}"


async def begun(client: Client, generation: Generation) -> Begun | None:
    """Return how a generation was begun; None if it was not. Raises broker errors."""
    target = generation.entries[0].stage.target.name
    stored = await jetstream.last_message(client, target, _subject(generation))
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
        record = BatchMessage(_subject(generation), msgspec.json.encode(asked), must_not_exist())
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
        records = [record for _, record in (await records_of(client, stage)).values()]
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
