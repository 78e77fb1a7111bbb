"""The services that run log stages, for the commands about them."""

from __future__ import annotations

from typing import Annotated

import typer

from shared import registry
from shared.cli import terminal
from shared.cli.schema import unknown_name
from shared.log_stream.stage import StageEntry
from shared.registry import ServiceEntry
from shared.settings import SettingsError

Service = Annotated[str, typer.Argument(help="A log service, such as metrics_aggregator.")]


def log_services() -> dict[str, tuple[StageEntry, ...]]:
    """Return the stages of every log service, by its name. Raises `SettingsError`."""
    found = {entry.name: entry.stages() for entry in registry.services()}
    return {name: stages for name, stages in found.items() if stages}


def of_service(name: str) -> ServiceEntry:
    """Return all that is known of a log service of that name."""
    return next(entry for entry in registry.services() if entry.name == name)


def log_service(name: str) -> tuple[StageEntry, ...]:
    """Return the stages of one; a name that no log service has, or a setting, ends the command."""
    try:
        found = log_services()
    except SettingsError as error:
        raise terminal.failed(str(error), code=terminal.WRONG_USE) from error
    if name not in found:
        raise terminal.failed(unknown_name(name, found), code=terminal.WRONG_USE)
    return found[name]
