"""`headrace promote`: let the live service go on with the state of a generation."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli import terminal
from shared.cli.log_services import Service, of_service
from shared.cli.replay import existing, folding
from shared.cli.signals import stop_on_signals
from shared.log_stream import generations
from shared.log_stream.generation import LIVE, generation_of
from shared.log_stream.live_records import abort as undo
from shared.log_stream.promote import Promotion

Name = Annotated[str, typer.Argument(help="A generation of `headrace replay`.")]
Abort = Annotated[
    bool, typer.Option("--abort", help="Undo a promotion that was begun and is not complete.")
]


def promote(service: Service, name: Name, *, abort: Abort = False) -> None:
    """Let the live service go on with a generation's state: no gap and no double.

    Readers go on reading the same streams and subjects. Members are held for a moment. Killed at
    any point, the same command completes it. Their rule file must be the promoted one, else
    they change the rules back.
    """
    if name == LIVE:
        raise terminal.failed("live is live already", code=terminal.WRONG_USE)
    terminal.run(_abort(service, name) if abort else _promote(service, name))


async def _promote(service: str, name: str) -> None:
    async with terminal.broker() as broker:
        generation = await existing(broker.client, service, name)
        begun = await generations.begun(broker.client, generation)
        if begun is None:
            raise terminal.failed(f"{service} has no generation {name}")
        fixed_seed = of_service(service).fixed_seed
        promotion = Promotion(broker, generation, begun, terminal.print_line, fixed_seed)
        if await promotion.is_live():
            terminal.print_line(f"{name} is live already")
            return
        async with folding(broker.client, generation, begun, "catching up") as left:
            with stop_on_signals() as stop:
                stopped = await promotion.catch_up(left, stop)
        if stopped:
            raise terminal.failed("stopped before anything changed", code=terminal.INTERRUPTED)
        await promotion.complete()
        for note in await generations.notes(broker.client, generation_of(generation.live, LIVE)):
            terminal.print_line(note)
    terminal.print_line(f"{name} is live")


async def _abort(service: str, name: str) -> None:
    async with terminal.broker_client() as client:
        generation = await existing(client, service, name)
        released = await undo(client, generation)
    terminal.print_line(f"{released} partitions go on as before")
