"""Every service does all its work under its own user, and is refused nothing on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared import jetstream
from tests.acceptance import books
from tests.acceptance.test_feeds import bodies
from tests.acceptance.test_metrics import disturb, publish_many, results_stand, rules_in
from tests.acceptance.traffic import mixed_jobs, publish_all, sellers_file
from tests.eventually import eventually
from tests.fraud_rig import (
    alerts,
    as_the_log_demands,
    folded,
    fraud_detector,
    in_force,
    put,
    shopping,
)
from tests.fraud_rig import publish_all as publish_payments
from tests.metrics_rig import metrics_aggregator
from tests.processes import Process, all_stopped, end_all, invoice_worker
from tests.secure_rig import SecureServer, assert_nothing_refused, logged_in

RULE = {
    "id": "velocity-1h",
    "group_by": ["card"],
    "aggregate": {"function": "count", "field": None},
    "window": "1h",
    "limit": {"operator": ">=", "value": 4},
    "version": 7,
}


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureServer]:
    """A server of the generated users."""
    with SecureServer(tmp_path) as running:
        yield running


@pytest.mark.parametrize("service", ["invoice_worker", "metrics_aggregator", "fraud_detector"])
async def test_a_service_waits_for_the_operator_to_provision(
    secure: SecureServer, service: str
) -> None:
    variables = secure.login(service) | {"INVOICE_RENDER_PROCESSES": "0"}
    with Process(f"services.{service}", secure.url, **variables) as early:
        (said,) = await eventually(lambda: early.events("waiting for an operator to provision"), 20)
        assert any("create    stream" in line for line in said["differences"])
        await secure.provisioned()
        await early.started()
        early.terminate()
        await early.stopped()
        assert_nothing_refused(secure, [early])


async def nobody_kills_the_server() -> None:
    """The other tests do; here its log must be whole."""


async def test_jobs_become_invoices_and_documents_and_a_dead_letter_is_redriven(
    secure: SecureServer, tmp_path: Path
) -> None:
    await secure.provisioned()
    traffic = mixed_jobs(300, seed=2)
    variables = secure.login("invoice_worker") | {
        "INVOICE_SELLERS": sellers_file(tmp_path),
        "INVOICE_ACK_WAIT_SECONDS": "30",
        "LOG_LEVEL": "debug",
    }
    workers = [invoice_worker(secure.url, **variables) for _ in range(2)]
    try:
        async with logged_in(secure, "operator") as op, logged_in(secure, "publisher") as publisher:
            for worker in workers:
                await worker.started()
            publishing = asyncio.create_task(publish_all(publisher.client, traffic.publications))
            await eventually(lambda: books.issued(op.client), 30)
            workers[0].kill()
            workers.append(await invoice_worker(secure.url, **variables).started())
            await publishing
            await books.all_done(op.client, len(traffic.orders))
            await books.assert_audited(op.client, traffic.orders)
            await books.assert_parked_once(op.client, traffic.bad)
            done = await secure.headrace("dead", "redrive", "--yes")
            assert done.code == 0, done.err
            await eventually(lambda: _parked_again(op.client, len(traffic.bad)), 30)
            await all_stopped(workers[1:])
    finally:
        end_all(workers)
    assert_nothing_refused(secure, workers)


async def _parked_again(client: Client, count: int) -> bool:
    return len(await books.dead(client)) >= count


async def test_samples_become_results_whatever_dies(secure: SecureServer, tmp_path: Path) -> None:
    await secure.provisioned(METRICS_PARTITIONS="4")
    variables = secure.login("metrics_aggregator") | rules_in(tmp_path) | {"LOG_LEVEL": "debug"}
    start = partial(metrics_aggregator, secure.url, **variables)
    running = [start() for _ in range(3)]
    try:
        for member in running:
            await member.started()
        async with logged_in(secure, "operator") as op:
            await results_stand(
                op.client, running, start, nobody_kills_the_server, random.Random(6)
            )
        verified = await secure.headrace("verify", "metrics_aggregator", METRICS_PARTITIONS="4")
        assert verified.code == 0, verified
        assert_nothing_refused(secure, running)
    finally:
        end_all(running)


async def test_invoices_become_revenue_by_the_feed_of_the_demo(
    secure: SecureServer, tmp_path: Path
) -> None:
    await secure.provisioned(METRICS_PARTITIONS="4")
    demo = resources.files("services.metrics_aggregator") / "rules" / "demo.yaml"
    quick = demo.read_text("utf-8").replace("interval: 1m", "interval: 2s").replace("10s", "1s")
    (tmp_path / "rules.yaml").write_text(quick, "utf-8")
    rules = secure.login("metrics_aggregator") | {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    running = [
        invoice_worker(secure.url, **secure.login("invoice_worker")),
        metrics_aggregator(secure.url, **rules, HTTP_PORT="0"),
    ]
    try:
        for one in running:
            await one.started()
        async with logged_in(secure, "operator") as op, logged_in(secure, "publisher") as publisher:
            (job,) = mixed_jobs(1, seed=1).publications[:1]
            await jetstream.publish(publisher.client, "jobs.invoice.demo", job.body)
            subject = "metrics.revenue.revenue:2s_by_currency_sum_samples"
            (found,) = await eventually(lambda: bodies(op.client, subject, 1), 60)
            assert found["labels"] == {"currency": "EUR"}
        await all_stopped(running)
    finally:
        end_all(running)
    assert_nothing_refused(secure, running)


async def test_payments_become_alerts_whatever_dies_and_rules_change(secure: SecureServer) -> None:
    await secure.provisioned()
    variables = secure.login("fraud_detector") | {
        "LOG_LEVEL": "debug",
        "FRAUD_SNAPSHOT_EVENTS": "200",
    }
    start = partial(fraud_detector, secure.url, **variables)
    running: list[Process] = [start() for _ in range(3)]
    chance = random.Random(3)
    try:
        for member in running:
            await member.started()
        async with logged_in(secure, "operator") as op, logged_in(secure, "publisher") as publisher:
            await in_force(op.client, await put(op.client, RULE))
            ended = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                harm = group.create_task(
                    disturb(running, start, nobody_kills_the_server, chance, ended)
                )
                await publish_payments(publisher.client, shopping(chance, 4_000), "shopping")
                changed = RULE | {"limit": {"operator": ">=", "value": 2}, "version": 8}
                await in_force(op.client, await put(op.client, changed))
                await publish_payments(publisher.client, shopping(chance, 1_000), "more")
                ended.set()
                await harm
            await folded(op.client, 120)
            await all_stopped(running)
            await as_the_log_demands(op.client)
            assert {alert["version"] for alert in await alerts(op.client)} >= {7, 8}
    finally:
        end_all(running)
    assert_nothing_refused(secure, running)


async def test_samples_of_the_publisher_are_all_it_takes(secure: SecureServer) -> None:
    await secure.provisioned(METRICS_PARTITIONS="4")
    async with logged_in(secure, "publisher") as publisher:
        await publish_many(publisher.client, random.Random(1), 50)
    demo = await secure.headrace("demo", "--rate", "50", "--seconds", "1", user="publisher")
    assert demo.code == 0, demo
    assert_nothing_refused(secure, ())
