"""`headrace doctor`: look at a running system and say what would be lost when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any

import aiohttp
import typer
from nats.aio.client import Client

from shared import jetstream, provision, registry, settings
from shared.cli import doctor_checks as checks
from shared.cli import terminal
from shared.cli.doctor_checks import Finding, PartitionFacts
from shared.cli.topologies import united
from shared.log_stream.guard import nanoseconds
from shared.log_stream.position import Position
from shared.log_stream.records import pending, read_record
from shared.log_stream.stage import Stage
from shared.settings import StreamSettings
from shared.topology import DEAD_LETTERS, LEASES

_BETWEEN_LOOKS_SECONDS = 2.0
_HTTP_SECONDS = 5.0

Monitor = Annotated[
    str | None,
    typer.Option(help="Monitoring address of a server, as http://127.0.0.1:8222.", metavar="URL"),
]


def doctor(*, monitor: Monitor = None) -> None:
    """Say what would be lost when, and what is wrong, a line each; nothing is changed.

    Replicas, disk writes, duplicate windows, drifted streams, partitions that stand still, dead
    letters, clocks. Ends with 1 where a line is `bad`.
    """
    found = terminal.run(_doctor(monitor))
    for one in found:
        terminal.print_line(terminal.printable(f"{one.level:<5} {one.about:<24} {one.words}"))
    if any(one.level == "bad" for one in found):
        raise typer.Exit(terminal.FAILED)


async def _doctor(monitor: str | None) -> list[Finding]:
    entries = registry.services()
    topology = united(entry.topology() for entry in entries)
    stages = [stage.stage for entry in entries for stage in entry.stages()]
    async with terminal.broker_client() as client:
        changes = await provision.plan(client, topology, settings.load(StreamSettings))
        there = [
            change.name
            for change in changes
            if change.kind == "stream" and change.action != "create"
        ]
        infos = {name: await jetstream.call(client, f"STREAM.INFO.{name}") for name in there}
        found = [await _clock(client, there), checks.synchronisation(await _jetstream(monitor))]
        found += checks.drift(changes)
        found += [checks.replicas(info) for info in infos.values()]
        for check in (checks.room, checks.duplicate_window):
            found += [one for info in infos.values() if (one := check(info)) is not None]
        found += await _partitions(client, stages, infos)
        if DEAD_LETTERS.name in infos:
            letters = await jetstream.subject_counts(client, DEAD_LETTERS.name, "dead.>")
            found.append(checks.dead_letters(letters))
    return found


async def _clock(client: Client, streams: list[str]) -> Finding:
    name = streams[0] if streams else ""
    began = time.time()
    answer = await jetstream.call(client, f"STREAM.INFO.{name}") if name else {}
    ended = time.time()
    if "ts" not in answer:
        return Finding("note", "clock", "not compared: the server holds no stream of ours")
    there = nanoseconds(answer["ts"]) / 1e9
    return checks.clock((began + ended) / 2 - there, (ended - began) / 2)


async def _jetstream(monitor: str | None) -> Mapping[str, Any] | None:
    """Return JetStream's configuration from a monitoring port."""
    if monitor is None:
        return None
    url = f"{monitor.rstrip('/')}/jsz?config=true"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_HTTP_SECONDS)) as session,
            session.get(url) as answer,
        ):
            config: Mapping[str, Any] = (await answer.json())["config"]
            return config
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        words = str(error) or type(error).__name__
        raise terminal.failed(f"--monitor {url}: {words}", code=terminal.WRONG_USE) from error


async def _partitions(
    client: Client, stages: list[Stage], infos: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    stages = [one for one in stages if {one.source.name, one.target.name} <= infos.keys()]
    places = [(stage, number) for stage in stages for number in range(stage.source.partitions)]
    first = await asyncio.gather(*(_look(client, *place) for place in places))
    await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
    second = await asyncio.gather(*(_look(client, *place) for place in places))
    alive = {stage.group: await _alive(client, stage.group) for stage in stages}
    found = [checks.nobody(group, members) for group, members in alive.items()]
    for (stage, number), (before, was), (after, lag) in zip(places, first, second, strict=True):
        facts = PartitionFacts(
            stage=stage,
            number=number,
            record=after,
            alive=alive[stage.group],
            lags=(was, lag),
            positions=(before.sequence, after.sequence),
            source=infos[stage.source.name],
        )
        if (one := checks.partition(facts)) is not None:
            found.append(one)
    return found


async def _look(client: Client, stage: Stage, number: int) -> tuple[Position, int | None]:
    _, record = await read_record(client, stage, number)
    return record, await pending(client, stage, number)


async def _alive(client: Client, group: str) -> frozenset[str]:
    subjects = await jetstream.subject_counts(client, LEASES.name, f"leases.{group}.*")
    return frozenset(subject.rpartition(".")[2] for subject in subjects)
