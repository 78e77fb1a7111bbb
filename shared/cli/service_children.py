"""Which services `headrace up` runs, how many of each, and with which environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from shared.cli.schema import unknown_name
from shared.registry import ServiceEntry
from shared.settings import BrokerSettings
from shared.supervisor.child import ChildSpec

MAX_SCALE = 64


class Replica(Struct, frozen=True):
    """One process of a service; `http_port` is 0 where health is not served."""

    service: ServiceEntry
    name: str
    http_port: int

    def spec(self, url: str, *, fresh_broker: bool) -> ChildSpec:
        """Return how to run it on the server at `url`.

        A fresh broker knows no users and no TLS: what the environment says of them is for
        another server, and is left out.
        """
        environment = {"LOG_FORMAT": "console", **os.environ, "PYTHONUNBUFFERED": "1"}
        if fresh_broker:
            for info in msgspec.structs.fields(BrokerSettings):
                environment.pop(info.encode_name, None)
            environment["NATS_URL"] = url
        if self.http_port:
            environment["HTTP_PORT"] = str(self.http_port)
        command = (sys.executable, "-m", f"services.{self.service.name}")
        return ChildSpec(self.name, command, environment)


def replicas(
    services: Sequence[ServiceEntry], scale: dict[str, int], *, http_port: int
) -> tuple[Replica, ...]:
    """Return what to run; with an `http_port` the first takes that one, the next the next."""
    names = [
        (service, f"{service.name}.{number}" if scale.get(service.name, 1) > 1 else service.name)
        for service in services
        for number in range(1, scale.get(service.name, 1) + 1)
    ]
    return tuple(
        Replica(service, name, http_port + place if http_port else 0)
        for place, (service, name) in enumerate(names)
    )


def parse_scale(texts: Iterable[str], known: Sequence[str]) -> dict[str, int]:
    """Read `service=3`. Raises `ValueError` in words for the user."""
    scale: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in known:
            raise ValueError(unknown_name(name, known))
        if not number.isdecimal() or int(number) > MAX_SCALE:
            raise ValueError(f"--scale {text}: say {name}=N, N from 0 to {MAX_SCALE}")
        scale[name] = int(number)
    return scale
