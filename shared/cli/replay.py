"""`headrace replay`: fold a log again beside the live generation, under a name of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated

import typer
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker
from shared.cli import terminal
from shared.cli.log_services import Service, log_service, of_service
from shared.cli.progress import progress_line
from shared.cli.selecting import parse_since
from shared.cli.signals import stop_on_signals
from shared.log_stream import generations
from shared.log_stream.generation import LIVE, Generation, GenerationError, generation_of
from shared.log_stream.generations import Begun
from shared.log_stream.records import records_of
from shared.log_stream.replay import replay as run
from shared.log_stream.replay import sequence_at

Name = Annotated[
    str | None,
    typer.Option("--as", help="Name of the generation: letters, digits, `-`, `_`.", metavar="NAME"),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Where it begins: a sequence, a time (2026-11-23T08:00:00Z) or an age (15m, 2h, 3d); "
        "without it, with all that the log holds.",
        metavar="SEQ|TIME|AGE",
    ),
]
Rules = Annotated[
    Path | None,
    typer.Option(
        help="Fold by these rules, whatever the log says of rules.", exists=True, dir_okay=False
    ),
]
List = Annotated[bool, typer.Option("--list", help="Show the generations that there are.")]
Remove = Annotated[
    str | None,
    typer.Option("--remove", help="Remove a generation and its results.", metavar="NAME"),
]


def replay(
    service: Service,
    *,
    name: Name = None,
    begin: From = None,
    rules: Rules = None,
    show: List = False,
    remove: Remove = None,
) -> None:
    """Fold the log again beside the live generation, up to where the log ends now.

    The results stand in a stream of their own, `<stream>-<NAME>`, each under
    `generation.<NAME>.` and its live subject. Killed at any point, the same command goes on.
    """
    if sum((name is not None, show, remove is not None)) != 1:
        raise terminal.failed("name it: --as NAME; or --list, or --remove NAME", code=2)
    if show:
        terminal.run(_list(service))
    elif remove is not None:
        terminal.run(_remove(service, remove))
    elif name is not None:
        text = None if rules is None else rules.read_text("utf-8", "replace")
        terminal.run(_replay(service, name, begin or "", text))


async def _replay(service: str, name: str, asked: str, rules: str | None) -> None:
    generation = named(service, name)
    seed = None if rules is None else _fixed_seed(service, rules)
    async with terminal.broker() as broker:
        begins = await _begins(broker.client, generation, asked)
        begun = await generations.begin(
            broker.client, generation, Begun(asked, begins, rules, seed)
        )
        stopped = await _run_to_the_end(broker, generation, begun)
    if stopped:
        raise terminal.failed("stopped; the same command goes on", code=terminal.INTERRUPTED)
    begins_at = ", ".join(
        f"{entry.stage.source.name}:{begun.begins[entry.stage.source.name]}"
        for entry in generation.first
    )
    terminal.print_line(
        f"{name} has folded all, from {begins_at}\n"
        f"compare    headrace diff {service} live {name}\n"
        f"make live  headrace promote {service} {name}\n"
        f"remove     headrace replay {service} --remove {name}"
    )


async def _run_to_the_end(broker: Broker, generation: Generation, begun: Begun) -> bool:
    """Run it with a progress bar; tell whether a signal stopped it."""
    async with folding(broker.client, generation, begun, "replay") as left:
        with stop_on_signals() as stop:
            stopped = await run(broker, generation, left, stop)
        if not stopped:
            left(0, "all folded")
    return stopped


@contextlib.asynccontextmanager
async def folding(
    client: Client, generation: Generation, begun: Begun, title: str
) -> AsyncIterator[Callable[[int, str], None]]:
    """Show a bar of the events to fold; give a function that is told how many are left."""
    total = 0
    for entry in generation.first:
        stream = entry.stage.source.name
        state = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]
        begin = max(state["first_seq"], begun.begins[stream])
        total += max(0, state["last_seq"] + 1 - begin)
    done = 0
    with progress_line(title, total) as show:

        def left(events: int, words: str) -> None:
            nonlocal done
            done = max(done, total - events)
            show(done, words)

        yield left


def named(service: str, name: str) -> Generation:
    """Return a generation of a log service; a name that cannot be one ends the command."""
    try:
        return generation_of(log_service(service), name)
    except GenerationError as error:
        raise terminal.failed(str(error), code=terminal.WRONG_USE) from error


async def existing(client: Client, service: str, name: str) -> Generation:
    """Return a generation that was begun; where none was, the command ends."""
    generation = named(service, name)
    if name != LIVE and await generations.begun(client, generation) is None:
        found = await generations.names(client, generation.live)
        raise terminal.failed(
            f"{service} has no generation {name}; it has {', '.join((*found, LIVE))}",
            code=terminal.WRONG_USE,
        )
    return generation


def sources(generation: Generation) -> str:
    """Return the names of the logs from outside that a generation reads."""
    return ", ".join(dict.fromkeys(entry.stage.source.name for entry in generation.first))


def _fixed_seed(service: str, rules: str) -> str:
    make = of_service(service).fixed_seed
    if make is None:
        raise terminal.failed(f"{service} has no rules to replace", code=terminal.WRONG_USE)
    try:
        return make(rules, None)
    except ValueError as error:
        raise terminal.failed(f"--rules: {error}", code=terminal.WRONG_USE) from error


async def _begins(client: Client, generation: Generation, asked: str) -> dict[str, int]:
    """Return the first event that counts, by the name of each log from outside."""
    if asked.isdecimal() and len({entry.stage.source.name for entry in generation.first}) > 1:
        raise terminal.failed(
            f"a sequence of which log? It reads {sources(generation)}: name a time",
            code=terminal.WRONG_USE,
        )
    begins: dict[str, int] = {}
    for entry in generation.first:
        stream = entry.stage.source.name
        state = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]
        begin = max(1, state["first_seq"])
        if await _reaches_back(client, generation, entry.stage.source.name, begin):
            begin = 1  # what came before the first event was none: records, replaced since
        if asked.isdecimal():
            begin = max(begin, int(asked))
        elif asked:
            begin = max(begin, await sequence_at(client, stream, _time(asked)))
        begins[stream] = begin
    return begins


async def _reaches_back(client: Client, generation: Generation, stream: str, first: int) -> bool:
    """Tell whether a log that begins at `first` holds the events that live began with."""
    begun = [
        record.first[0]
        for stage in (entry.stage for entry in generation.live)
        if stage.source.name == stream
        for _, record in (await records_of(client, stage)).values()
    ]
    return any(begun) and min(filter(None, begun)) >= first


def _time(asked: str) -> dt.datetime:
    try:
        return parse_since(asked, dt.datetime.now(dt.UTC))
    except (ValueError, OverflowError) as error:
        raise terminal.failed(
            f"--from {asked!r} is neither a sequence nor a time (2026-11-23T08:00:00Z) nor an age "
            "(15m, 2h, 3d)",
            code=terminal.WRONG_USE,
        ) from error


async def _list(service: str) -> None:
    live = log_service(service)
    async with terminal.broker_client() as client:
        for name in await generations.names(client, live):
            generation = generation_of(live, name)
            begun = await generations.begun(client, generation)
            if begun is None:
                continue
            for entry in generation.first:
                stage = entry.stage
                records = [record for _, record in (await records_of(client, stage)).values()]
                terminal.print_line(
                    f"{name} {stage.source.name}:{begun.begins[stage.source.name]}"
                    f"-{max(record.sequence for record in records)} "
                    f"{'own rules' if begun.rules is not None else 'rules of the log'}"
                )


async def _remove(service: str, name: str) -> None:
    generation = named(service, name)
    if name == LIVE:
        raise terminal.failed("live is not removed: that is what the service writes", code=2)
    async with terminal.broker_client() as client:
        if await generations.begun(client, generation) is None:
            raise terminal.failed(f"{service} has no generation {name}")
        await generations.remove(client, generation)
    terminal.print_line(f"removed {name}")
