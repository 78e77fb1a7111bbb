"""TLS, mutual TLS, nkeys, credentials, password files: with real certificates and keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from msgspec import Struct

from shared.broker import BrokerUnreachableError, connected
from shared.permissions import inbox_prefix, users
from shared.permissions_text import configuration, variable
from shared.settings import BrokerSettings, SettingsError, load
from tests.eventually import eventually
from tests.headrace import headrace
from tests.jwt_rig import JwtServer, new_key
from tests.processes import Process, invoice_worker
from tests.secure_rig import NEEDS, SecureServer
from tests.server import Server

USERS = {user.name: user for user in users(NEEDS)}
WORKER = "invoice_worker"


class Certificates(Struct, frozen=True):
    """Files of an authority, and of what it signed for the server and for a client."""

    authority: str
    stranger: str
    client: str
    client_key: str
    config: str


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of an authority of this module's own, and another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    for name, issued in (
        ("server", authority.issue_cert("127.0.0.1")),
        ("client", authority.issue_cert("worker@headrace.example")),
    ):
        issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
        for place, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(folder / f"{name}.pem", append=place > 0)
    return Certificates(
        authority=str(folder / "ca.pem"),
        stranger=str(folder / "stranger.pem"),
        client=str(folder / "client.pem"),
        client_key=str(folder / "client-key.pem"),
        config=(
            f'cert_file: "{folder}/server.pem"\nkey_file: "{folder}/server-key.pem"\n'
            f'ca_file: "{folder}/ca.pem"\n'
        ),
    )


@pytest.fixture
def tls(tmp_path: Path, certificates: Certificates) -> Iterator[SecureServer]:
    """A server that speaks TLS only."""
    with SecureServer(tmp_path, f"tls {{ {certificates.config} }}") as running:
        yield running


@pytest.fixture
def mutual(tmp_path: Path, certificates: Certificates) -> Iterator[SecureServer]:
    """A server that wants a certificate of its clients."""
    with SecureServer(tmp_path, f"tls {{ {certificates.config} verify: true }}") as running:
        yield running


async def refused(settings: BrokerSettings) -> str:
    """Return why the connection cannot be made."""
    with pytest.raises(BrokerUnreachableError) as caught:
        async with connected(settings, "test"):
            pass
    return str(caught.value)


async def works(url: str, env: dict[str, str]) -> None:
    """See that streams are provisioned, and that a worker starts and stops in good order."""
    done = await headrace("provision", url=url, env=env)
    assert done.code == 0, done.err
    with invoice_worker(url, **env) as worker:
        await worker.started()
        worker.terminate()
        await worker.stopped()


async def test_services_speak_tls(tls: SecureServer, certificates: Certificates) -> None:
    trust = {"NATS_TLS_CA": certificates.authority}
    await works(tls.url, tls.login("operator") | trust | {"STREAM_PROVISION": "apply"})


async def test_a_server_of_another_authority_is_not_talked_to(
    tls: SecureServer, certificates: Certificates
) -> None:
    login = {"user": "operator", "password": tls.passwords["operator"]}
    why = await refused(BrokerSettings(url=tls.url, tls_ca=certificates.stranger, **login))
    assert "certificate verify failed" in why


async def test_services_show_their_certificate(
    mutual: SecureServer, certificates: Certificates
) -> None:
    trust = {
        "NATS_TLS_CA": certificates.authority,
        "NATS_TLS_CERT": certificates.client,
        "NATS_TLS_KEY": certificates.client_key,
    }
    await works(mutual.url, mutual.login("operator") | trust | {"STREAM_PROVISION": "apply"})


async def test_without_a_certificate_nobody_gets_in(
    mutual: SecureServer, certificates: Certificates
) -> None:
    login = {"user": "operator", "password": mutual.passwords["operator"]}
    await refused(BrokerSettings(url=mutual.url, tls_ca=certificates.authority, **login))
    assert "certificate" in mutual.log  # the server's reason


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_a_server_that_says_it_has_no_tls_is_sent_no_login(
    certificates: Certificates, scheme: str
) -> None:
    """Somebody in between may say so: nats-py would send the password in clear text."""
    sent: list[bytes] = []
    info = {"server_id": "X", "version": "2.15.1", "max_payload": 1_000_000, "auth_required": True}

    async def pose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        sent.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(pose, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        ca = certificates.authority if scheme == "nats" else None
        why = await refused(
            BrokerSettings(
                url=f"{scheme}://127.0.0.1:{port}",
                user="operator",
                password="p-secret",  # noqa: S106 - of nobody
                tls_ca=ca,
            )
        )
        assert "no TLS" in why
        await eventually(lambda: sent)
        assert set(sent) == {b""}


async def test_services_log_in_with_an_nkey(tmp_path: Path) -> None:
    keys = {name: new_key("user") for name in USERS}
    variables = {variable(user, "nkey"): keys[name].public for name, user in USERS.items()}
    config = configuration(list(USERS.values()), "nkey")
    for name in ("operator", WORKER):
        (tmp_path / name).write_text(f"{keys[name].seed}\n", "utf-8")
    with Server(tmp_path, config=config, variables=variables) as server:
        for name in ("operator", WORKER):
            env = {
                "NATS_NKEY_SEED_FILE": str(tmp_path / name),
                "NATS_INBOX_PREFIX": inbox_prefix(name),
                "STREAM_PROVISION": "check",
            }
            if name == "operator":
                assert (await headrace("provision", url=server.url, env=env)).code == 0
        await _starts_and_stops(invoice_worker(server.url, **env))
        assert "Violation" not in server.log


async def test_services_log_in_with_a_credentials_file(tmp_path: Path) -> None:
    with JwtServer(tmp_path) as server:
        for name in ("operator", WORKER):
            file, _, _ = server.credentials(USERS[name], tmp_path / f"{name}.creds")
            env = {
                "NATS_CREDS": str(file),
                "NATS_INBOX_PREFIX": inbox_prefix(name),
                "STREAM_PROVISION": "check",
            }
            if name == "operator":
                done = await headrace("provision", url=server.url, env=env)
                assert done.code == 0, done.err
        await _starts_and_stops(invoice_worker(server.url, **env))
        assert "Violation" not in server.log


async def test_a_password_is_rotated_without_a_restart_of_the_service(tmp_path: Path) -> None:
    with SecureServer(tmp_path) as server:
        await server.provisioned()
        file = tmp_path / "password"
        file.write_text(f"{server.passwords[WORKER]}\n", "utf-8")
        env = server.login(WORKER) | {"NATS_PASSWORD_FILE": str(file)}
        del env["NATS_PASSWORD"]
        with invoice_worker(server.url, **env) as worker:
            await worker.started()
            await asyncio.to_thread(server.stop)
            server.variables[variable(USERS[WORKER], "password")] = "p-another"
            await asyncio.to_thread(server.start)
            await eventually(lambda: _refusals(worker), 20)
            file.write_text("p-another", "utf-8")
            await eventually(lambda: worker.events("broker found again"), 20)
            assert len(_refusals(worker)) == 1  # tried often, said once
            worker.terminate()
            assert await worker.exit_code() == 0, worker.log[-5:]


def _refusals(worker: Process) -> list[object]:
    said = worker.events("broker error")
    return [line for line in said if "Authorization Violation" in line["error"]]


FAULTS = [
    ({"NATS_CREDS": "{folder}/none"}, "NATS_CREDS: "),
    ({"NATS_CREDS": "{folder}/words"}, "is no credentials file"),
    ({"NATS_NKEY_SEED_FILE": "{folder}/words"}, "NATS_NKEY_SEED_FILE: "),
    ({"NATS_USER": "a", "NATS_PASSWORD_FILE": "{folder}/none"}, "NATS_PASSWORD_FILE: "),
    ({"NATS_USER": "a", "NATS_PASSWORD_FILE": "{folder}/empty"}, "is empty"),
    ({"NATS_PASSWORD_FILE": "{folder}/words"}, "NATS_USER is not"),
    ({"NATS_USER": "a", "NATS_PASSWORD": "b", "NATS_PASSWORD_FILE": "{folder}/words"}, "both set"),
    ({"NATS_TLS_CA": "{folder}/none"}, "NATS_TLS_CA: "),
    ({"NATS_TLS_CA": "{folder}/words"}, "NATS_TLS_CA: "),
    ({"NATS_TLS_CERT": "{folder}/words"}, "NATS_TLS_CERT, NATS_TLS_KEY: "),
    ({"NATS_TLS_KEY": "{folder}/words"}, "NATS_TLS_CERT is not"),
    ({"NATS_INBOX_PREFIX": "a.>"}, "NATS_INBOX_PREFIX='a.>'"),
]


@pytest.mark.parametrize(("variables", "words"), FAULTS, ids=lambda value: str(value)[:40])
async def test_what_cannot_be_used_is_named(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    env = written(tmp_path, variables)
    with pytest.raises(SettingsError) as caught:
        async with connected(load(BrokerSettings, env), "test"):
            pass
    assert words in str(caught.value)
    assert "some-words" not in str(caught.value)


async def test_what_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    env = written(tmp_path, {"NATS_NKEY_SEED_FILE": "{folder}/words"})
    with invoice_worker("nats://127.0.0.1:1", **env) as worker:
        assert await worker.exit_code(20) == 2
        (line,) = worker.events("settings refused")
        assert "holds no nkey seed" in line["error"]
        assert worker.words == []
    done = await headrace("lag", url="nats://127.0.0.1:1", env=env)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "holds no nkey seed" in done.err


def written(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """Write the files that settings name; return the settings."""
    (folder / "words").write_text("some-words", "utf-8")
    (folder / "empty").write_text("\n", "utf-8")
    return {name: value.format(folder=folder) for name, value in variables.items()}


async def _starts_and_stops(worker: Process) -> None:
    with worker:
        await worker.started()
        worker.terminate()
        await worker.stopped()
