"""Replay is a feature: the aggregator's history folded again by the CLI, beside the live one."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from pathlib import Path

from nats.aio.client import Client

from shared import jetstream
from tests.acceptance.test_metrics import RULES, complete, members, publish_many
from tests.eventually import eventually
from tests.headrace import SCRIPT, Finished, environment, headrace
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


async def killed(url: str, client: Client, stream: str, *arguments: str) -> None:
    """Run a command and kill it as soon as it has added to the stream."""
    before = await last(client, stream)
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *arguments,
        env=environment(NATS_URL=url, **PARTITIONS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )

    async def grown() -> bool:
        return process.returncode is not None or await last(client, stream) > before + 60

    await eventually(grown, 60)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def last(client: Client, stream: str) -> int:
    try:
        return int((await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]["last_seq"])
    except jetstream.JetStreamError:
        return 0
