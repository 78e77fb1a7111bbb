"""`headrace diff`: where two generations of a log service differ."""

from __future__ import annotations

from typing import Annotated

import typer
from nats.aio.client import Client

from shared import jetstream
from shared.cli import terminal
from shared.cli.log_services import Service
from shared.cli.progress import progress_line
from shared.cli.replay import existing, named
from shared.cli.windows import Window
from shared.log_stream import generations
from shared.log_stream.diff import Comparison, compare
from shared.log_stream.emitted import Within
from shared.log_stream.generation import Generation

One = Annotated[str, typer.Argument(metavar="A", help="A generation, or `live`.")]
Other = Annotated[str, typer.Argument(metavar="B", help="Another one.")]


def diff(service: Service, one: One, other: Other, *, window: Window = None) -> None:
    """Compare what two generations have emitted: a line for each subject that differs.

    Compared are bodies and headers. Ends with 1 where something differs.
    """
    for name in (one, other):
        named(service, name)  # what cannot be needs no server to say so
    if terminal.run(_diff(service, (one, other), window)):
        raise typer.Exit(terminal.FAILED)


async def _diff(service: str, names: tuple[str, str], within: Within | None) -> int:
    """Print what differs; return how many subjects do."""
    async with terminal.broker_client() as client:
        one, other = [await existing(client, service, name) for name in names]
        for generation in (one, other):
            for note in await generations.notes(client, generation):
                terminal.print_line(note)
        total = await _stored(client, one) + await _stored(client, other)
        with progress_line("diff", total) as show:
            found = await compare(client, (one, other), lambda read: show(read, ""), within)
    _print(found, names)
    return len(found.differences)


async def _stored(client: Client, generation: Generation) -> int:
    infos = [
        await jetstream.call(client, f"STREAM.INFO.{target.name}") for target in generation.targets
    ]
    return sum(int(info["state"]["messages"]) for info in infos)


def _print(found: Comparison, names: tuple[str, str]) -> None:
    for difference in found.differences:
        a, b = difference.counts
        terminal.print_line(
            f"{difference.subject} {names[0]}={a} {names[1]}={b} "
            f"{terminal.printable(difference.first)}"
        )
    if found.reordered:
        terminal.print_line(
            f"{found.reordered} subjects in another order: several partitions write them"
        )
    for name, other, ahead in zip(names, names[::-1], found.ahead, strict=True):
        if ahead:
            terminal.print_line(f"{name} has {ahead} more at the ends: {other} has not come so far")
    differing = len(found.differences)
    terminal.print_line(
        f"{names[0]}={found.messages[0]} {names[1]}={found.messages[1]} messages on "
        f"{found.subjects} subjects: {f'{differing} differ' if differing else 'equal'}"
    )
