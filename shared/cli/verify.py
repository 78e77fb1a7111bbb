"""`headrace verify`: fold the logs again and compare with what the service has emitted."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from shared import jetstream
from shared.cli import terminal
from shared.cli.log_services import Service
from shared.cli.progress import progress_line
from shared.cli.replay import existing, named
from shared.cli.windows import Window
from shared.log_stream import generations
from shared.log_stream import verify as verifying
from shared.log_stream.emitted import Within
from shared.log_stream.generation import LIVE
from shared.log_stream.verify import UnverifiableError

Of = Annotated[str, typer.Option("--of", help="A generation of a replay.", metavar="NAME")]


def verify(service: Service, *, of: Of = LIVE, window: Window = None) -> None:
    """Fold the logs again and compare, byte for byte, with what was emitted from them.

    Nothing is written, and the members may run meanwhile. A line tells from which event on
    (`from=`) where that is not the beginning. Ends with 1 where something differs.
    """
    named(service, of)  # what cannot be needs no server to say so
    if terminal.run(_verify(service, of, window)):
        raise typer.Exit(terminal.FAILED)


async def _verify(service: str, of: str, within: Within | None) -> int:
    """Print a line for each partition; return how many differ."""
    differing = 0
    async with terminal.broker_client() as client:
        generation = await existing(client, service, of)
        for note in await generations.notes(client, generation):
            terminal.print_line(note)
        for entry in generation.entries:
            stage = entry.stage
            info = await jetstream.call(client, f"STREAM.INFO.{stage.source.name}")
            with progress_line("verify", info["state"]["messages"]) as show:
                try:
                    verdicts = await verifying.verify(
                        client, entry, partial(show, words=""), within
                    )
                except UnverifiableError as error:
                    raise terminal.failed(str(error)) from error
            for verdict in verdicts:
                differing += bool(verdict.difference)
                found = verdict.difference or "equal"
                since = f"from={verdict.since + 1} " if verdict.since else ""
                terminal.print_line(
                    f"{stage.group} {verdict.partition} {since}events={verdict.events} "
                    f"outputs={verdict.outputs} {found}"
                )
    return differing
