"""Replay is a feature: the aggregator's history folded again by the CLI, beside the live one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from nats.aio.client import Client

from services.metrics_aggregator.settings import PartitionSettings
from services.metrics_aggregator.topology import sample_stage
from shared import jetstream
from shared.log_stream import position
from tests.acceptance.test_metrics import RULES, changed, complete, members, publish_many
from tests.eventually import eventually
from tests.headrace import SCRIPT, Finished, environment, headrace
from tests.metrics_rig import demanded, results
from tests.server import Server, die_with_parent

PARTITIONS = {"METRICS_PARTITIONS": "4"}
SERVICE = "metrics_aggregator"


async def run(url: str, command: str, *arguments: str) -> Finished:
    """Run a command about the aggregator."""
    return await headrace(command, SERVICE, *arguments, url=url, env=PARTITIONS)


async def test_a_replay_equals_live_and_so_does_a_replay_that_was_killed(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    url = own_server.url
    async with members(2, url, METRICS_RULES=str(tmp_path / "rules.yaml")):
        await publish_many(own_client, random.Random(3), 3000)
        await eventually(lambda: complete(own_client, RULES), 60)
        done = await run(url, "replay", "--as", "calm")
        assert done.code == 0, done
        assert f"headrace promote {SERVICE} calm" in done.out
        for _ in range(3):
            await killed(url, own_client, "METRICS-shaken", "replay", SERVICE, "--as", "shaken")
        done = await run(url, "replay", "--as", "shaken")
        assert done.code == 0, done
        for pair in (("live", "calm"), ("live", "shaken"), ("calm", "shaken")):
            same = await run(url, "diff", *pair)
            assert same.code == 0, same
            assert same.out.splitlines()[-1].endswith(": equal")
        found = re.findall(r"calm=(\d+) ", (await run(url, "diff", "calm", "live")).out)
        assert int(found[-1]) > 300
    listed = await run(url, "replay", "--list")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["calm", "shaken"]
    assert (await run(url, "replay", "--remove", "shaken")).code == 0
    unknown = await run(url, "diff", "live", "shaken")
    assert unknown.code == 2
    assert "it has calm, live" in unknown.err


async def test_promoted_while_samples_flow_and_killed_meanwhile_nothing_is_missing_or_double(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    url = own_server.url
    async with members(2, url, METRICS_RULES=str(tmp_path / "rules.yaml")):
        async with flowing(own_client, random.Random(4)):
            await eventually(lambda: grown(own_client, "METRICS", 100), 60)
            assert (await run(url, "replay", "--as", "same")).code == 0
            await killed_when(lambda: held(own_client), url, "promote", SERVICE, "same")
            done = await run(url, "promote", "same")
            assert done.code == 0, done
            assert done.out.splitlines()[-1] == "same is live"
            again = await run(url, "promote", "same")
            assert again.out == "same is live already\n"
            await killed_when(lambda: held(own_client), url, "promote", SERVICE, "same")
        # By the same rules: what was promoted is what would have been without.
        await eventually(lambda: complete(own_client, RULES), 60)
    verified = await run(url, "verify")
    assert verified.code == 0, verified
    assert "live goes on with the state of same" in verified.out
    assert " from=" in verified.out


async def test_promoted_rules_count_from_the_cut_on_and_those_that_stay_never_notice(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES, "utf-8")
    more = RULES + "- {id: extra, match: latency, interval: 10s, outputs: [sum_samples]}\n"
    url = own_server.url
    async with members(2, url, METRICS_RULES=str(file)):
        async with flowing(own_client, random.Random(5)):
            await eventually(lambda: grown(own_client, "METRICS", 100), 60)
            file.write_text(more, "utf-8")  # first the members' file: else they change it back
            await eventually(lambda: changed(own_client), 30)
            replayed = await run(url, "replay", "--as", "new", "--rules", str(file))
            assert replayed.code == 0, replayed
            differs = await run(url, "diff", "live", "new")
            assert differs.code == 1
            assert "metrics.extra.latency:10s_sum_samples live=" in differs.out
            promoted = await run(url, "promote", "new")
            assert promoted.code == 0, promoted
            end = await last(own_client, "TELEMETRY")
            await eventually(lambda: grown(own_client, "TELEMETRY", end + 400), 60)
        await eventually(lambda: stays(own_client), 60)
    found = await results(own_client)
    for series, stored in found.items():
        windows = [json.loads(one[1]) for one in stored if one[0].startswith("metrics.")]
        which = [(one["start"], one["end"], one["revision"]) for one in windows]
        assert len(which) == len(set(which)), series
    assert any(series.startswith("metrics.extra.") for series in found)
    verified = await run(url, "verify")
    assert verified.code == 0, verified


async def stays(client: Client) -> bool:
    """Whether rules that stayed have given what they give in an undisturbed fold."""
    wanted, found = await demanded(client, RULES), await results(client)
    return [found.get(series) for series in wanted if ".extra." not in series] == [
        stored for series, stored in wanted.items() if ".extra." not in series
    ]


async def test_a_promotion_that_was_begun_can_be_undone(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    url = own_server.url
    async with members(1, url, METRICS_RULES=str(tmp_path / "rules.yaml")):
        async with flowing(own_client, random.Random(6)):
            await eventually(lambda: grown(own_client, "METRICS", 100), 60)
            assert (await run(url, "replay", "--as", "same")).code == 0
            await killed_when(lambda: held(own_client), url, "promote", SERVICE, "same")
            undone = await run(url, "promote", "same", "--abort")
            assert undone.code == 0
            assert undone.out.endswith("partitions go on as before\n")
        await eventually(lambda: complete(own_client, RULES), 60)


async def test_a_lost_view_is_folded_again_in_place(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    rules = {"METRICS_RULES": str(tmp_path / "rules.yaml")}
    async with members(1, own_server.url, **rules) as (member,):
        await publish_many(own_client, random.Random(7), 2000)
        await eventually(lambda: complete(own_client, RULES), 60)
        member.terminate()
        await member.stopped()
    for stream in ("METRICS", "METRICS_PARTIALS", "METRICS_LATEST"):  # as docs/replay.md says
        await jetstream.call(own_client, f"STREAM.PURGE.{stream}")
    async with members(1, own_server.url, **rules):
        await eventually(lambda: complete(own_client, RULES), 60)
        assert sum(map(len, (await results(own_client)).values())) > 200


@contextlib.asynccontextmanager
async def flowing(client: Client, chance: random.Random) -> AsyncIterator[None]:
    """Publish samples while the context is open; their time goes on by 100 ms each.

    With pauses: a rule change enters the log only where it finds its partition at rest.
    """
    stop = asyncio.Event()

    async def flow() -> None:
        when = time.time() - 500
        while not stop.is_set():
            when += 0.02
            metric = chance.choice(("latency", "latency.search", "requests_total", "page_view"))
            sample = {
                "value": round(chance.random() * 100, 3),
                "labels": {"host": chance.choice("abc")},
                "time": when - chance.choice((0, 0, 0, 1, 4, 12, 30)),
            }
            await jetstream.publish(client, f"telemetry.{metric}", json.dumps(sample).encode())

    async with asyncio.TaskGroup() as group:
        group.create_task(flow())
        try:
            yield
        finally:
            stop.set()


async def held(client: Client) -> bool:
    """Whether a promotion holds a partition."""
    stage = sample_stage(PartitionSettings(partitions=4))
    _, record = await position.read(client, stage.target.name, stage.position(0))
    return bool(record.held)


async def grown(client: Client, stream: str, least: int) -> bool:
    return await last(client, stream) > least


async def killed(url: str, client: Client, stream: str, *arguments: str) -> None:
    """Run a command and kill it as soon as it has added to the stream."""
    least = await last(client, stream) + 60
    await killed_when(lambda: grown(client, stream, least), url, *arguments)


async def killed_when(fact: Callable[[], Awaitable[bool]], url: str, *arguments: str) -> None:
    """Run a command and kill it as soon as that is so, if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *arguments,
        env=environment(NATS_URL=url, **PARTITIONS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )

    async def so() -> bool:
        return process.returncode is not None or await fact()

    await eventually(so, 60)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def last(client: Client, stream: str) -> int:
    try:
        return int((await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]["last_seq"])
    except jetstream.JetStreamError:
        return 0
