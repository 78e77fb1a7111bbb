"""`headrace verify`: fold the logs again and compare with what the service has emitted."""

from __future__ import annotations

from functools import partial

import typer

from shared import jetstream
from shared.cli import terminal
from shared.cli.log_services import Service, log_service
from shared.cli.progress import progress_line
from shared.log_stream import verify as verifying
from shared.log_stream.verify import UnverifiableError


def verify(service: Service) -> None:
    """Fold the whole log again and compare, byte for byte, with what was emitted from it.

    Nothing is written, and the members may run meanwhile. Ends with 1 where something differs.
    """
    if terminal.run(_verify(service)):
        raise typer.Exit(terminal.FAILED)


async def _verify(service: str) -> int:
    """Print a line for each partition; return how many differ."""
    differing = 0
    entries = log_service(service)
    async with terminal.broker_client() as client:
        for entry in entries:
            stage = entry.stage
            info = await jetstream.call(client, f"STREAM.INFO.{stage.source.name}")
            with progress_line("verify", info["state"]["messages"]) as show:
                try:
                    verdicts = await verifying.verify(client, entry, partial(show, words=""))
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
