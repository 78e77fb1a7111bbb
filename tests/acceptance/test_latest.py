"""The latest final result of each series: by the nats CLI, and as Prometheus exposition."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families

from shared import jetstream
from tests.acceptance.test_metrics import members, of_subject, published
from tests.eventually import eventually
from tests.processes import end_all, free_ports
from tests.server import Server

RULES = """
- id: hot
  match: '{__name__="temp"}'
  interval: 10s
  grace: 0s
  by: [room]
  allowed_lateness: 1h
  outputs: [max, count_samples]
"""
SUBJECT = "latest.hot.temp:10s_by_room_max.room=attic%20%2E1"


async def test_the_latest_result_of_each_series_is_at_hand(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    (port,) = free_ports(1)
    async with members(1, own_server.url, **rules, HTTP_PORT=str(port)) as running:
        for room, second, value in (
            ("attic .1", 0, 20),
            ("cellar", 3, 9),
            ("attic .1", 12, 25),
            ("cellar", 21, 8),
            ("attic .1", 4, 30),  # a correction of the first window; not the latest
            ("attic .1", 43, 0),
        ):
            body = {
                "value": value,
                "labels": {"room": room},
                "time": f"2026-11-23T08:00:{second:02}Z",
            }
            await published(nats_cli, own_server.url, "telemetry.temp", json.dumps(body))
        await eventually(lambda: corrected(own_client), 20)
        stored = await eventually(
            lambda: jetstream.last_message(own_client, "METRICS_LATEST", SUBJECT)
        )
        assert stored is not None
        latest = json.loads(stored.data)
        assert (latest["value"], latest["end"]) == (25, "2026-11-23T08:00:20Z")
        said = await shown(nats_cli, own_server.url, SUBJECT)
        assert '"labels":{"room":"attic .1"}' in said
        values = await eventually(lambda: exposed(port, 4))
        assert values["temp:10s_by_room_max", "attic .1"] == (25, 1_795_420_820)
        assert values["temp:10s_by_room_max", "cellar"] == (8, 1_795_420_830)
        assert values["temp:10s_by_room_count_samples", "attic .1"][0] == 1
        end_all([running.pop()])
    (port,) = free_ports(1)
    async with members(1, own_server.url, **rules, HTTP_PORT=str(port)):
        assert await eventually(lambda: exposed(port, 4)) == values
        await published(nats_cli, own_server.url, "telemetry.temp", warmer("attic .1", 48))
        await published(nats_cli, own_server.url, "telemetry.temp", warmer("cellar", 55))
        await eventually(lambda: newer(own_client), 20)


def warmer(room: str, second: int) -> str:
    when = f"2026-11-23T08:00:{second}Z"
    return json.dumps({"value": 40, "labels": {"room": room}, "time": when})


async def corrected(client: Client) -> bool:
    found = await of_subject(client, "metrics.hot.temp:10s_by_room_max", 5)
    return any(json.loads(one[1])["revision"] == 1 for one in found)


async def newer(client: Client) -> bool:
    last = await jetstream.last_message(client, "METRICS_LATEST", SUBJECT)
    return last is not None and json.loads(last.data)["value"] == 40


async def shown(nats_cli: str, url: str, subject: str) -> str:
    process = await asyncio.create_subprocess_exec(
        nats_cli, "-s", url, "stream", "get", "METRICS_LATEST", "--last-for", subject,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode()


async def exposed(port: int, least: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Return value and time of each series, by name and room."""
    url = f"http://127.0.0.1:{port}/metrics/results"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        text = await response.text()
    found = {
        (sample.name, sample.labels["room"]): (sample.value, float(sample.timestamp or 0))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["headrace_rule"] == "hot"
    }
    return found if len(found) >= least else {}
