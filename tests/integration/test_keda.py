"""What KEDA reads from the server's monitoring port, for the triggers that we ship, is the lag."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nats
import pytest
import yaml
from msgspec import Struct

from services.invoice_worker.settings import QueueSettings
from services.invoice_worker.topology import topology
from shared import jetstream, registry
from shared.log_stream.stage import StageEntry
from shared.provision import provision
from shared.settings import StreamSettings
from tests.eventually import eventually
from tests.server import Server

ROOT = Path(__file__).parents[2]
KEDA = ROOT / "deploy/kubernetes/keda"
MONITOR = re.compile(r"Starting http monitor on (\S+)")


class Trigger(Struct, frozen=True):
    """Whose lag a `nats-jetstream` trigger asks for."""

    account: str
    stream: str
    consumer: str


SCALED = [
    found
    for path in sorted(KEDA.glob("*.yaml"))
    if (found := yaml.safe_load(path.read_text("utf-8")))["kind"] == "ScaledObject"
]
TRIGGERS = [
    Trigger(**{name: trigger["metadata"][name] for name in ("account", "stream", "consumer")})
    for scaled in SCALED
    for trigger in scaled["spec"]["triggers"]
    if trigger["type"] == "nats-jetstream"
]
QUERY = re.compile(r'sum\((?P<metric>\w+)\{group=~?"(?P<groups>[^"]+)"\}\)')


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Server]:
    """A server with a monitoring port."""
    with Server(tmp_path, config='http: "127.0.0.1:-1"') as server:
        yield server


def test_the_triggers_name_durables_of_the_topology() -> None:
    durables = {(one.stream, one.name) for one in topology(QueueSettings()).durables}
    assert {(one.stream, one.consumer) for one in TRIGGERS} == durables


def test_every_service_is_scaled() -> None:
    names = {scaled["spec"]["scaleTargetRef"]["name"] for scaled in SCALED}
    assert names == {entry.name.replace("_", "-") for entry in registry.services()}


def test_log_services_are_scaled_by_the_lag_of_stages_that_have_partitions_to_share() -> None:
    asked = {
        scaled["metadata"]["name"].replace("-", "_"): QUERY.fullmatch(trigger["metadata"]["query"])
        for scaled in SCALED
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    }
    stages = {entry.name: entry.stages() for entry in registry.services() if entry.stages()}
    assert asked.keys() == stages.keys()
    documented = (ROOT / "docs/operations.md").read_text("utf-8")  # a test holds it to be exposed
    for service, query in asked.items():
        assert query
        assert f"| `{query['metric']}` | `group`, `partition` |" in documented
        own = {one.stage.group for one in stages[service] if one.stage.source.partitions > 1}
        counted = {one for one in every_group(stages) if re.fullmatch(query["groups"], one)}
        assert own <= counted
        assert counted <= {one.stage.group for one in stages[service]}


def every_group(stages: Mapping[str, Sequence[StageEntry]]) -> set[str]:
    """Return the groups of all services."""
    return {one.stage.group for entries in stages.values() for one in entries}


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda one: one.consumer)
async def test_a_trigger_yields_what_is_not_acknowledged(
    monitored: Server, trigger: Trigger
) -> None:
    client = await nats.connect(monitored.url)
    await provision(client, topology(QueueSettings()), StreamSettings())
    subject = {"INVOICE_JOBS": "jobs.invoice.demo", "INVOICES": "invoices.issued.demo"}
    assert await lag(monitored, trigger) == 0
    for number in range(7):
        await jetstream.publish(
            client, subject[trigger.stream], b"{}", {"Nats-Msg-Id": f"{number}"}
        )
    assert await lag(monitored, trigger) == 7
    pulled = await client.jetstream().pull_subscribe_bind(trigger.consumer, trigger.stream)
    held = await pulled.fetch(3, timeout=10)
    assert await lag(monitored, trigger) == 7  # handed out, but not done
    for message in held:
        await message.ack_sync()
    await eventually(lambda: lag_is(monitored, trigger, 4))
    await client.close()


async def lag_is(server: Server, trigger: Trigger, expected: int) -> bool:
    return await lag(server, trigger) == expected


async def lag(server: Server, trigger: Trigger) -> int:
    """Ask as KEDA does, and add up as KEDA does: pending and handed out of the consumer."""
    monitor = MONITOR.search(server.log)
    assert monitor, server.log
    url = f"http://{monitor[1]}/jsz?acc={trigger.account}&consumers=true&config=true"
    answer = await asyncio.to_thread(_get, url)
    (account,) = (one for one in answer["account_details"] if one["name"] == trigger.account)
    (stream,) = (one for one in account["stream_detail"] if one["name"] == trigger.stream)
    (found,) = (one for one in stream["consumer_detail"] if one["name"] == trigger.consumer)
    return int(found["num_pending"] + found["num_ack_pending"])


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
        found: dict[str, Any] = json.load(answer)
    return found
