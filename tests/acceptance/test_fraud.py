"""The fraud detector as its users see it: the `nats` CLI, rules in a bucket, members that die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from tests.acceptance.test_metrics import disturb
from tests.acceptance.test_nats_cli import Cli, cli
from tests.eventually import eventually
from tests.fraud_oracle import Wanted, found_by
from tests.fraud_rig import (
    alerts,
    as_the_log_demands,
    folded,
    fraud_detector,
    in_force,
    made,
    members,
    messages,
    only_rules,
    pay,
    publish_all,
    put,
    shopping,
)
from tests.headrace import headrace
from tests.log_chaos import seeds
from tests.server import Server

__all__ = ["cli"]

VELOCITY = {
    "id": "velocity-1h",
    "state": "active",
    "group_by": ["card"],
    "where": "channel == 'ecom'",
    "aggregate": {"function": "count", "field": None},
    "window": "1h",
    "limit": {"operator": ">=", "value": 5},
    "action": "review",
    "version": 3,
}
TERMINAL = {
    "id": "terminal-sum",
    "group_by": ["terminal"],
    "aggregate": {"function": "sum", "field": "amount"},
    "window": "10m",
    "limit": {"operator": ">", "value": "100"},
    "action": "block",
    "version": 1,
}


async def test_the_example_of_the_contract_alerts_and_is_explained(
    own_server: Server, own_client: Client, cli: Cli
) -> None:
    async with members(1, own_server.url):
        put_ = await cli("kv", "put", "FRAUD_RULES", "velocity-1h", json.dumps(VELOCITY))
        assert put_.code == 0, put_
        stored = await jetstream.last_message(
            own_client, "KV_FRAUD_RULES", "$KV.FRAUD_RULES.velocity-1h"
        )
        assert stored is not None
        await in_force(own_client, stored.sequence)
        for minute in range(5):
            body = {
                "payment_id": f"p-{minute}",
                "amount": "12.50",
                "currency": "EUR",
                "time": f"2026-11-23T07:{10 + minute}:00Z",
                "channel": "ecom",
            }
            paid = await cli("pub", "-J", "payments.made.card-17", json.dumps(body))
            assert paid.code == 0, paid

        async def ours() -> list[dict[str, Any]]:
            return [one for one in await alerts(own_client) if one["rule"] == "velocity-1h"]

        (alert,) = await eventually(ours)
        sequences = [
            one.sequence
            for one in await messages(own_client, "PAYMENTS", ">")
            if ".made." in one.subject
        ]
        assert alert == {
            "payment_id": "p-4",
            "card": "card-17",
            "rule": "velocity-1h",
            "version": 3,
            "action": "review",
            "time": "2026-11-23T07:14:00Z",
            "observed": "5",
            "limit": ">= 5",
            "window": ["2026-11-23T06:14:01Z", "2026-11-23T07:14:00Z"],
            "evidence": sequences,
            "explanation": "5 payments of card-17 within 1h (limit >= 5)",
        }
        scores = await messages(own_client, "FRAUD", "fraud.scores.card-17")
        assert all(0 <= json.loads(one.data)["score"] <= 1 for one in scores)
        await eventually(lambda: cli_scores(own_client))
    explained = await headrace("explain", "p-4", url=own_server.url)
    assert explained.code == 0, explained
    assert "the same alert, byte for byte" in explained.out
    assert "5 payments of card-17 within 1h" in explained.out
    assert explained.out.count("PAYMENTS:") >= 5
    listed = await cli("stream", "get", "FRAUD", "--last-for", "fraud.alerts.card-17")
    assert "Headrace-Source: PAYMENTS:" in listed.said
    assert "traceparent: 00-" in listed.said


async def cli_scores(client: Client) -> bool:
    return len(await messages(client, "FRAUD", "fraud.scores.card-17")) == 5


async def test_rules_change_without_a_restart_and_bad_ones_leave_the_old_running(
    own_server: Server, own_client: Client, cli: Cli
) -> None:
    async with members(2, own_server.url):
        await only_rules(own_client)
        await in_force(own_client, await put(own_client, VELOCITY | {"where": None}))
        for _ in range(4):
            await pay(own_client, "a")
        await folded(own_client)
        assert await alerts(own_client) == []
        # What a window holds stays when only the limit changes.
        lower = VELOCITY | {"where": None, "limit": {"operator": ">=", "value": 3}, "version": 4}
        await in_force(own_client, await put(own_client, lower))
        await pay(own_client, "a")
        (alert,) = await eventually(lambda: alerts(own_client))
        assert (alert["version"], alert["observed"]) == (4, "5")
        bad = await cli("kv", "put", "FRAUD_RULES", "velocity-1h", '{"window": "1 fortnight"}')
        assert bad.code == 0
        letter = await eventually(partial(dead, own_client, "invalid"))
        assert letter.headers[headers.DEAD_STREAM] == "KV_FRAUD_RULES"
        assert letter.headers[headers.DEAD_SUBJECT] == "$KV.FRAUD_RULES.velocity-1h"
        assert "window" in letter.headers[headers.DEAD_ERROR]
        assert letter.data == b'{"window": "1 fortnight"}'
        await pay(own_client, "a")
        await eventually(lambda: count_of_alerts(own_client, 2))
        # A new rule is warm at once: it knows the payments before it.
        new = TERMINAL | {"id": "by-card", "group_by": ["card"]}
        new["limit"] = {"operator": ">=", "value": "70"}
        await in_force(own_client, await put(own_client, new))
        await pay(own_client, "a")
        found = await eventually(lambda: count_of_alerts(own_client, 4))
        assert {(one["rule"], one["observed"]) for one in found[2:]} == {
            ("velocity-1h", "7"),
            ("by-card", "70"),
        }
        for state in ("shadow", "paused"):
            await in_force(own_client, await put(own_client, new | {"state": state}))
            await pay(own_client, "a")
            await folded(own_client)
        assert [one["observed"] for one in await alerts(own_client, "fraud.shadow.>")] == ["80"]
        gone = await cli("kv", "del", "FRAUD_RULES", "velocity-1h", "-f")
        assert gone.code == 0, gone
        last = await jetstream.last_message(
            own_client, "KV_FRAUD_RULES", "$KV.FRAUD_RULES.velocity-1h"
        )
        assert last is not None
        await in_force(own_client, last.sequence)
        before = len(await alerts(own_client))
        await pay(own_client, "a")
        await folded(own_client)
        assert len(await alerts(own_client)) == before
        # One dead letter, though every partition has seen the bad rule.
        assert len(await messages(own_client, "DEAD_LETTERS", "dead.fraud_detector.>")) == 1
    await as_the_log_demands(own_client)


async def count_of_alerts(client: Client, count: int) -> list[dict[str, Any]]:
    found = await alerts(client)
    return found if len(found) >= count else []


async def dead(client: Client, reason: str) -> Any:
    return await jetstream.last_message(client, "DEAD_LETTERS", f"dead.fraud_detector.{reason}")


async def test_payments_of_many_cards_at_one_terminal_give_one_alert_each(
    own_server: Server, own_client: Client
) -> None:
    async with members(2, own_server.url):
        await only_rules(own_client)
        await in_force(own_client, await put(own_client, TERMINAL))
        for number in range(30):
            await pay(own_client, f"card-{number}", terminal="t-1", amount="9.50")
        await folded(own_client)
        found = await alerts(own_client)
        assert [one["card"] for one in found] == [f"card-{number}" for number in range(10, 30)]
        assert [Decimal(one["observed"]) for one in found] == [
            Decimal("9.5") * count for count in range(11, 31)
        ]
        assert len(found[-1]["evidence"]) == 30
    replayed = await headrace("verify", "fraud_detector", url=own_server.url)
    assert replayed.code == 0, replayed


async def test_card_numbers_are_refused_and_never_written_again(
    own_server: Server, own_client: Client
) -> None:
    number = "4111111111111111"
    async with members(1, own_server.url):
        await pay(own_client, number)
        await pay(own_client, "a", merchant=f"shop {number}")
        await pay(own_client, "b", device="4111-1111-1111-1111")
        await eventually(lambda: letters(own_client, 3))
        await pay(own_client, "c", amount="-1")
        await pay(own_client, "d", time="2100-01-01T00:00:00Z")
        found = await eventually(lambda: letters(own_client, 5))
        for one in found[:3]:
            text = one.data.decode() + json.dumps(dict(one.headers))
            assert number not in text
            assert "4111-1111-1111-1111" not in text
            assert "************1111" in text or "****-****-****-1111" in text
        assert [one.headers[headers.DEAD_REASON] for one in found] == [*["invalid"] * 4, "future"]
        assert found[3].headers[headers.DEAD_ERROR].startswith("amount: ")
    for stream in ("FRAUD", "DEAD_LETTERS"):
        for one in await messages(own_client, stream, ">"):
            assert number not in one.subject + one.data.decode()


async def letters(client: Client, count: int) -> list[Any]:
    found = await messages(client, "DEAD_LETTERS", "dead.fraud_detector.>")
    return found if len(found) >= count else []


CHANGES = (
    {"limit": {"operator": ">=", "value": 3}},
    {"window": "2h"},
    {"where": None},
    {"state": "shadow"},
    {"state": "active", "group_by": ["card", "merchant"]},
    {"group_by": ["terminal"]},
    {"aggregate": {"function": "distinct", "field": "merchant"}, "group_by": ["card"]},
    {"state": "paused"},
    {"state": "active", "window": "1d"},
)


async def change_rules(
    client: Client, chance: random.Random, ended: asyncio.Event, pause: tuple[float, float]
) -> None:
    """Change one rule now and then, until `ended`; the starter set stays beside it."""
    rule: dict[str, Any] = dict(VELOCITY)
    for version in range(100, 200):
        rule |= chance.choice(CHANGES) | {"version": version}
        with contextlib.suppress(*jetstream.BROKER_ERRORS):
            await put(client, rule)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(*pause)):
                await ended.wait()
        if ended.is_set():
            return


@pytest.mark.parametrize("seed", seeds(3))
async def test_whatever_dies_and_changes_the_alerts_are_those_of_an_undisturbed_fold(
    own_server: Server, own_client: Client, seed: int
) -> None:
    async def kill_the_server() -> None:
        own_server.kill()
        own_server.start()

    await stands(own_server, own_client, random.Random(seed), 15_000, kill_the_server)


PAYMENTS = int(os.environ.get("PAYMENTS", "60000"))
"""`PAYMENTS=300000 make acceptance ARGS='-k many_payments'` is the long run, some five minutes."""
ORACLE: dict[str, Wanted] = {
    "count-card": ("count", None, "6h", ">=", "8", "card"),
    "count-terminal": ("count", None, "1h", ">", "5", "terminal"),
    "sum-card": ("sum", "amount", "1d", ">", "900", "card"),
    "avg-terminal": ("avg", "amount", "12h", ">", "60", "terminal"),
    "min-pair": ("min", "amount", "3d", ">=", "20", "card, country"),
    "max-terminal": ("max", "amount", "2h", ">", "150", "terminal"),
    "stddev-card": ("stddev", "amount", "2d", ">", "75", "card"),
    "distinct-merchant": ("distinct", "merchant", "1d", ">=", "30", "card"),
}


async def test_many_payments_with_rules_changed_and_members_killed(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    async def kill_nobody() -> None:
        """The other tests kill the server; this one is about the traffic."""

    oracle = [oracle_rule(name, ORACLE[name]) for name in ORACLE]
    count = await stands(
        own_server,
        own_client,
        random.Random(9),
        PAYMENTS,
        kill_nobody,
        rules=oracle,
        pause=(4, 8),  # each new process costs as much as 20,000 payments
    )
    assert count > PAYMENTS  # a score each, and alerts
    said: dict[str, list[int]] = {name: [] for name in ORACLE}
    for alert in await alerts(own_client):
        if alert["rule"] in said:
            said[alert["rule"]].append(alert["evidence"][-1])
    with duckdb.connect() as database:
        await load_payments(own_client, database, tmp_path)
        for name, wanted in ORACLE.items():
            assert sorted(said[name]) == found_by(database, wanted), name
            assert len(said[name]) > PAYMENTS / 1000, name


def oracle_rule(name: str, wanted: Wanted) -> dict[str, Any]:
    function, field, window, operator, value, group_by = wanted
    return {
        "id": name,
        "aggregate": {"function": function, "field": field},
        "window": window,
        "limit": {"operator": operator, "value": value},
        "group_by": group_by.split(", "),
        "version": 1,
    }


async def load_payments(client: Client, database: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Fill the table of payments from what the log holds."""
    file = folder / "payments.json"
    with file.open("w", encoding="utf-8") as lines:
        for one in await messages(client, "PAYMENTS", "payments-log.*.event.made.*"):
            with contextlib.suppress(json.JSONDecodeError):
                body = json.loads(one.data)
                row = {
                    "sequence": one.sequence,
                    "card": one.subject.rpartition(".")[2],
                    "time_ms": round(body["time"] * 1000),
                    "micros": round(float(body["amount"]) * 1_000_000),
                    **{
                        name: body[name] for name in ("terminal", "merchant", "country", "currency")
                    },
                }
                lines.write(json.dumps(row) + "\n")
    database.execute(
        "create table payments as select * exclude (micros), micros::hugeint as micros,"
        f" (micros::decimal(18, 6) / 1000000)::decimal(18, 6) as amount from read_json('{file}')"
    )


async def test_a_replay_gives_the_same_alerts_rule_changes_included(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    async def kill_nobody() -> None:
        """Nor here."""

    await stands(own_server, own_client, random.Random(12), 8_000, kill_nobody)
    done = await headrace(
        "replay", "fraud_detector", "--as", "again", url=own_server.url, seconds=120
    )
    assert done.code == 0, done
    same = await headrace("diff", "fraud_detector", "live", "again", url=own_server.url)
    assert same.code == 0, same
    assert same.out.splitlines()[-1].endswith(": equal")
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps([TERMINAL]), "utf-8")
    options = ("--as", "other", "--rules", str(rules))
    done = await headrace("replay", "fraud_detector", *options, url=own_server.url, seconds=120)
    assert done.code == 0, done
    told = await messages(own_client, "FRAUD-other", "generation.other.fraud.alerts.>")
    assert {json.loads(one.data)["rule"] for one in told} == {"terminal-sum"}


async def stands(
    server: Server,
    client: Client,
    chance: random.Random,
    count: int,
    kill_the_server: Any,
    *,
    rules: Sequence[dict[str, Any]] = (),
    pause: tuple[float, float] = (0.3, 1.5),
) -> int:
    """Publish while all harm is done; then see that all is as the log demands."""
    await made(server.url)
    for rule in (*rules, VELOCITY):
        revision = await put(client, rule)
    ended = asyncio.Event()
    async with members(3, server.url) as running:
        await in_force(client, revision)
        async with asyncio.TaskGroup() as group:
            start = partial(fraud_detector, server.url)
            harm = group.create_task(disturb(running, start, kill_the_server, chance, ended, pause))
            change = group.create_task(change_rules(client, chance, ended, pause))
            await publish_all(client, shopping(chance, count), "shopping")
            ended.set()
            await harm
            await change
        await folded(client, 180)
        for member in running:
            member.terminate()
        for member in running:
            assert await member.exit_code() == 0, (member.log[-5:], member.words)
    outputs = await as_the_log_demands(client)
    assert await alerts(client)
    return outputs
