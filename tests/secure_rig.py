"""A server with the generated users, services that run under their own, and what it refused."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import nats
from nats.aio.client import Client

from shared import registry
from shared.cli.permissions import needs_of
from shared.permissions import User, inbox_prefix, users
from shared.permissions_text import configuration, variable
from tests.eventually import eventually
from tests.headrace import Finished, headrace
from tests.processes import Process
from tests.server import Server

VIOLATION = "Violation"


NEEDS = [needs_of(entry) for entry in registry.services()]


class SecureServer(Server):
    """A server of the generated users, each with a password by chance."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.users: tuple[User, ...] = users(NEEDS)
        self.passwords = {user.name: f"p{secrets.token_hex(12)}" for user in self.users}
        text = configuration(self.users, "password")
        variables = {variable(u, "password"): self.passwords[u.name] for u in self.users}
        super().__init__(folder, config=f"{config}\n{text}", variables=variables)

    def login(self, user: str) -> dict[str, str]:
        """Return the environment of a process that logs in as this user."""
        return {
            "NATS_USER": user,
            "NATS_PASSWORD": self.passwords[user],
            "NATS_INBOX_PREFIX": inbox_prefix(user),
            "STREAM_PROVISION": "check",
        }

    def violations(self) -> list[str]:
        """Return what the server has refused so far, in its own words."""
        return [line for line in self.log.splitlines() if VIOLATION in line]

    async def provisioned(self, **variables: str) -> None:
        """Let the operator make all streams."""
        done = await self.headrace("provision", **variables)
        assert done.code == 0, done.err

    async def headrace(self, *arguments: str, user: str = "operator", **variables: str) -> Finished:
        """Run `headrace` as a user."""
        return await headrace(*arguments, url=self.url, env=self.login(user) | variables)


def assert_nothing_refused(server: SecureServer, processes: Iterable[Process]) -> None:
    """See that neither the server nor a service speaks of a refused subject."""
    assert server.violations() == []
    for process in processes:
        assert [line for line in process.log if VIOLATION.lower() in str(line).lower()] == []


class LoggedIn:
    """A connection as one user that notes what the server refuses."""

    def __init__(self, client: Client, heard: list[str]) -> None:
        self.client = client
        self._heard = heard

    async def refused_to_publish(self, subject: str) -> None:
        """Publish, and see that the server refuses it."""
        await self.client.publish(subject, b"{}")
        await self._hears(f'permissions violation for publish to "{subject}"')

    async def refused_to_subscribe(self, subject: str) -> None:
        """Subscribe, and see that the server refuses it."""
        await self.client.subscribe(subject)
        await self._hears(f'permissions violation for subscription to "{subject}"')

    async def _hears(self, words: str) -> None:
        await self.client.flush()
        # nats-py writes what the server says in small letters.
        await eventually(lambda: any(words.lower() in said for said in self._heard), 5)


@contextlib.asynccontextmanager
async def logged_in(server: SecureServer, user: str) -> AsyncIterator[LoggedIn]:
    """Connect as a user."""
    heard: list[str] = []

    async def note(error: Exception) -> None:
        heard.append(re.sub(r"\s+", " ", str(error)))

    client = await nats.connect(
        server.url,
        user=user,
        password=server.passwords[user],
        inbox_prefix=inbox_prefix(user),
        error_cb=note,
    )
    try:
        yield LoggedIn(client, heard)
    finally:
        await client.close()
