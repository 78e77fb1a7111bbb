"""`headrace permissions`: the users of the server, worked out from what the services declare."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from shared import registry
from shared.cli import terminal
from shared.permissions import users
from shared.permissions_text import configuration, new_passwords, table
from shared.service_grants import ServiceNeeds
from shared.settings import SettingsError


class Format(StrEnum):
    """How it is printed."""

    NATS = "nats"
    TABLE = "table"
    ENV = "env"


class Auth(StrEnum):
    """How the users log in."""

    PASSWORD = "password"  # noqa: S105 - the word, no password
    NKEY = "nkey"
    LOCAL = "local"


FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        help="`nats`: configuration of nats-server; `table`: Markdown; "
        "`env`: new passwords, as `.env` for compose.yaml.",
    ),
]
AuthOption = Annotated[
    Auth,
    typer.Option(
        help="Users with a password each, or with an nkey each; "
        "`local`: for a server that only its own machine reaches, which needs no login."
    ),
]


def permissions(form: FormatOption = Format.NATS, auth: AuthOption = Auth.PASSWORD) -> None:
    """Print one user a service, and `publisher`, `operator` and `dashboard`.

    Each may do what the topology demands of it. The settings that shape the topology count:
    with METRICS_RULES set, the aggregator may read the logs that its rules name.
    """
    try:
        found = users([needs_of(entry) for entry in registry.services()])
    except SettingsError as error:
        raise terminal.failed(str(error), code=terminal.WRONG_USE) from error
    match form:
        case Format.TABLE:
            text = table(found)
        case Format.ENV:
            text = new_passwords(found)
        case Format.NATS:
            text = configuration(found, auth.value)
    for line in text.splitlines():
        terminal.print_line(line)


def needs_of(entry: registry.ServiceEntry) -> ServiceNeeds:
    """Return what permissions depend on. Raises `SettingsError`."""
    stages = (*(stage.stage for stage in entry.stages()), *entry.beside())
    return ServiceNeeds(entry.name, entry.description, entry.topology(), stages)
