"""The metrics aggregator as its users run it, and what its log demands of it."""

from __future__ import annotations

import json

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.metrics_aggregator.fold import MetricsFold
from services.metrics_aggregator.topology import DEAD_PREFIX, METRICS, TELEMETRY
from shared import jetstream
from shared.log_stream.fold import Event
from tests.processes import Process

Stored = tuple[str, bytes, tuple[tuple[str, str], ...]]
"""Subject, body and headers of a result."""

_POSITIONS = "metrics-position."
_PULL = 1000


def metrics_aggregator(url: str, **variables: str) -> Process:
    """Start a member with few partitions, a short lease and frequent snapshots."""
    quick = {
        "METRICS_PARTITIONS": "4",
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
    """Return, a subject, what the service has written, in order; without positions."""
    grouped: dict[str, list[Stored]] = {}
    for msg in await messages(client, METRICS.name):
        if not msg.subject.startswith(_POSITIONS):
            given = dict(msg.headers or {})
            for name in [name for name in given if name.startswith("Nats-Batch-")]:
                del given[name]
            stored = (msg.subject, msg.data, tuple(sorted(given.items())))
            grouped.setdefault(msg.subject, []).append(stored)
    return _ordered(grouped)


async def demanded(client: Client, rules: str) -> dict[str, list[Stored]]:
    """Return, a subject, what an undisturbed fold of the log gives, begun with these rules."""
    folds: dict[str, MetricsFold] = {}
    wanted: dict[str, list[Stored]] = {}
    for msg in await messages(client, TELEMETRY.name):
        partition, _, subject = msg.subject.removeprefix(f"{TELEMETRY.prefix}.").partition(".")
        fold = folds.get(partition) or folds.setdefault(partition, MetricsFold(rules))
        sequence, arrival_ns = (int(token) for token in _tokens(msg)[5:8:2])
        for output in fold.apply(Event(sequence, arrival_ns, subject, msg.data, msg.headers)):
            given = {**(output.headers or {}), "Headrace-Source": f"{TELEMETRY.name}:{sequence}"}
            stored = (output.subject, output.data, tuple(sorted(given.items())))
            wanted.setdefault(output.subject, []).append(stored)
    return _ordered(wanted)


def _ordered(grouped: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """Sort the dead letters, which come from all partitions; all others stay in their order."""
    return {
        subject: sorted(stored) if subject.startswith(f"{DEAD_PREFIX}.") else stored
        for subject, stored in grouped.items()
    }


def _tokens(msg: Msg) -> list[str]:
    return msg.reply.split(".")
