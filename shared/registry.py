"""What the operators' CLI knows of a service, and how it finds the services.

Services announce themselves by the entry point group `headrace.services` in `pyproject.toml`,
so that `shared` imports none of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib.metadata import entry_points

import typer
from msgspec import Struct

from shared.log_stream.stage import Stage, StageEntry
from shared.topology import Topology

ENTRY_POINT_GROUP = "headrace.services"


class MessageType(Struct, frozen=True):
    """One kind of message: its name, where it travels, the struct of its body."""

    name: str
    subject: str
    body: type[Struct]
    description: str
    emitted: bool = False
    """Whether the service writes it; else it reads it."""


class DemoMessage(Struct, frozen=True):
    """A message of made-up traffic."""

    subject: str
    body: bytes
    message_id: str


DemoTraffic = Callable[[random.Random, int], DemoMessage]
"""Makes the n-th message of made-up traffic from a source of randomness."""


FixedSeed = Callable[[str, int | None], str]
"""Makes the seed of a fold that begins with these rules and heeds no other that the log names
up to that sequence, or ever (None). Raises `ValueError` for rules that cannot be used."""


class ServiceEntry(Struct, frozen=True):
    """A service as the CLI sees it; `name` is the module under `services`."""

    name: str
    description: str
    topology: Callable[[], Topology]
    """Reads the settings that it depends on; raises `SettingsError`."""
    messages: tuple[MessageType, ...]
    stages: Callable[[], tuple[StageEntry, ...]] = tuple
    """The log stages that it runs, in the order of the data, each with its fold.

    Reads the settings that they depend on; raises `SettingsError`.
    """
    fixed_seed: FixedSeed | None = None
    """Where rules decide what a fold does, and `headrace replay --rules` can replace them."""
    beside: Callable[[], tuple[Stage, ...]] = tuple
    """Stages that no replay copies, for `headrace lag`: projections, and feeds from other logs."""
    commands: Callable[[], typer.Typer] | None = None
    """Commands of its own that `headrace` takes over."""
    demo: DemoTraffic | None = None
    try_it: tuple[str, ...] = ()
    """Commands for a newcomer, printed by `headrace up` when the service is ready."""


def services() -> tuple[ServiceEntry, ...]:
    """Return every installed service, by name."""
    found = [point.load() for point in entry_points(group=ENTRY_POINT_GROUP)]
    return tuple(sorted(found, key=lambda entry: entry.name))
