"""`headrace provision`: make the server match what the services declare."""

from __future__ import annotations

from typing import Annotated

import typer

from shared import provision as provisioning
from shared import registry, settings
from shared.cli import terminal
from shared.cli.topologies import united
from shared.settings import StreamSettings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes, make none.")]


def provision(*, dry_run: DryRun = False) -> None:
    """Create and update streams and durables, as the services declare them.

    What JetStream cannot change in place is refused, with the command that mends it; then
    nothing at all is changed.
    """
    terminal.run(_provision(dry_run=dry_run))


async def _provision(*, dry_run: bool) -> None:
    topology = united(entry.topology() for entry in registry.services())
    async with terminal.broker_client() as client:
        changes = await provisioning.plan(client, topology, settings.load(StreamSettings))
        for line in provisioning.render(changes):
            terminal.print_line(line)
        if not dry_run:
            await provisioning.apply(client, changes)
