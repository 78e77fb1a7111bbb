"""`headrace verify`: fold the logs again and compare with what the service has emitted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from shared import jetstream, registry
from shared.cli import terminal
from shared.cli.progress import progress_line
from shared.cli.schema import unknown_name
from shared.log_stream import verify as verifying
from shared.log_stream.fold import Fold
from shared.log_stream.stage import Stage
from shared.log_stream.verify import UnverifiableError

Service = Annotated[str, typer.Argument(help="A log service, such as metrics_aggregator.")]


def verify(service: Service) -> None:
    """Fold the whole log again and compare, byte for byte, with what was emitted from it.

    Nothing is written, and the members may run meanwhile. Ends with 1 where something differs.
    """
    found = {
        entry.name: (entry.stages, entry.fold)
        for entry in registry.services()
        if entry.fold is not None
    }
    if service not in found:
        raise terminal.failed(unknown_name(service, found), code=terminal.WRONG_USE)
    stages, fold = found[service]
    if terminal.run(_verify(stages, fold)):
        raise typer.Exit(terminal.FAILED)


async def _verify(stages: Callable[[], tuple[Stage, ...]], fold: Callable[[str], Fold]) -> int:
    """Print a line for each partition; return how many differ."""
    differing = 0
    async with terminal.broker_client() as client:
        for stage in stages():
            info = await jetstream.call(client, f"STREAM.INFO.{stage.source.name}")
            with progress_line("verify", info["state"]["messages"]) as show:
                try:
                    verdicts = await verifying.verify(client, stage, fold, partial(show, words=""))
                except UnverifiableError as error:
                    raise terminal.failed(str(error)) from error
            for verdict in verdicts:
                differing += bool(verdict.difference)
                found = verdict.difference or "equal"
                terminal.print_line(
                    f"{stage.group} {verdict.partition} events={verdict.events} "
                    f"outputs={verdict.outputs} {found}"
                )
    return differing
