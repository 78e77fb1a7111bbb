"""The metrics aggregator as its users see it: the `nats` CLI, a rule file, members that die."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.broker import connected
from shared.contracts import headers
from shared.settings import BrokerSettings
from tests.cluster import SERVERS, cluster, leader_of
from tests.eventually import eventually
from tests.headrace import headrace
from tests.log_chaos import seeds
from tests.metrics_rig import Stored, demanded, messages, metrics_aggregator, results
from tests.processes import Process, all_stopped, end_all
from tests.server import Server

NOWHERE = "nats://127.0.0.1:1"
RULES = """
- id: latency
  match: '{__name__=~"latency.*"}'
  interval: 10s
  by: [host]
  allowed_lateness: 20s
  outputs: [avg, count_samples, last, "quantiles(0.5, 0.99)"]
- id: counters
  match: '{__name__=~".+_total"}'
  interval: 10s
  grace: 3s
  staleness_interval: 1m
  without: [host]
  outputs: [increase, rate_sum, total]
- id: visits
  match: page_view
  window: session
  gap: 4s
  by: [host]
  outputs: [count_samples]
"""
METRICS = ("latency", "latency.search", "requests_total", "errors_total", "page_view", "unused")
SAMPLES = 5000
EIGHT_MS = 1_795_420_800_000


async def test_samples_of_the_nats_cli_become_results_and_nonsense_a_dead_letter(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    async with members(1, own_server.url, **rules):
        sample = '{"value": 12.5, "labels": {"host": "a"}, "time": "2026-11-23T08:00:00Z"}'
        later = sample.replace("08:00:00", "08:00:15")
        for body in (sample, sample.replace("12.5", "13.5"), later, "{"):
            await published(nats_cli, own_server.url, "telemetry.latency", body)
        for when in (EIGHT_MS, EIGHT_MS + 15_000):
            text = f'# TYPE latency gauge\nlatency{{host="b"}} 3 {when}\n'
            await published(nats_cli, own_server.url, "telemetry.scraped", text, "text/plain")
        subject = "metrics.latency.latency:10s_by_host_avg"
        found = await eventually(lambda: of_subject(own_client, subject, 2))
        ours, scraped = sorted((json.loads(one[1]) for one in found), key=lambda one: -one["value"])
        assert ours == {
            "rule": "latency",
            "metric": "latency:10s_by_host_avg",
            "labels": {"host": "a"},
            "output": "avg",
            "value": 13.0,
            "start": "2026-11-23T08:00:00Z",
            "end": "2026-11-23T08:00:10Z",
            "final": True,
            "revision": 0,
            "count": 2,
        }
        assert (scraped["labels"], scraped["value"]) == ({"host": "b"}, 3)
        dead = "dead.metrics_aggregator.malformed"
        letter = await eventually(lambda: jetstream.last_message(own_client, "DEAD_LETTERS", dead))
        assert letter is not None
        assert letter.data == b"{"
        assert letter.headers[headers.DEAD_SUBJECT] == "telemetry.latency"
    lag = await headrace("lag", url=own_server.url, env={"METRICS_PARTITIONS": "4"})
    assert lag.code == 0, lag
    assert lag.out.count("metrics_aggregator") == 4
    assert lag.out.count("metrics_merger") == 1
    assert lag.out.count("metrics_latest") == 1
    assert lag.out.count("metrics_feed-") == 1  # the demo's rules read invoices


async def test_samples_of_one_group_on_many_subjects_give_one_result(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    rule = "- {id: all, interval: 10s, without: [__name__, host], outputs: [count_samples]}\n"
    (tmp_path / "rules.yaml").write_text(rule, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    async with members(1, own_server.url, **rules), members(1, own_server.url, **rules):
        for number in range(12):
            body = {
                "name": "latency" if number % 2 else "size",
                "value": number,
                "labels": {"host": f"h-{number}"},
                "time": "2026-11-23T08:00:00Z",
            }
            subject = f"telemetry.spread.{number}"
            await published(nats_cli, own_server.url, subject, json.dumps(body))
        later = '{"value": 1, "labels": {"host": "a"}, "time": "2026-11-23T08:00:15Z"}'
        await published(nats_cli, own_server.url, "telemetry.latency", later)
        subject = "metrics.all.:10s_without_host_count_samples"
        (found,) = await eventually(lambda: of_subject(own_client, subject, 1))
        result = json.loads(found[1])
        assert (result["value"], result["labels"], result["revision"]) == (12, {}, 0)


async def test_verify_finds_what_is_equal_and_what_is_not(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    few = {"METRICS_PARTITIONS": "4"}
    async with members(2, own_server.url, **rules):
        await publish_many(own_client, random.Random(5), 1500)
        during = await headrace("verify", "metrics_aggregator", url=own_server.url, env=few)
        assert during.code == 0, during
        await eventually(lambda: complete(own_client, RULES), 60)
    done = await headrace("verify", "metrics_aggregator", url=own_server.url, env=few)
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert len(lines) == 4 + 1
    assert all(line.endswith(" equal") for line in lines)
    written = sum(
        name.startswith("metrics.") * len(found)
        for name, found in (await results(own_client)).items()
    )
    assert int(lines[-1].split("outputs=")[1].split()[0]) == written > 100
    first, last = await ends(own_client)
    await jetstream.delete_message(own_client, "METRICS", last)
    missing = await headrace("verify", "metrics_aggregator", url=own_server.url, env=few)
    assert missing.code == 1
    assert "METRICS lacks 1 of " in missing.out
    source = await jetstream.message_at(own_client, "METRICS", first)
    assert source is not None
    forged = {headers.SOURCE: source.headers[headers.SOURCE]}
    await jetstream.delete_message(own_client, "METRICS", first)
    await jetstream.publish(own_client, source.subject, b"{}", forged)
    other = await headrace("verify", "metrics_aggregator", url=own_server.url, env=few)
    assert other.code == 1
    assert "the fold gives" in other.out  # gone where it was, and another one at the end


async def test_changed_rules_count_without_a_restart_and_wrong_ones_change_nothing(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    first = "- {id: old, interval: 10s, outputs: [max]}\n"
    file.write_text(first, "utf-8")
    async with members(1, own_server.url, METRICS_RULES=str(file)) as (member,):
        await publish(own_client, "cpu", 5, 1)
        file.write_text("- {id: old, interval: 10s, outputs: [maximum]}\n", "utf-8")
        (refused,) = await eventually(lambda: member.events("rules refused"))
        assert "maximum" in refused["error"]
        file.write_text(first + "- {id: new, interval: 10s, outputs: [min]}\n", "utf-8")
        await eventually(lambda: changed(own_client))
        await publish(own_client, "cpu", 2, 2)
        await publish(own_client, "cpu", 9, 30)
        (old,) = await eventually(lambda: of_subject(own_client, "metrics.old.cpu:10s_max", 1))
        (new,) = await eventually(lambda: of_subject(own_client, "metrics.new.cpu:10s_min", 1))
        assert [json.loads(old[1])[name] for name in ("value", "count")] == [5, 2]
        assert [json.loads(new[1])[name] for name in ("value", "count")] == [2, 1]
        await eventually(lambda: complete(own_client, first))


@pytest.mark.parametrize("seed", seeds(10))
async def test_whatever_dies_the_results_are_those_of_an_undisturbed_fold(
    own_server: Server, own_client: Client, tmp_path: Path, seed: int
) -> None:
    async def kill_the_server() -> None:
        own_server.kill()
        own_server.start()

    variables = rules_in(tmp_path)
    async with members(3, own_server.url, **variables) as running:
        start = partial(metrics_aggregator, own_server.url, **variables)
        await results_stand(own_client, running, start, kill_the_server, random.Random(seed))


async def test_on_three_servers_whose_leaders_are_killed_likewise(tmp_path: Path) -> None:
    chance = random.Random(4)
    variables = rules_in(tmp_path) | {"STREAM_REPLICAS": str(SERVERS)}
    async with (
        cluster(tmp_path) as servers,
        connected(BrokerSettings(url=servers.url), "test") as broker,
    ):
        client = broker.client

        async def kill_a_leader() -> None:
            for stream in ("METRICS", "METRICS_PARTIALS"):
                led = partial(leader_of, client, stream)
                leader = await eventually(led, 60)
                await servers.kill(leader)
                await eventually(led, 60)
                await servers.start(leader)

        async with members(3, servers.url, **variables) as running:
            start = partial(metrics_aggregator, servers.url, **variables)
            await results_stand(client, running, start, kill_a_leader, chance, 120)


def rules_in(folder: Path) -> dict[str, str]:
    """Return the variables of members whose rules stand in a file there."""
    (folder / "rules.yaml").write_text(RULES, "utf-8")
    return {"METRICS_RULES": str(folder / "rules.yaml")}


async def results_stand(
    client: Client,
    running: list[Process],
    start: Callable[[], Process],
    kill_a_server: Callable[[], Awaitable[None]],
    chance: random.Random,
    seconds: float = 60,
) -> None:
    """Publish while all harm is done; then see that the results are what the log demands."""
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        harm = group.create_task(disturb(running, start, kill_a_server, chance, ended))
        await publish_many(client, chance)
        ended.set()
        await harm
    await eventually(lambda: complete(client, RULES), seconds)
    await all_stopped(running)
    wanted, found = await demanded(client, RULES), await results(client)
    # A last tick may stand in the log that nobody has folded; nothing else may be missing.
    assert [name for name in found if found[name] != wanted[name][: len(found[name])]] == []
    assert sum(map(len, found.values())) > SAMPLES / 10


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("METRICS_PARTITIONS", "0", "METRICS_PARTITIONS='0': "),
        ("METRICS_MEMBER", "a.b", "METRICS_MEMBER='a.b': "),
        ("METRICS_RULES", "none.yaml", "METRICS_RULES: none.yaml: "),
    ],
)
async def test_a_wrong_setting_names_its_variable(name: str, value: str, words: str) -> None:
    with metrics_aggregator(NOWHERE, **{name: value}) as member:
        assert await member.exit_code(20) == 2
        assert words in "".join(member.words)
        assert len(member.words) == 1


async def test_rules_that_cannot_be_used_end_the_start_with_their_fault(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {id: a, interval: 1m, outputs: [mean]}\n", "utf-8")
    with metrics_aggregator(NOWHERE, METRICS_RULES=str(file)) as member:
        assert await member.exit_code(20) == 2
        assert "METRICS_RULES: rule 'a': outputs: " in "".join(member.words)


@contextlib.asynccontextmanager
async def members(count: int, url: str, **variables: str) -> AsyncIterator[list[Process]]:
    """Run so many members; those that the test leaves in the list are ended with it."""
    running = [metrics_aggregator(url, **variables) for _ in range(count)]
    try:
        for member in running:
            await member.started()
        yield running
    finally:
        end_all(running)


async def disturb(
    running: list[Process],
    start: Callable[[], Process],
    kill_a_server: Callable[[], Awaitable[None]],
    chance: random.Random,
    ended: asyncio.Event,
    pause: tuple[float, float] = (0.5, 1.5),
) -> None:
    """Do every harm once, then kill and freeze, one after another, until `ended`.

    `pause` is how long at least and at most nothing happens between two harms, in seconds.
    """
    frozen: Process | None = None
    harms = ["freeze", "kill", "stop", "add", "server"]
    chance.shuffle(harms)
    while harms or not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(*pause)):
                await ended.wait()
        if frozen is not None:
            frozen.thaw()
            frozen = None
        victim = running[chance.randrange(len(running))]
        harm = harms.pop() if harms else chance.choice(("freeze", "kill"))
        if harm == "freeze":
            frozen = victim
            victim.freeze()
        elif harm == "server":
            await kill_a_server()
        elif harm == "add":
            running.append(await start().started())
        else:
            running.remove(victim)
            if harm == "stop":
                victim.terminate()
                await victim.stopped()
            end_all([victim])
            running.append(await start().started())
    if frozen is not None:
        frozen.thaw()


async def publish_many(client: Client, chance: random.Random, count: int = SAMPLES) -> None:
    """Publish samples whose time goes on by 20 ms each; some are late, some are no samples.

    Each series has a subject of its own, so the groups of a rule reach across partitions.
    """
    begin = time.time() - count * 0.02
    for number in range(count):
        metric = chance.choice(METRICS)
        when = begin + number * 0.02 - chance.choice((0, 0, 0, 1, 4, 12, 30))
        value = number if metric.endswith("_total") else round(chance.random() * 100, 3)
        host = chance.choice("abc")
        sample = {"name": metric, "value": value, "labels": {"host": host}, "time": when}
        body = json.dumps(sample).encode() if number % 97 else b"\xfe"
        await stored(client, f"telemetry.{metric}.of.{host}", body, f"sample-{number}")


async def stored(client: Client, subject: str, body: bytes, message_id: str) -> None:
    """Publish once, whatever the server does meanwhile: repeats carry the same id."""
    while True:
        try:
            await jetstream.publish(client, subject, body, {"Nats-Msg-Id": message_id}, timeout=1)
        except jetstream.BROKER_ERRORS:
            await eventually(lambda: client.is_connected, 30)
        else:
            return


async def published(nats_cli: str, url: str, subject: str, body: str, kind: str = "") -> None:
    given = ("-H", f"Content-Type: {kind}") if kind else ()
    process = await asyncio.create_subprocess_exec(
        nats_cli, "-s", url, "pub", "-J", *given, subject, body,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said


async def publish(client: Client, metric: str, value: float, after_s: float) -> None:
    """Publish a sample of 8 o'clock and so many seconds."""
    body = {"value": value, "time": f"2026-11-23T08:00:{after_s:02}Z"}
    await jetstream.publish(client, f"telemetry.{metric}", json.dumps(body).encode())


async def of_subject(client: Client, subject: str, least: int) -> list[Stored]:
    found = [
        one for stored in (await results(client)).values() for one in stored if one[0] == subject
    ]
    return found if len(found) >= least else []


async def ends(client: Client) -> tuple[int, int]:
    """Return the sequences of the first output and of the last."""
    found = [
        int(msg.reply.split(".")[5])
        for msg in await messages(client, "METRICS")
        if msg.subject.startswith("metrics.")
    ]
    return found[0], found[-1]


async def changed(client: Client) -> bool:
    """Tell whether a rule change stands in the log of every partition."""
    info = await jetstream.call(
        client, "STREAM.INFO.TELEMETRY", {"subjects_filter": "telemetry-log.*.control.rules"}
    )
    return len(info["state"].get("subjects") or {}) == 4


async def complete(client: Client, rules: str) -> bool:
    try:
        return await results(client) == await demanded(client, rules)
    except jetstream.BROKER_ERRORS:  # asked of a server that was killed just then
        return False
