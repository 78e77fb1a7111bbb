"""`headrace lag`: how far each partition of the log services is behind, live."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from msgspec import Struct
from nats.aio.client import Client
from rich.live import Live
from rich.table import Table

from shared.cli import terminal
from shared.cli.log_services import log_service, log_services, of_service
from shared.log_stream.records import pending, read_record
from shared.log_stream.stage import Stage

_REFRESH_SECONDS = 1.0

Service = Annotated[str | None, typer.Option("--service", help="Only this service.")]
Once = Annotated[bool, typer.Option("--once", help="Print once and end.")]


class Row(Struct, frozen=True):
    """One partition: who owns it, where it stands, how many events it has not read."""

    group: str
    partition: int
    owner: str
    epoch: int
    position: int
    lag: int | None
    snapshot: int | None


def lag(*, service: Service = None, once: Once = False) -> None:
    """Show owner, position and lag of every partition.

    `lag` counts events that are stored and not yet read; a dash where nobody has read yet.
    Off a terminal it prints once, one line a partition.
    """
    terminal.run(_lag(service, once=once))


async def rows(client: Client, stages: tuple[Stage, ...]) -> list[Row]:
    """Return the state of every partition, as the server knows it. Raises broker errors."""
    wanted = [(stage, n) for stage in stages for n in range(stage.source.partitions)]
    return list(await asyncio.gather(*(_row(client, stage, n) for stage, n in wanted)))


async def _lag(service: str | None, *, once: bool) -> None:
    found = log_services() if service is None else {service: log_service(service)}
    stages = tuple(
        stage
        for name, entries in found.items()
        for stage in (*(entry.stage for entry in entries), *of_service(name).beside())
    )
    async with terminal.broker_client() as client:
        if not terminal.console.is_terminal:
            for row in await rows(client, stages):
                behind = "-" if row.lag is None else row.lag
                terminal.print_line(
                    f"{row.group} {row.partition} owner={row.owner or '-'} epoch={row.epoch} "
                    f"position={row.position} lag={behind}"
                )
            return
        with Live(console=terminal.console, auto_refresh=False) as live:
            while True:
                live.update(_table(await rows(client, stages)), refresh=True)
                if once:
                    return
                await asyncio.sleep(_REFRESH_SECONDS)


async def _row(client: Client, stage: Stage, number: int) -> Row:
    _, record = await read_record(client, stage, number)
    return Row(
        group=stage.group,
        partition=number,
        owner=record.owner,
        epoch=record.epoch,
        position=record.sequence,
        lag=await pending(client, stage, number),
        snapshot=record.snapshot.sequence if record.snapshot else None,
    )


def _table(found: list[Row]) -> Table:
    table = Table(title=f"lag {sum(row.lag or 0 for row in found)}", box=None)
    for heading in ("group", "partition", "owner", "epoch", "position", "snapshot", "lag"):
        justify = "left" if heading in {"group", "owner"} else "right"
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal, either way
    for row in found:
        cells = (row.group, row.partition, row.owner or "-", row.epoch, row.position, row.snapshot)
        behind = "-" if row.lag is None else row.lag
        table.add_row(*("-" if cell is None else str(cell) for cell in (*cells, behind)))
    return table
