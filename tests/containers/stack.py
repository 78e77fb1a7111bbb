"""The containers of `compose.yaml`, started, disturbed and asked by the compose command itself."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.eventually import eventually
from tests.headrace import environment
from tests.processes import free_ports

ROOT = Path(__file__).parents[2]
TAG = os.environ.get("HEADRACE_TAG", "latest")
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/__main__.py"))
EVERY_IMAGE = ["headrace", *SERVICES]
READY_SECONDS = 60

_COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
_COMMAND_SECONDS = 180


class Stack(Struct, frozen=True):
    """One project of compose: its own containers, network and volumes, its own port."""

    environment: dict[str, str]
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where clients on this machine connect."""
        return f"nats://127.0.0.1:{self.environment['NATS_PORT']}"

    def with_tag(self, tag: str) -> Stack:
        """Return the same project, whose services run the images of this tag."""
        return replace(self, environment=self.environment | {"HEADRACE_TAG": tag})

    def compose(self, *arguments: str) -> str:
        """Run a command of compose; return what it printed."""
        return run(*_COMPOSE, *self.options, *arguments, env=environment(**self.environment))

    async def to(self, *arguments: str) -> str:
        """Run a command of compose while the test goes on."""
        return await asyncio.to_thread(self.compose, *arguments)

    async def headrace(self, *arguments: str) -> str:
        """Run the operators' command in a container of its own."""
        return await self.to("run", "--rm", "-T", "headrace", *arguments)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers that run."""
        return self.compose("ps", "-q", service).split()

    async def healthy(self, *services: str) -> None:
        """Wait until the health check of every container of these services is content."""
        for service in services:
            await eventually(partial(self._is_healthy, service), READY_SECONDS)

    def _is_healthy(self, service: str) -> bool:
        states = [inspected(one)["State"] for one in self.containers(service)]
        return bool(states) and all(one["Health"]["Status"] == "healthy" for one in states)


@contextmanager
def running(
    project: str, *options: str, services: Sequence[str] = (), **variables: str
) -> Iterator[Stack]:
    """Bring the project up, and down again with all that it left; tell its logs of a failure."""
    (port,) = free_ports(1)
    layers = [os.environ.get("COMPOSE_FILE", "compose.yaml"), "tests/containers/compose.yaml"]
    own = {
        "COMPOSE_PROJECT_NAME": project,
        "COMPOSE_FILE": ":".join(layers),
        "HEADRACE_TAG": TAG,
        "NATS_PORT": str(port),
    } | {name: os.environ[name] for name in ("NATS_IMAGE",) if name in os.environ}
    stack = Stack(own | variables, options)
    try:
        stack.compose("up", "-d", "--no-build", *services)
        yield stack
    except BaseException:
        print(stack.compose("logs", "--no-color", "--tail", "40"))  # noqa: T201 - pytest shows it
        raise
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")


def run(*command: str, env: dict[str, str] | None = None, stderr: bool = False) -> str:
    """Run a command in the project's folder; return its output, fail if it fails.

    With `stderr` that is both outputs, as they came.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if stderr else subprocess.PIPE,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def inspected(thing: str) -> dict[str, Any]:
    """Return what the engine knows of a container or an image."""
    found: list[dict[str, Any]] = json.loads(run("docker", "inspect", thing))
    return found[0]


def image(name: str) -> str:
    """Return an image's whole name."""
    return f"headrace/{name}:{TAG}"
