"""What users do with `compose.yaml` and the `nats` CLI: publish, scale, kill, restart, roll."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import Publication, body, job, publish_all
from tests.containers.stack import EVERY_IMAGE, SERVICES, TAG, Stack, image, run, running
from tests.containers.traffic import HOSTS, eighth_and_later, flowing, payment, sample
from tests.eventually import eventually
from tests.metrics_rig import messages

WAIT_SECONDS = 120
COUNTED = "metrics.latency.latency:5s_by_host_count_samples"

LATEST_RESULT = "$JS.API.DIRECT.GET.METRICS.metrics.latency.latency:5s_by_host_avg"
ENV = ("--format", "env")

Cli = Callable[..., Awaitable[str]]


@pytest.fixture
def cli(stack: Stack, nats_cli: str) -> Cli:
    """Run the `nats` CLI against the project's server."""

    async def ask(*arguments: str) -> str:
        return await asyncio.to_thread(run, nats_cli, "-s", stack.url, *arguments)

    return ask


async def test_a_job_of_the_nats_cli_becomes_an_invoice(
    stack_client: Client, cli: Cli, tmp_path: Path
) -> None:
    await cli("pub", "-J", "jobs.invoice.demo", body(job("CLI-1")).decode())
    await books.all_done(stack_client, 1)
    fact = await last(cli, "INVOICES", "invoices.issued.demo")
    assert (fact["order_id"], fact["number"][-7:]) == ("CLI-1", "-000001")
    path = tmp_path / "invoice.pdf"
    await cli("object", "get", "INVOICE_DOCUMENTS", f"{fact['number']}.pdf", "-O", str(path), "-f")
    assert path.read_bytes().startswith(b"%PDF-1.7")


async def test_a_sample_of_the_nats_cli_becomes_a_result(stack_client: Client, cli: Cli) -> None:
    await cli("pub", "-J", "telemetry.latency", sample("cli", 12.5).decode())
    await eventually(lambda: counted(stack_client, 1, "cli"), WAIT_SECONDS)
    result = await last(cli, "METRICS", "metrics.latency.latency:5s_by_host_avg")
    assert (result["labels"], result["value"], result["count"]) == ({"host": "cli"}, 12.5, 1)


async def test_two_payments_of_the_nats_cli_become_an_alert(stack_client: Client, cli: Cli) -> None:
    berlin = {"channel": "pos", "latitude": 52.5, "longitude": 13.4}
    tokyo = {"channel": "pos", "latitude": 35.7, "longitude": 139.7}
    await cli("pub", "-J", "payments.made.traveller", payment("t-1", 0, **berlin).decode())
    await cli("pub", "-J", "payments.made.traveller", payment("t-2", 600, **tokyo).decode())
    await eventually(lambda: alerts(stack_client, "impossible-travel"), WAIT_SECONDS)
    alert = await last(cli, "FRAUD", "fraud.alerts.traveller")
    assert (alert["payment_id"], alert["rule"], alert["action"]) == (
        "t-2",
        "impossible-travel",
        "block",
    )


async def test_nothing_is_lost_and_nothing_doubled_whatever_is_killed_restarted_or_replaced(
    stack: Stack, stack_client: Client
) -> None:
    before = await books.read_books(stack_client)
    three = ("up", "-d", "--no-build", "--no-deps", "--scale", "invoice_worker=3")
    async with flowing(stack.url) as traffic:
        await traffic.goes_on()
        await stack.to(*three, "invoice_worker")
        workers = stack.containers("invoice_worker")
        assert len(workers) == 3
        await stack.healthy("invoice_worker")
        await traffic.goes_on()

        await asyncio.to_thread(run, "docker", "kill", workers[0])
        await traffic.goes_on()

        await stack.to("restart", "nats")
        await traffic.goes_on()

        following = stack.with_tag(f"{TAG}-next")
        for name in EVERY_IMAGE:
            run("docker", "tag", image(name), f"headrace/{name}:{TAG}-next")
        await following.to(*three, *SERVICES)
        assert not set(workers) & set(stack.containers("invoice_worker"))
        await following.healthy(*SERVICES)
        await traffic.goes_on()

    orders = {("demo", "invoice", one) for one in traffic.stored["jobs"]} | set(before.orders)
    await books.all_done(stack_client, len(orders), WAIT_SECONDS)
    await books.assert_audited(stack_client, orders)

    samples = len(traffic.stored["samples"])
    await eventually(lambda: counted(stack_client, samples, *HOSTS), WAIT_SECONDS)

    fast = eighth_and_later(traffic.stored["payments"])
    assert fast
    told = await eventually(lambda: so_many_alerts(stack_client, len(fast)), WAIT_SECONDS)
    assert told == Counter(fast)

    assert await books.left(stack_client, "DEAD_LETTERS") == 0
    for service in ("metrics_aggregator", "fraud_detector"):
        verdict = (await following.headrace("verify", service)).splitlines()
        assert verdict
        assert all(line.endswith(" equal") for line in verdict), verdict


async def test_three_servers_hold_every_stream_and_one_may_die() -> None:
    three = ("--env-file", "deploy/cluster.env", "--profile", "cluster")
    project = f"headrace-{secrets.token_hex(3)}"
    wanted = ["nats-2", "nats-3", "invoice_worker"]
    with running(project, *three, services=wanted) as stack:
        client = await nats.connect(stack.url, max_reconnect_attempts=-1)
        for name in ("INVOICE_JOBS", "INVOICES", "OBJ_INVOICE_DOCUMENTS", "PAYMENTS", "METRICS"):
            info = await client.jetstream().stream_info(name)
            assert info.config.num_replicas == 3
        first = Publication("jobs.invoice.demo", body(job("R3-1")), "one")
        await publish_all(client, [first])
        await books.all_done(client, 1)

        await stack.to("kill", "nats-2")
        second = Publication("jobs.invoice.demo", body(job("R3-2")), "two")
        await publish_all(client, [second])
        await books.all_done(client, 2, WAIT_SECONDS)
        wanted_books = {("demo", "invoice", f"R3-{n}") for n in (1, 2)}
        await eventually(lambda: _audited(client, wanted_books), WAIT_SECONDS)
        await client.close()


async def test_with_passwords_nobody_gets_in_without_and_all_work_as_their_own_user(
    nats_cli: str,
) -> None:
    printed = run("docker", "run", "--rm", image("headrace"), "headrace", "permissions", *ENV)
    closed = dict(line.split("=") for line in printed.split())
    project = f"headrace-{secrets.token_hex(3)}"
    with running(project, **closed, FRAUD_PARTITIONS="2", METRICS_PARTITIONS="2") as stack:

        async def ask(user: str, *arguments: str) -> str:
            login = ("--user", user, "--password", closed[f"NATS_{user.upper()}_PASSWORD"])
            inbox = ("--inbox-prefix", f"_INBOX_{user}")
            return await asyncio.to_thread(
                run, nats_cli, "-s", stack.url, *login, *inbox, *arguments, stderr=True
            )

        await ask("publisher", "pub", "-J", "jobs.invoice.demo", body(job("SAFE-1")).decode())
        await ask("publisher", "pub", "-J", "telemetry.latency", sample("safe", 2).decode())
        for number in range(8):
            one = payment(f"safe-{number}", number).decode()
            await ask("publisher", "pub", "-J", "payments.made.safe", one)

        operator = {"user": "operator", "password": closed["NATS_OPERATOR_PASSWORD"]}
        async with asyncio.timeout(WAIT_SECONDS):
            client = await nats.connect(stack.url, inbox_prefix=b"_INBOX_operator", **operator)
            await books.all_done(client, 1)
            await eventually(lambda: counted(client, 1, "safe"), WAIT_SECONDS)
            await eventually(lambda: alerts(client, "velocity-1h"), WAIT_SECONDS)
            await books.assert_audited(client, {("demo", "invoice", "SAFE-1")})
            await client.close()
        assert '"value":2.0' in await ask(
            "dashboard", "req", "--raw", LATEST_RESULT, "", "--timeout", "5s"
        )
        for line in (await stack.headrace("verify", "fraud_detector")).splitlines():
            assert line.endswith(" equal"), line

        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            await nats.connect(stack.url, allow_reconnect=False)
        assert "Permissions Violation" in await refused(
            ask("publisher", "stream", "get", "INVOICES", "1")
        )


async def test_a_closed_server_does_not_start_without_its_passwords() -> None:
    project = f"headrace-{secrets.token_hex(3)}"
    with running(project, services=["--no-deps", "nats"], NATS_USERS="users") as stack:
        wanted = "variable reference for 'NATS_FRAUD_DETECTOR_PASSWORD'"
        await eventually(lambda: wanted in stack.compose("logs", "nats"), WAIT_SECONDS)


async def refused(asked: Awaitable[str]) -> str:
    """Return what a command said when it failed; fail if it did not."""
    with pytest.raises(AssertionError) as caught:
        await asked
    return str(caught.value)


async def _audited(client: Client, orders: set[tuple[str, str, str]]) -> bool:
    """Audit the books; no, while who led a stream has just died and nobody answers for it."""
    try:
        await books.assert_audited(client, orders)
    except nats.errors.TimeoutError:
        return False
    return True


async def last(cli: Cli, stream: str, subject: str) -> dict[str, Any]:
    """Return the newest message of a subject, as the CLI shows it."""
    shown = await cli("stream", "get", stream, "-S", subject, "--json")
    found: dict[str, Any] = json.loads(base64.b64decode(json.loads(shown)["data"]))
    return found


async def counted(client: Client, count: int, *hosts: str) -> bool:
    """Whether the final results of these hosts count so many samples; fail if they count more."""
    results = [
        json.loads(m.data) for m in await messages(client, "METRICS") if m.subject == COUNTED
    ]
    total = sum(int(one["value"]) for one in results if one["labels"]["host"] in hosts)
    assert total <= count, f"{total} of {count} samples: counted twice"
    return total == count


async def alerts(client: Client, rule: str) -> list[str]:
    """Return the payments which a rule has told of, in order."""
    told = [m for m in await messages(client, "FRAUD") if m.subject.startswith("fraud.alerts.")]
    bodies = [json.loads(message.data) for message in told]
    return [one["payment_id"] for one in bodies if one["rule"] == rule]


async def so_many_alerts(client: Client, count: int) -> Counter[str] | None:
    """Return the alerts of the starter rule `velocity-1h`, as soon as there are so many."""
    told = await alerts(client, "velocity-1h")
    return Counter(told) if len(told) >= count else None
