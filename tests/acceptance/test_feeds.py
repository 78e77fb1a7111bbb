"""Rules that read another log: an independent projection of a history that others read too."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.log_stream import position
from tests.acceptance.test_metrics import members, of_subject, published
from tests.eventually import eventually
from tests.metrics_rig import messages, metrics_aggregator
from tests.processes import end_all, invoice_worker
from tests.server import Server

RULES = """
- id: revenue
  from:
    stream: SALES
    subject: sales.made.*
    name: revenue
    value: total.gross
    time: at
    labels: {currency: currency}
  interval: 10s
  by: [currency]
  outputs: [sum_samples, count_samples]
- id: lines
  from:
    stream: SALES
    subject: sales.made.*
    name: lines
    each: lines
    value: .quantity
    time: at
    labels: {item: .item}
  interval: 10s
  by: [item]
  outputs: [sum_samples]
"""
SUBJECT = "metrics.revenue.revenue:10s_by_currency_sum_samples"


async def make_sales(client: Client) -> None:
    """Make the log of a service that knows nothing of the aggregator."""
    config = {"name": "SALES", "subjects": ["sales.>"], "allow_direct": True}
    await jetstream.call(client, "STREAM.CREATE.SALES", config)


async def sell(client: Client, number: int, second: int, gross: object) -> None:
    sale = {
        "total": {"gross": gross},
        "currency": "EUR" if number % 2 else "USD",
        "at": f"2026-11-01T08:00:{second:02}Z",
        "lines": [{"item": "book", "quantity": 2}, {"item": "pen", "quantity": number}],
    }
    await jetstream.publish(client, f"sales.made.{number}", json.dumps(sale).encode())


async def bodies(client: Client, subject: str, least: int) -> list[dict[str, Any]]:
    return [json.loads(one[1]) for one in await of_subject(client, subject, least)]


async def test_the_history_of_another_log_is_aggregated_once_whoever_dies(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    async with members(2, own_server.url, **rules) as running:
        await eventually(lambda: any(one.events("no such stream") for one in running))
        await make_sales(own_client)
        # Telemetry of today flows beside, and makes nothing of the past late.
        await published(nats_cli, own_server.url, "telemetry.latency", '{"value": 1}')
        for number in range(60):
            await sell(own_client, number, number // 10, f"{number}.50")
            if number % 20 == 10:
                end_all([running.pop()])
                running.append(await metrics_aggregator(own_server.url, **rules).started())
        await sell(own_client, 61, 30, "1.00")
        await sell(own_client, 62, 30, "not a number")
        found = await eventually(lambda: bodies(own_client, SUBJECT, 2), 30)
        wanted = {"EUR": sum(range(1, 60, 2)) + 15.0, "USD": sum(range(0, 60, 2)) + 15.0}
        assert {one["labels"]["currency"]: one["value"] for one in found[:2]} == wanted
        assert {one["count"] for one in found[:2]} == {30}
        lines = "metrics.lines.lines:10s_by_item_sum_samples"
        items = await eventually(lambda: bodies(own_client, lines, 2))
        assert {one["labels"]["item"]: one["value"] for one in items[:2]} == {
            "book": 120,
            "pen": sum(range(60)),
        }
        dead = "dead.metrics_aggregator.invalid"
        letter = await eventually(lambda: jetstream.last_message(own_client, "DEAD_LETTERS", dead))
        assert letter is not None
        assert letter.headers[headers.DEAD_SUBJECT] == "sales.made.62"
        assert letter.headers[headers.DEAD_STREAM] == "SALES"
        stored = await samples(own_client)
        assert len(stored) == len(set(stored))  # each sale has become samples once


async def test_issued_invoices_become_revenue_by_the_rules_of_the_demo(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    demo = resources.files("services.metrics_aggregator") / "rules" / "demo.yaml"
    quick = demo.read_text("utf-8").replace("interval: 1m", "interval: 2s").replace("10s", "1s")
    (tmp_path / "rules.yaml").write_text(quick, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    job = {
        "order_id": "SO-1",
        "buyer": {"name": "Blue GmbH", "country": "DE"},
        "lines": [{"description": "Consulting", "quantity": "2.5", "unit_price": "80.00"}],
    }
    with invoice_worker(own_server.url) as worker:
        await worker.started()
        async with members(1, own_server.url, **rules):
            await published(nats_cli, own_server.url, "jobs.invoice.demo", json.dumps(job))
            subject = "metrics.revenue.revenue:2s_by_currency_sum_samples"
            (found,) = await eventually(lambda: bodies(own_client, subject, 1), 60)
            assert (found["value"], found["labels"]) == (238.0, {"currency": "EUR"})


async def test_positions_of_feeds_do_not_age_out_with_the_samples(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml"), "STREAM_MAX_AGE_DAYS": "0.00003"}
    await make_sales(own_client)
    async with members(1, own_server.url, **rules):
        await sell(own_client, 1, 0, "1.00")
        await eventually(lambda: feed_positions(own_client))
        await eventually(lambda: no_samples(own_client))
        places = [
            (await position.read(own_client, "TELEMETRY", subject))[1].sequence
            for subject in await feed_positions(own_client)
        ]
        assert places == [1, 1]


async def feed_positions(client: Client) -> list[str]:
    """Return the subjects of position records that stand for some input."""
    info = await jetstream.call(
        client, "STREAM.INFO.TELEMETRY", {"subjects_filter": "telemetry-feed.>"}
    )
    subjects = sorted(info["state"].get("subjects") or {})
    records = [(await position.read(client, "TELEMETRY", one))[1] for one in subjects]
    return subjects if len(subjects) == 2 and all(one.sequence for one in records) else []


async def no_samples(client: Client) -> bool:
    info = await jetstream.call(
        client, "STREAM.INFO.TELEMETRY", {"subjects_filter": "telemetry-log.*.sample.>"}
    )
    return not info["state"].get("subjects")


async def samples(client: Client) -> list[tuple[str, str]]:
    """Return subject and origin of the samples that feeds have stored."""
    return [
        (msg.subject, (msg.headers or {})[headers.SOURCE])
        for msg in await messages(client, "TELEMETRY")
        if ".sample.feed." in msg.subject
    ]
