"""A rule on history finds what the live one has found; and nothing is written but on demand."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from shared import jetstream
from tests.fraud_rig import (
    alerts,
    folded,
    in_force,
    members,
    only_rules,
    publish_all,
    put,
    shopping,
)
from tests.headrace import Finished, headrace
from tests.server import Server

RULES: tuple[dict[str, Any], ...] = (
    {
        "id": "often",
        "aggregate": {"function": "count"},
        "window": "1h",
        "limit": {"operator": ">=", "value": 4},
        "version": 1,
    },
    {
        "id": "terminal",
        "group_by": ["terminal"],
        "aggregate": {"function": "sum", "field": "amount"},
        "window": "2h",
        "limit": {"operator": ">", "value": "150"},
        "version": 1,
    },
    {
        "id": "shops",
        "group_by": ["card", "country"],
        "where": "channel == 'ecom'",
        "aggregate": {"function": "distinct", "field": "merchant"},
        "window": "1d",
        "limit": {"operator": ">=", "value": 12},
        "version": 1,
    },
    {
        "id": "tested",
        "kind": "small_then_large",
        "parameters": {
            "small_amount": "12",
            "small_count": 2,
            "large_amount": "60",
            "window": "2h",
        },
        "state": "shadow",
        "version": 1,
    },
    {
        "id": "scored",
        "where": "score >= 0",
        "aggregate": {"function": "count"},
        "window": "1h",
        "limit": {"operator": ">=", "value": 3},
        "version": 1,
    },
)


async def test_a_backtest_of_live_rules_finds_the_live_alerts_and_promotes_on_demand(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    url = own_server.url
    async with members(2, url):
        await only_rules(own_client)
        for rule in RULES:
            revision = await put(own_client, rule)
        await in_force(own_client, revision)
        await publish_all(own_client, shopping(random.Random(2), 6_000, 60, 10), "history")
        await folded(own_client)
        said = {rule["id"]: 0 for rule in RULES}
        for subject in ("fraud.alerts.>", "fraud.shadow.>"):
            for alert in await alerts(own_client, subject):
                said[alert["rule"]] += 1
        stored = await messages_in(own_client)
        for rule in RULES:
            done = await tried(url, tmp_path, rule)
            assert done.code == 0, done
            assert said[rule["id"]] > 20, said
            assert f"alerts     {said[rule['id']]}, " in done.out
            assert "0 only here, 0 only live; equal, byte for byte" in done.out, done.out
            assert re.search(
                r"precision  (unknown|[01]\.\d{3}) .*\nrecall     [01]\.\d{3} ", done.out
            )
        assert await messages_in(own_client) == stored

        lower = RULES[0] | {"limit": {"operator": ">=", "value": 3}, "version": 2}
        done = await tried(url, tmp_path, lower)
        assert re.search(r" [1-9]\d* only here, 0 only live\n", done.out), done.out
        assert await messages_in(own_client) == stored
        done = await tried(url, tmp_path, lower, "--promote")
        assert done.code == 0, done
        kept = await jetstream.last_message(own_client, "KV_FRAUD_RULES", "$KV.FRAUD_RULES.often")
        assert kept is not None
        assert json.loads(kept.data) == lower
        report = await headrace("fraud", "report", url=url)
        assert report.code == 0, report
        assert re.search(rf"^terminal +{said['terminal']} ", report.out, re.MULTILINE), report.out
        assert "tested (shadow)" in report.out


async def test_what_cannot_be_tried_says_why(own_server: Server, tmp_path: Path) -> None:
    bad = RULES[0] | {"windw": "1h"}
    done = await tried(own_server.url, tmp_path, bad)
    assert done.code == 2
    assert "windw" in done.err
    done = await tried(own_server.url, tmp_path, RULES[0], "--from", "yesterday")
    assert done.code == 2
    assert "yesterday" in done.err
    done = await tried(own_server.url, tmp_path, RULES[0])
    assert done.code == 1
    assert "PAYMENTS" in done.err or "stream not found" in done.err
    done = await headrace("explain", "p-1", url=own_server.url)
    assert done.code == 1


async def tried(url: str, folder: Path, rule: dict[str, Any], *options: str) -> Finished:
    file = folder / f"{rule['id']}.json"
    file.write_text(json.dumps(rule), "utf-8")
    return await headrace("backtest", str(file), *options, url=url)


async def messages_in(client: Client) -> dict[str, int]:
    """Return how much lies in every stream that a back-test could write to, position records aside.

    Those of an idle partition are written anew, now and then.
    """
    counts: dict[str, int] = {}
    for stream, subject in (("FRAUD", "fraud.>"), ("PAYMENTS", ">"), ("KV_FRAUD_RULES", ">")):
        info = await jetstream.call(client, f"STREAM.INFO.{stream}", {"subjects_filter": subject})
        counts[stream] = sum((info["state"].get("subjects") or {}).values())
    return counts
