"""No secret is ever logged: not at debug, not when the server is away, refuses or throws out."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import Struct

from shared.permissions import inbox_prefix, users
from tests.eventually import eventually
from tests.headrace import headrace
from tests.jwt_rig import JwtServer, new_key
from tests.processes import Process, end_all
from tests.secure_rig import NEEDS
from tests.server import Server

NOWHERE = "nats://127.0.0.1:1"
SERVICES = ("invoice_worker", "metrics_aggregator", "fraud_detector")
LOGINS = ("password", "password file", "password in the URL", "nkey", "credentials")
USERS = {user.name: user for user in users(NEEDS)}


class Login(Struct, frozen=True):
    """Settings of a login, the URL apart, what must not be seen, and a server that accepts it."""

    server: Server
    settings: dict[str, str]
    secrets: tuple[str, ...]
    in_url: str = ""

    def url(self, address: str) -> str:
        """Return the URL of a server with what the login puts into it."""
        return address.replace("nats://", f"nats://{self.in_url}") if self.in_url else address


def login_of(kind: str, folder: Path) -> Login:
    """Make keys and passwords by chance, and a server that takes them."""
    password, key = f"p{new_key('user').seed}", new_key("user")
    of_password = f"authorization {{ user: someone, password: {password} }}"
    if kind == "credentials":
        jwt_server = JwtServer(folder)
        file, its, jwt = jwt_server.credentials(USERS["operator"], folder / "some.creds")
        settings = {"NATS_CREDS": str(file), "NATS_INBOX_PREFIX": inbox_prefix("operator")}
        return Login(jwt_server, settings, (its.seed, jwt))
    if kind == "nkey":
        (folder / "seed").write_text(key.seed, "utf-8")
        server = Server(folder, config=f"authorization {{ users: [{{nkey: {key.public}}}] }}")
        return Login(server, {"NATS_NKEY_SEED_FILE": str(folder / "seed")}, (key.seed,))
    server = Server(folder, config=of_password)
    if kind == "password in the URL":
        return Login(server, {}, (password,), f"someone:{password}@")
    if kind == "password file":
        (folder / "password").write_text(password, "utf-8")
        settings = {"NATS_USER": "someone", "NATS_PASSWORD_FILE": str(folder / "password")}
        return Login(server, settings, (password,))
    return Login(server, {"NATS_USER": "someone", "NATS_PASSWORD": password}, (password,))


@pytest.fixture(params=LOGINS)
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Login]:
    """A login of each kind, its server running."""
    made = login_of(request.param, tmp_path)
    with made.server:
        yield made


def assert_nothing_said(processes: list[Process], login: Login) -> None:
    """See that no line holds a secret, nor a good part of one."""
    for process in processes:
        said = f"{process.log} {process.words}"
        assert process.log
        for secret in login.secrets:
            assert secret not in said
            assert secret[5:-5] not in said


@contextlib.contextmanager
def services(login: Login, url: str) -> Iterator[list[Process]]:
    """Run one process of each service with this login."""
    settings = {"LOG_LEVEL": "debug", "INVOICE_RENDER_PROCESSES": "0", **login.settings}
    running = [Process(f"services.{name}", login.url(url), **settings) for name in SERVICES]
    try:
        yield running
    finally:
        end_all(running)


async def test_nothing_is_said_while_all_is_well_and_when_the_server_goes(login: Login) -> None:
    with services(login, login.server.url) as running:
        for process in running:
            await process.started()
        login.server.kill()
        for process in running:
            await eventually(partial(process.events, "broker lost"), 20)
            process.terminate()
        for process in running:
            assert await process.exit_code() == 0
        assert_nothing_said(running, login)


async def test_nothing_is_said_while_the_server_is_away_or_refuses(
    login: Login, tmp_path: Path
) -> None:
    refusing = "authorization { user: nobody, password: none }"
    (tmp_path / "refusing").mkdir()
    with Server(tmp_path / "refusing", config=refusing) as other:
        for url in (NOWHERE, other.url, f"{NOWHERE},{other.url}"):
            with services(login, url) as running:
                for process in running:
                    await eventually(partial(process.events, "broker unreachable"), 30)
                    process.terminate()
                for process in running:
                    assert await process.exit_code() == 0
                assert_nothing_said(running, login)
        done = await headrace("lag", url=login.url(other.url), env=login.settings)
        assert done.code == 1
        assert not any(secret in f"{done.out}{done.err}" for secret in login.secrets)


async def test_nothing_is_said_when_the_server_throws_a_service_out(tmp_path: Path) -> None:
    login = login_of("password", tmp_path)
    with login.server as server, services(login, server.url) as running:
        for process in running:
            await process.started()
        config = tmp_path / "nats-server.conf"
        config.write_text(config.read_text("utf-8").replace(login.secrets[0], "another"), "utf-8")
        os.kill(server.pid, signal.SIGHUP)  # read the configuration again
        for process in running:
            await eventually(partial(process.events, "broker lost"), 20)
            process.terminate()
        for process in running:
            assert await process.exit_code() == 0, process.log[-3:]
        assert_nothing_said(running, login)
