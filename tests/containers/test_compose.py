"""What users do with `compose.yaml` and the `nats` CLI: publish, scale, kill, restart, roll."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
from nats.aio.client import Client

from tests.acceptance import books
from tests.acceptance.traffic import Publication, body, job, publish_all
from tests.containers.stack import EVERY_IMAGE, SERVICES, TAG, Stack, image, run, running
from tests.eventually import eventually
from tests.metrics_rig import messages

WAIT_SECONDS = 120


async def test_what_the_nats_cli_publishes_becomes_invoices_and_results(
    stack: Stack, stack_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    async def cli(*arguments: str) -> str:
        return await asyncio.to_thread(run, nats_cli, "-s", stack.url, *arguments)

    await cli("pub", "-J", "jobs.invoice.demo", body(job("CLI-1")).decode())
    await books.all_done(stack_client, 1)
    found = await cli("stream", "get", "INVOICES", "-S", "invoices.issued.demo", "--json")
    fact = json.loads(base64.b64decode(json.loads(found)["data"]))
    assert (fact["order_id"], fact["number"][-7:]) == ("CLI-1", "-000001")
    path = tmp_path / "invoice.pdf"
    await cli("object", "get", "INVOICE_DOCUMENTS", f"{fact['number']}.pdf", "-O", str(path), "-f")
    assert path.read_bytes().startswith(b"%PDF-1.7")

    await cli("pub", "-J", "telemetry.latency", sample("cli", 12.5).decode())
    await eventually(lambda: _counted(stack_client, 1, "cli"), WAIT_SECONDS)
    subject = "metrics.latency.latency:5s_by_host_avg"
    found = await cli("stream", "get", "METRICS", "-S", subject, "--json")
    result = json.loads(base64.b64decode(json.loads(found)["data"]))
    assert (result["labels"], result["value"], result["count"]) == ({"host": "cli"}, 12.5, 1)


async def test_nothing_is_lost_and_nothing_doubled_whatever_is_killed_restarted_or_replaced(
    stack: Stack, stack_client: Client
) -> None:
    before = await books.read_books(stack_client)
    async with traffic(stack.url) as published:

        async def moved(jobs: int = 20, samples: int = 100) -> None:
            """Wait until so much more has been published and taken in."""
            invoices = await books.issued(stack_client) + jobs
            enough = len(published["telemetry"]) + samples
            await eventually(lambda: _issued(stack_client, invoices), WAIT_SECONDS)
            await eventually(lambda: len(published["telemetry"]) >= enough, WAIT_SECONDS)

        await moved()
        await stack.to("up", "-d", "--no-build", "--no-deps", "--scale", "invoice_worker=3",
                       "invoice_worker")  # fmt: skip
        three = stack.containers("invoice_worker")
        assert len(three) == 3
        await stack.healthy("invoice_worker")
        await moved()

        await asyncio.to_thread(run, "docker", "kill", three[0])
        await moved()

        await stack.to("restart", "nats")
        await moved()

        following = stack.with_tag(f"{TAG}-next")
        for name in EVERY_IMAGE:
            run("docker", "tag", image(name), f"headrace/{name}:{TAG}-next")
        await following.to("up", "-d", "--no-build", "--no-deps", "--scale", "invoice_worker=3",
                           *SERVICES)  # fmt: skip
        assert not set(three) & set(stack.containers("invoice_worker"))
        await following.healthy(*SERVICES)
        await moved()

    orders = {("demo", "invoice", one) for one in published["jobs"]} | set(before.orders)
    await books.all_done(stack_client, len(orders), WAIT_SECONDS)
    found = await books.assert_audited(stack_client, orders)
    assert {fact.seller for fact in found.facts} == {"demo"}

    count = len(published["telemetry"])
    await eventually(lambda: _counted(stack_client, count, "a", "b", "c"), WAIT_SECONDS)
    assert await books.left(stack_client, "DEAD_LETTERS") == 0
    for service in set(SERVICES) - {"invoice_worker"}:
        verdict = (await following.headrace("verify", service)).splitlines()
        assert verdict
        assert all(line.endswith(" equal") for line in verdict), verdict


async def test_three_servers_hold_every_stream_and_one_may_die() -> None:
    three = ("--env-file", "deploy/cluster.env", "--profile", "cluster")
    project = f"headrace-{secrets.token_hex(3)}"
    wanted = ["nats-2", "nats-3", "invoice_worker"]
    with running(project, *three, services=wanted) as stack:
        client = await nats.connect(stack.url, max_reconnect_attempts=-1)
        for name in ("INVOICE_JOBS", "INVOICES", "OBJ_INVOICE_DOCUMENTS", "ATTEMPTS"):
            info = await client.jetstream().stream_info(name)
            assert info.config.num_replicas == 3
        first = Publication("jobs.invoice.demo", body(job("R3-1")), "one")
        await publish_all(client, [first])
        await books.all_done(client, 1)

        await stack.to("kill", "nats-2")
        second = Publication("jobs.invoice.demo", body(job("R3-2")), "two")
        await publish_all(client, [second])
        await books.all_done(client, 2, WAIT_SECONDS)
        await books.assert_audited(client, {("demo", "invoice", f"R3-{n}") for n in (1, 2)})
        await client.close()


@asynccontextmanager
async def traffic(url: str) -> AsyncIterator[dict[str, list[str]]]:
    """Publish jobs and samples, each again until it is stored; give the ids of what is."""
    client = await nats.connect(url, max_reconnect_attempts=-1)
    stop = asyncio.Event()
    published: dict[str, list[str]] = {"jobs": [], "telemetry": []}

    async def flow(kind: str, pause: float, make: Callable[[int], Publication]) -> None:
        while not stop.is_set():
            one = make(len(published[kind]))
            await publish_all(client, [one])
            published[kind].append(one.message_id)
            await _rest(stop, pause)

    async with asyncio.TaskGroup() as group:
        group.create_task(flow("jobs", 0.2, _job))
        group.create_task(flow("telemetry", 0.02, _sample))
        try:
            yield published
        finally:
            stop.set()
    await client.close()


def sample(host: str, value: float) -> bytes:
    """Return a sample whose time is that of its arrival, so that none comes late."""
    return json.dumps({"name": "latency", "value": value, "labels": {"host": host}}).encode()


def _job(number: int) -> Publication:
    name = f"FLOW-{number}"
    return Publication("jobs.invoice.demo", body(job(name)), name)


def _sample(number: int) -> Publication:
    host = "abc"[number % 3]
    subject = f"telemetry.latency.{host}"
    return Publication(subject, sample(host, number), f"sample-{number}")


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    waiting: Awaitable[bool] = stop.wait()
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return


async def _issued(client: Client, count: int) -> bool:
    return await books.issued(client) >= count


async def _counted(client: Client, count: int, *hosts: str) -> bool:
    """Whether the final results of these hosts count so many samples; fail if they count more."""
    counted: Counter[str] = Counter()
    for message in await messages(client, "METRICS"):
        if message.subject == "metrics.latency.latency:5s_by_host_count_samples":
            result = json.loads(message.data)
            counted[result["labels"]["host"]] += int(result["value"])
    total = sum(counted[host] for host in hosts)
    assert total <= count, f"{total} of {count} samples: counted twice"
    return total == count
