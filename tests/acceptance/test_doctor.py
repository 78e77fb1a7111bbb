"""`headrace doctor` on a running system: each thing that is wrong is a line, and exit code 1."""

from __future__ import annotations

import re
from pathlib import Path

import nats
from nats.aio.client import Client

from shared import jetstream
from shared.cli import doctor_checks as checks
from tests.eventually import eventually
from tests.fraud_rig import members, pay
from tests.headrace import Finished, headrace
from tests.server import Server

NOTES = "note"


async def asked(url: str, *options: str) -> Finished:
    return await headrace("doctor", *options, url=url)


def lines(answer: Finished, level: str) -> dict[str, str]:
    """Return what it says at a level, by what it is about."""
    found = [re.match(r"(\w+) +(\S+(?: \d+)?) +(.*)", line) for line in answer.out.splitlines()]
    return {one[2]: one[3] for one in found if one and one[1] == level}


async def test_a_healthy_system_has_nothing_bad_and_a_sick_one_says_what(tmp_path: Path) -> None:
    with Server(tmp_path, config='http: "127.0.0.1:-1"') as server:
        client = await nats.connect(server.url)
        provisioned = await headrace("provision", url=server.url)
        assert provisioned.code == 0, provisioned
        async with members(2, server.url) as running:
            (port,) = re.findall(r"Starting http monitor on \S+:(\d+)", server.log)
            healthy = await asked(server.url, "--monitor", f"http://127.0.0.1:{port}")
            good = lines(healthy, "good")
            assert good["fraud_detector"] == "2 members alive"
            assert good["DEAD_LETTERS"] == "none"
            assert "differ by" in good["clock"]
            assert "every 120 s" in lines(healthy, NOTES)["sync"]
            assert "one replica" in lines(healthy, NOTES)["PAYMENTS"]
            # The other services do not run: that is all that is bad.
            assert {*lines(healthy, "bad")} == {"metrics_aggregator", "metrics_merger"}
            assert healthy.code == 1
            running[0].kill()
            running[1].kill()
            await eventually(lambda: gone(client), 30)
            await pay(client, "a", amount="-1")
            await edited(client, "INVOICES", duplicate_window=30_000_000_000)
            await edited(client, "LEASES", max_msgs_per_subject=5)
            await jetstream.call(client, "STREAM.DELETE.INVOICE_SCHEDULES")
            sick = await asked(server.url)
            assert sick.code == 1
            bad = lines(sick, "bad")
            assert "no member is alive" in bad["fraud_detector"]
            assert "1 events wait" in bad[f"fraud_detector {await place_of(client)}"]
            assert "stored twice" in bad["INVOICES"]
            assert "--dry-run" in bad["LEASES"]
            assert "headrace provision" in bad["INVOICE_SCHEDULES"]
            assert "--monitor" in lines(sick, NOTES)["sync"]
        async with members(1, server.url):
            await eventually(lambda: letters(client))
            again = await asked(server.url)
            assert "1 (1 fraud_detector.invalid)" in lines(again, NOTES)["DEAD_LETTERS"]
            assert lines(again, "good")["fraud_detector"] == "one member alive"
        await client.close()


async def test_an_empty_server_lacks_everything_and_a_wrong_address_is_named(
    own_server: Server,
) -> None:
    empty = await asked(own_server.url)
    assert empty.code == 1
    assert "missing" in lines(empty, "bad")["PAYMENTS"]
    wrong = await asked(own_server.url, "--monitor", "http://127.0.0.1:1")
    assert wrong.code == 2
    assert "--monitor http://127.0.0.1:1/jsz" in wrong.err


def test_clocks_and_full_queues_by_hand() -> None:
    assert checks.clock(0.4, 0.1).level == "good"
    assert checks.clock(-3.0, 0.1).level == "note"
    assert checks.clock(30.0, 0.1).level == "bad"
    queue = {
        "config": {"name": "Q", "discard": "new", "max_msgs": 100, "max_bytes": -1},
        "state": {"messages": 90, "bytes": 5},
    }
    found = checks.room(queue)
    assert found is not None
    assert found.words.startswith("90 of 100 messages")
    queue["state"] = {"messages": 10, "bytes": 5}
    assert checks.room(queue) is None
    assert checks.synchronisation({"sync_always": True}).level == "good"
    config = {"name": "S", "num_replicas": 3}
    others = [{"name": "b", "current": True}, {"name": "c", "current": False}]
    info = {"config": config, "cluster": {"leader": "a", "replicas": others}}
    assert checks.replicas(info).words == "replicas behind or away: c"
    others[1]["current"] = True
    assert checks.replicas(info).words == "3 replicas (a, b, c): the loss of 1 costs nothing"


async def gone(client: Client) -> bool:
    info = await jetstream.call(
        client, "STREAM.INFO.LEASES", {"subjects_filter": "leases.fraud_detector.*"}
    )
    return not info["state"].get("subjects")


async def letters(client: Client) -> bool:
    stored = await jetstream.last_message(client, "DEAD_LETTERS", "dead.fraud_detector.invalid")
    return stored is not None


async def place_of(client: Client) -> str:
    stored = await jetstream.last_message(client, "PAYMENTS", "payments-log.*.event.>")
    assert stored is not None
    return stored.subject.split(".")[1]


async def edited(client: Client, stream: str, **changes: int) -> None:
    config = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["config"]
    await jetstream.call(client, f"STREAM.UPDATE.{stream}", config | changes)
