"""The commands of `headrace`, listed; each has a module of its own."""

from __future__ import annotations

import typer

from shared import registry
from shared.cli import (
    dead,
    demo,
    diff,
    doctor,
    lag,
    permissions,
    promote,
    provision,
    replay,
    schema,
    terminal,
    top,
    up,
    verify,
)

app = typer.Typer(
    name="headrace",
    help="Run and operate the services. The server is the one that NATS_URL names.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(up.up)
app.command()(demo.demo)
app.command()(provision.provision)
app.command()(permissions.permissions)
app.command()(schema.schema)
app.command()(lag.lag)
app.command()(top.top)
app.command()(doctor.doctor)
app.command()(replay.replay)
app.command()(diff.diff)
app.command()(promote.promote)
app.command()(verify.verify)
app.add_typer(dead.app, name="dead")
for _entry in registry.services():
    if _entry.commands is not None:
        app.add_typer(_entry.commands())


def main() -> None:
    """Run the command that the command line names."""
    try:
        app()
    except BrokenPipeError:
        terminal.silence_closed_pipe()


if __name__ == "__main__":
    main()
