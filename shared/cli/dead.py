"""`headrace dead`: list, show and redrive what services have set aside."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import structs

from shared.cli import dead_redrive, dead_view, terminal
from shared.cli.selecting import (
    AsJson,
    Limit,
    Reason,
    Sequences,
    Service,
    Since,
    Stream,
    Subject,
)
from shared.dead_letters import Selection, read

app = typer.Typer(
    help="Dead letters: list, show, send back.", no_args_is_help=True, rich_markup_mode="markdown"
)

_TABLE_ROWS = 100

Sequence = Annotated[list[int], typer.Argument(min=1, help="As `list` shows it.", metavar="N...")]


@app.command("list")
def list_letters(  # noqa: PLR0913  each filter is an option of its own
    *,
    service: Service = None,
    reason: Reason = None,
    stream: Stream = None,
    subject: Subject = None,
    since: Since = None,
    sequence: Sequences = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest first; a table shows 100 unless `--limit` says otherwise."""
    selection = Selection(
        service=service,
        reason=reason,
        stream=stream,
        subject=subject,
        since=since,
        sequences=tuple(sequence or ()),
        limit=limit,
    )
    terminal.run(_print_lines(selection) if as_json else _print_table(selection))


@app.command()
def show(sequence: Sequence, *, as_json: AsJson = False) -> None:
    """Show dead letters with all headers and the body."""
    if not terminal.run(_show(Selection(sequences=tuple(sequence)), as_json=as_json)):
        numbers = ", ".join(map(str, sequence))
        raise terminal.failed(f"there is no dead letter {numbers}; see `headrace dead list`")


@app.command()
def redrive(  # noqa: PLR0913  each filter is an option of its own
    *,
    service: Service = None,
    reason: Reason = None,
    stream: Stream = None,
    subject: Subject = None,
    since: Since = None,
    sequence: Sequences = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show them, send none.")] = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="At most so many a second.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the letters where they are.")] = False,
) -> None:
    """Send dead letters back to the subject they came from, then remove them.

    Each goes as a new message with an id of its own and the header `Headrace-Redriven-From`.
    The first refusal, of a full queue say, ends the command; what was not sent stays.
    """
    selection = Selection(
        service=service,
        reason=reason,
        stream=stream,
        subject=subject,
        since=since,
        sequences=tuple(sequence or ()),
        limit=limit,
    )
    how = dead_redrive.How(dry_run=dry_run, rate=rate, ask=not yes, keep=keep)
    code = terminal.run(dead_redrive.redrive(selection, how))
    if code:
        raise typer.Exit(code)


async def _print_lines(selection: Selection) -> None:
    async with terminal.broker_client() as client:
        async for letter in read(client, selection, bodies=False):
            terminal.print_line(dead_view.as_json(letter, with_body=False))


async def _print_table(selection: Selection) -> None:
    rows = selection.limit or _TABLE_ROWS
    table = dead_view.table()
    more = False
    async with terminal.broker_client() as client:
        async for letter in read(client, structs.replace(selection, limit=rows + 1), bodies=False):
            more = table.row_count == rows
            if not more:
                dead_view.add(table, letter)
    if table.row_count == 0:
        terminal.console.print("no dead letters")
        return
    terminal.console.print(table)
    if more:
        terminal.console.print(f"there are more than these {rows}; see --limit and the filters")


async def _show(selection: Selection, *, as_json: bool) -> int:
    shown = 0
    async with terminal.broker_client() as client:
        async for letter in read(client, selection):
            shown += 1
            if as_json:
                terminal.print_line(dead_view.as_json(letter, with_body=True))
            else:
                terminal.console.print(dead_view.full(letter))
    return shown
