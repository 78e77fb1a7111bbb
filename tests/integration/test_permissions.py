"""What the server refuses: every user, everything that is another's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import nats.errors
import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.permissions import users
from shared.permissions_text import configuration, variable
from tests.eventually import eventually
from tests.secure_rig import NEEDS, SecureServer, logged_in
from tests.server import Server

STREAMS = (
    "INVOICE_JOBS", "INVOICES", "TELEMETRY", "METRICS", "PAYMENTS", "FRAUD", "KV_FRAUD_RULES",
    "DEAD_LETTERS", "ATTEMPTS", "LEASES",
)  # fmt: skip

PUBLISH = [
    ("fraud_detector", "invoices.issued.demo"),
    ("fraud_detector", "jobs.invoice.demo"),
    ("fraud_detector", "payments.made.card-1"),
    ("fraud_detector", "dead.invoice_worker.invalid"),
    ("fraud_detector", "leases.metrics_aggregator.m"),
    ("fraud_detector", "$JS.API.STREAM.DELETE.INVOICES"),
    ("fraud_detector", "$JS.API.STREAM.DELETE.PAYMENTS"),
    ("fraud_detector", "$JS.API.STREAM.PURGE.PAYMENTS"),
    ("fraud_detector", "$JS.API.STREAM.MSG.DELETE.FRAUD"),
    ("fraud_detector", "$JS.API.STREAM.UPDATE.FRAUD"),
    ("fraud_detector", "$JS.API.STREAM.CREATE.MINE"),
    ("fraud_detector", "$JS.API.STREAM.MSG.GET.INVOICES"),
    ("fraud_detector", "$JS.API.STREAM.MSG.GET.DEAD_LETTERS"),
    ("fraud_detector", "$JS.API.CONSUMER.CREATE.DEAD_LETTERS"),
    ("fraud_detector", "$JS.API.CONSUMER.CREATE.INVOICES.spy"),
    ("fraud_detector", "$JS.ACK.INVOICE_JOBS.invoice_worker.1.1.1.1.0"),
    ("invoice_worker", "jobs.invoice.demo"),
    ("invoice_worker", "fraud.alerts.card-1"),
    ("invoice_worker", "$KV.FRAUD_RULES.velocity-1h"),
    ("invoice_worker", "attempts.OTHER.durable.1"),
    ("invoice_worker", "$JS.API.STREAM.PURGE.INVOICES"),
    ("invoice_worker", "$JS.API.STREAM.PURGE.INVOICE_JOBS"),
    ("invoice_worker", "$JS.API.STREAM.MSG.DELETE.INVOICES"),
    ("invoice_worker", "$JS.API.STREAM.PURGE.LEASES"),
    ("invoice_worker", "$JS.API.CONSUMER.DELETE.INVOICE_JOBS.invoice_worker"),
    ("invoice_worker", "$JS.API.CONSUMER.CREATE.PAYMENTS.spy"),
    ("metrics_aggregator", "invoices.issued.demo"),
    ("metrics_aggregator", "$JS.API.CONSUMER.DELETE.INVOICES.invoice_documents"),
    ("metrics_aggregator", "$JS.API.CONSUMER.MSG.NEXT.INVOICES.invoice_documents"),
    ("metrics_aggregator", "$JS.API.STREAM.PURGE.METRICS"),
    ("metrics_aggregator", "$JS.API.STREAM.DELETE.TELEMETRY"),
    ("publisher", "invoices.issued.demo"),
    ("publisher", "metrics.0.latency"),
    ("publisher", "payments-log.0.control.rules"),
    ("publisher", "payments-log.0.event.made.card-1"),
    ("publisher", "$KV.FRAUD_RULES.velocity-1h"),
    ("publisher", "$JS.API.STREAM.MSG.GET.DEAD_LETTERS"),
    ("publisher", "$JS.API.CONSUMER.CREATE.DEAD_LETTERS"),
    ("publisher", "$JS.API.STREAM.INFO.INVOICES"),
    ("publisher", "headrace.status.invoice_worker"),
    ("dashboard", "payments.made.card-1"),
    ("dashboard", "fraud.alerts.card-1"),
    ("dashboard", "$KV.FRAUD_RULES.velocity-1h"),
    ("dashboard", "$JS.API.STREAM.MSG.GET.INVOICES"),
    ("dashboard", "$JS.API.DIRECT.GET.INVOICES.invoices.issued.demo"),
    ("dashboard", "$JS.API.CONSUMER.CREATE.METRICS.mine"),
    ("dashboard", "$JS.API.STREAM.PURGE.METRICS"),
    ("operator", "invoices.issued.demo"),
    ("operator", "fraud.alerts.card-1"),
]

SUBSCRIBE = [
    *((user, f"_INBOX_{other}.>") for user, other in (
        ("fraud_detector", "invoice_worker"), ("publisher", "operator"), ("dashboard", "publisher"),
        ("operator", "fraud_detector"),
    )),
    *((user, subject) for user in ("fraud_detector", "publisher", "dashboard")
      for subject in (">", "_INBOX.>", "$JS.API.>", "jobs.invoice.>", "payments.>", "dead.>")),
    ("fraud_detector", "headrace.status.invoice_worker"),
    ("publisher", "fraud.>"),
    ("dashboard", "fraud-dead.>"),
    ("dashboard", "invoices.>"),
]  # fmt: skip


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """A server with the generated users and all streams."""
    with SecureServer(tmp_path_factory.mktemp("secure")) as running:
        asyncio.run(running.provisioned())
        yield running


async def held(client: Client) -> dict[str, tuple[int, int]]:
    """Return last sequence and number of messages of every stream."""
    found = {}
    for name in STREAMS:
        state = (await jetstream.call(client, f"STREAM.INFO.{name}"))["state"]
        found[name] = state["last_seq"], state["messages"]
    return found


@pytest.mark.parametrize(("user", "subject"), PUBLISH)
async def test_what_is_anothers_cannot_be_published_on(
    secure: SecureServer, user: str, subject: str
) -> None:
    async with logged_in(secure, "operator") as op, logged_in(secure, user) as one:
        before = await held(op.client)
        await one.refused_to_publish(subject)
        assert await held(op.client) == before


@pytest.mark.parametrize(("user", "subject"), SUBSCRIBE)
async def test_what_is_anothers_cannot_be_heard(
    secure: SecureServer, user: str, subject: str
) -> None:
    async with logged_in(secure, user) as one:
        await one.refused_to_subscribe(subject)


@pytest.mark.parametrize(
    ("user", "subject"),
    [("publisher", "telemetry.cpu"), ("dashboard", "$JS.API.STREAM.INFO.PAYMENTS")],
)
@pytest.mark.parametrize("target", ["invoices-counter.demo-2026", "fraud-position.cards.0"])
async def test_an_answer_from_outside_the_account_is_stored_nowhere(
    secure: SecureServer, user: str, subject: str, target: str
) -> None:
    """The server does not ask whether one may publish on the subject to answer on."""
    async with logged_in(secure, "operator") as op, logged_in(secure, user) as one:
        before = await held(op.client)
        await one.client.publish(subject, b'{"value": 1}', reply=target)
        # What came first is answered first.
        await one.client.request(
            "$JS.API.INFO" if user == "dashboard" else "telemetry.cpu", b"{}", timeout=5
        )
        after = await held(op.client)
        del before["TELEMETRY"], after["TELEMETRY"]
        assert after == before


@pytest.mark.parametrize("how", ["all", "sub"])
@pytest.mark.parametrize("subject", ["telemetry.cpu", "payments.made.card-1", "jobs.invoice.demo"])
async def test_no_publisher_takes_away_what_others_have_sent(
    secure: SecureServer, subject: str, how: str
) -> None:
    async with logged_in(secure, "publisher") as one:
        await jetstream.publish(one.client, subject, b"{}")
        with pytest.raises(jetstream.JetStreamError, match="roll"):
            await jetstream.publish(one.client, subject, b"{}", {"Nats-Rollup": how})


async def test_nobody_gets_in_without_a_password(secure: SecureServer) -> None:
    done = await secure.headrace("lag", NATS_PASSWORD="wrong")  # noqa: S106 - of nobody
    assert done.code == 1
    assert "refuses us" in done.err
    anonymous = {"NATS_USER": "", "NATS_PASSWORD": ""}
    assert (await secure.headrace("lag", **anonymous)).code == 1


async def test_the_dashboard_sees_states_and_results(secure: SecureServer) -> None:
    async with (
        logged_in(secure, "dashboard") as one,
        logged_in(secure, "fraud_detector") as detector,
    ):
        alert = await one.client.subscribe("fraud.alerts.*")
        await one.client.flush()

        async def in_force() -> bool:
            await jetstream.publish(detector.client, "fraud.alerts.probe", b"{}")
            with contextlib.suppress(nats.errors.TimeoutError):
                return (await alert.next_msg(timeout=2)).subject == "fraud.alerts.probe"
            return False

        # In another account than the publisher's, a moment after the server has answered: of 120
        # messages that were sent at once, 3 were not heard, and each second one was.
        await eventually(in_force, 30)
        await jetstream.publish(detector.client, "fraud.alerts.card-9", b'{"card": "card-9"}')
        assert (await alert.next_msg(timeout=30)).data == b'{"card": "card-9"}'
        newest = await one.client.request(
            "$JS.API.DIRECT.GET.FRAUD.fraud.alerts.card-9", b"", timeout=30
        )
        assert newest.data == b'{"card": "card-9"}'
        info = await jetstream.call(one.client, "STREAM.INFO.FRAUD")
        assert info["state"]["messages"] > 0
        names = await jetstream.call(one.client, "STREAM.NAMES")
        assert "INVOICES" in names["streams"]


async def test_the_nats_cli_publishes_as_the_publisher(secure: SecureServer, nats_cli: str) -> None:
    process = await asyncio.create_subprocess_exec(
        nats_cli, "-s", secure.url, "--user", "publisher",
        "--password", secure.passwords["publisher"], "--inbox-prefix", "_INBOX_publisher",
        "pub", "-J", "telemetry.latency", '{"value": 1}',
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said
    assert b"Stored in Stream: TELEMETRY" in said


async def test_a_server_does_not_start_without_every_password(secure: SecureServer) -> None:
    text = configuration(users(NEEDS), "password")
    variables = dict(secure.variables)
    del variables["NATS_OPERATOR_PASSWORD"]
    lacking = Server(secure.folder / "lacking", config=text, variables=variables)
    lacking.folder.mkdir()
    with pytest.raises(RuntimeError, match="NATS_OPERATOR_PASSWORD"):
        lacking.start()


async def test_a_bcrypt_hash_in_quotes_does_for_a_password(
    secure: SecureServer, nats_cli: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        nats_cli, "server", "passwd", "-c", "4", "-p", "p-the-password-is-long-enough",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    hashed = (await process.communicate())[0].decode().strip()
    name = variable(next(user for user in users(NEEDS) if user.name == "dashboard"), "password")
    variables = secure.variables | {name: f'"{hashed}"'}
    folder = secure.folder / "hashed"
    folder.mkdir()
    with Server(folder, config=configuration(users(NEEDS), "password"), variables=variables) as one:
        client = Client()
        await client.connect(
            one.url,
            user="dashboard",
            password="p-the-password-is-long-enough",  # noqa: S106 - of this test
            inbox_prefix="_INBOX_dashboard",
        )
        await eventually(lambda: client.is_connected)
        await client.close()
