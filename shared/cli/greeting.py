"""What `headrace up` says when all is ready: what to type next."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from shared.broker import without_password
from shared.registry import ServiceEntry
from shared.settings import BrokerSettings

_INSTALL_NATS_CLI = "go install github.com/nats-io/natscli/nats@v0.5.1"
_DEFAULT_URL = BrokerSettings().url
_NATS = "nats "


def greeting(services: Iterable[ServiceEntry], url: str) -> list[str]:
    """Return the lines; where the server is not the default one, the commands name it."""
    shown = without_password(url)
    elsewhere = url != _DEFAULT_URL
    variable = f"NATS_URL={shown} " if elsewhere else ""
    lines = ["", "Try it, in another terminal:"]
    for service in {service.name: service for service in services}.values():
        lines += [
            f"  {_at(command, shown) if elsewhere else command}" for command in service.try_it
        ]
    lines += [
        "Traffic to look at:",
        f"  {variable}make demo",
        "What was set aside:",
        f"  {variable}.venv/bin/headrace dead list",
    ]
    if shutil.which("nats") is None:
        lines.append(f"The nats CLI: {_INSTALL_NATS_CLI} (or a release from its GitHub page)")
    return [*lines, "Ctrl-C stops everything.", ""]


def _at(command: str, url: str) -> str:
    if not command.startswith(_NATS):
        return command
    return f"nats -s {url} {command.removeprefix(_NATS)}"
