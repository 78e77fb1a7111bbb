"""The metrics aggregator as its users run it, and what its log demands of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.metrics_aggregator.topology import DEAD_PREFIX, MERGE_PREFIX, METRICS, TELEMETRY
from shared import jetstream
from shared.contracts.headers import SOURCE
from shared.log_stream.fold import Event
from tests.metrics_pipeline import Pipeline
from tests.processes import Process

Stored = tuple[str, bytes, tuple[tuple[str, str], ...]]
"""Subject, body and headers of a result."""

PARTITIONS = 4

_INTERNAL = ("metrics-position.", "metrics-merger-position.", f"{MERGE_PREFIX}.")
_PULL = 1000


def metrics_aggregator(url: str, **variables: str) -> Process:
    """Start a member with few partitions, a short lease and frequent snapshots."""
    quick = {
        "METRICS_PARTITIONS": str(PARTITIONS),
        "METRICS_LEASE_SECONDS": "1",
        "METRICS_IDLE_SECONDS": "0.5",
        "METRICS_SNAPSHOT_EVENTS": "200",
    }
    return Process("services.metrics_aggregator", url, **(quick | variables))


async def messages(client: Client, stream: str) -> list[Msg]:
    """Return all that a stream holds, oldest first."""
    config = {"ack_policy": "none", "mem_storage": True}
    made = await jetstream.call(
        client, f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config}
    )
    left = int(made["num_pending"])
    subscription = await client.subscribe(
        client.new_inbox(), pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    found: list[Msg] = []
    while len(found) < left:
        count = min(_PULL, left - len(found))
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{made['name']}",
            json.dumps({"batch": count, "expires": 5_000_000_000}).encode(),
            reply=subscription.subject,
        )
        found += [await subscription.next_msg(timeout=10) for _ in range(count)]
    await subscription.unsubscribe()
    await jetstream.call(client, f"CONSUMER.DELETE.{stream}.{made['name']}")
    return found


async def results(client: Client) -> dict[str, list[Stored]]:
    """Return, a series, what readers get, in order: results, late samples, dead letters."""
    grouped: dict[str, list[Stored]] = {}
    for msg in await messages(client, METRICS.name):
        if not msg.subject.startswith(_INTERNAL):
            _add(grouped, msg.subject, msg.data, msg.headers or {})
    return _ordered(grouped)


async def demanded(client: Client, rules: str) -> dict[str, list[Stored]]:
    """Return, a series, what undisturbed folds of the log give, begun with these rules."""
    pipeline = Pipeline(rules, PARTITIONS)
    wanted: dict[str, list[Stored]] = {}
    for msg in await messages(client, TELEMETRY.name):
        partition, _, subject = msg.subject.removeprefix(f"{TELEMETRY.prefix}.").partition(".")
        sequence, arrival_ns = (int(token) for token in _tokens(msg)[5:8:2])
        event = Event(sequence, arrival_ns, subject, msg.data, msg.headers)
        for output in pipeline.apply(event, int(partition)):
            given = {**(output.headers or {}), SOURCE: f"{TELEMETRY.name}:{sequence}"}
            _add(wanted, output.subject, output.data, given)
    return _ordered(wanted)


def _add(
    grouped: dict[str, list[Stored]], subject: str, data: bytes, given: Mapping[str, str]
) -> None:
    """File a message under its series; what the server has added says nothing of the result."""
    series = subject
    kept = {name: value for name, value in given.items() if not name.startswith("Nats-Batch-")}
    if not subject.startswith(f"{DEAD_PREFIX}."):
        series = f"{subject} {json.loads(data)['labels']}"
    if subject.startswith("metrics."):
        del kept[SOURCE]  # where its last mark stands depends on who was faster
    grouped.setdefault(series, []).append((subject, data, tuple(sorted(kept.items()))))


def _ordered(grouped: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """Sort the dead letters, which come from all partitions; all others stay in their order."""
    return {
        series: sorted(stored) if series.startswith(f"{DEAD_PREFIX}.") else stored
        for series, stored in grouped.items()
    }


def _tokens(msg: Msg) -> list[str]:
    return msg.reply.split(".")
