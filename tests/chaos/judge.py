"""The one judge of all scenarios: nothing lost, nothing twice, no gap, and the logs' own word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from nats.aio.client import Client

from shared.contracts import headers
from shared.log_stream import history
from shared.log_stream.history import Span
from tests.acceptance import books
from tests.chaos.fleet import PARTITIONS
from tests.chaos.traffic import Traffic
from tests.headrace import headrace

LOG_SERVICES = ("metrics_aggregator", "fraud_detector")
_VERIFY_SECONDS = 240


async def judge(client: Client, traffic: Traffic, url: str, rules: str) -> None:
    """See that every acknowledged message has had its effect, once.

    Each job is one invoice with both documents, or one dead letter if it is a bad one; numbers
    have no gap. Each sample and each payment stands in its log once; each invoice has entered
    the aggregator's log once. What the log services emitted is what their logs demand.
    """
    await books.assert_audited(client, traffic.orders)
    await books.assert_parked_once(client, traffic.bad)
    await _stored_once(client, "TELEMETRY", traffic.acknowledged["samples"])
    await _stored_once(client, "PAYMENTS", traffic.acknowledged["payments"])
    await _fed_once(client)
    for service in LOG_SERVICES:
        await _verified(service, url, rules)


async def _stored_once(client: Client, stream: str, wanted: Collection[str]) -> None:
    found: Counter[str] = Counter()
    async for page in history.pages(client, stream):
        found.update((one.headers or {}).get("Nats-Msg-Id", "") for one in page)
    ours = {name: found[name] for name in wanted}
    assert {name: count for name, count in ours.items() if count != 1} == {}, stream


async def _fed_once(client: Client) -> None:
    issued = set()
    async for page in history.pages(client, "INVOICES", Span("invoices.issued.>")):
        issued |= {f"INVOICES:{one.sequence}" for one in page}
    fed: Counter[str] = Counter()
    async for page in history.pages(client, "TELEMETRY"):
        for one in page:
            source = (one.headers or {}).get(headers.SOURCE, "")
            if source.startswith("INVOICES:"):
                fed[source] += 1
    assert fed == Counter(issued)


async def _verified(service: str, url: str, rules: str) -> None:
    env = PARTITIONS | {"METRICS_RULES": rules}
    said = await headrace("verify", service, url=url, env=env, seconds=_VERIFY_SECONDS)
    assert said.code == 0, said
    lines = [line for line in said.out.splitlines() if "events=" in line]
    assert lines, said
    assert [line for line in lines if not line.endswith(" equal")] == []
