"""The server's disk stalls, or its machine loses power: what then is gone depends on the syncs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import nats
import pytest

from shared import jetstream
from tests.chaos.disk import Disk
from tests.chaos.fleet import Setup
from tests.chaos.report import Report
from tests.chaos.run import under_traffic
from tests.eventually import eventually
from tests.server import Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

TIMES = 3
OUTAGE_SECONDS = 3
SLOW_SECONDS = 12
SLICE_SECONDS = 0.25
SYNC_SECONDS = 2
SLACK_SECONDS = 2
SENDING_SECONDS = 8


async def test_the_disk_of_the_server_is_slow(tmp_path: Path, report: Report) -> None:
    with Disk(tmp_path) as disk, Server(disk.path, jetstream="sync_interval: always") as server:
        async with under_traffic(Setup(server.url, tmp_path), report) as run:
            end = time.monotonic() + SLOW_SECONDS
            while time.monotonic() < end:
                await asyncio.to_thread(disk.stall)
                await run.going_on(3 * SLICE_SECONDS)
                await asyncio.to_thread(disk.go_on)
                await run.going_on(SLICE_SECONDS)
            await run.recovered()
            run.notes.append(
                f"for {SLOW_SECONDS} s no write gets through three quarters of the time"
            )
            await run.going_on(3)


async def test_the_power_of_a_server_that_always_syncs_is_cut(
    tmp_path: Path, report: Report
) -> None:
    with Disk(tmp_path) as disk, Server(disk.path, jetstream="sync_interval: always") as server:
        async with under_traffic(Setup(server.url, tmp_path), report) as run:
            for _ in range(TIMES):
                disk.cut()
                await asyncio.to_thread(server.kill)
                disk.back()
                await run.going_on(OUTAGE_SECONDS)
                await asyncio.to_thread(server.start)
                await run.recovered()
            run.notes.append(f"{TIMES} times, away for {OUTAGE_SECONDS} s each; the slowest counts")
            await run.going_on(3)


async def test_a_server_that_syncs_now_and_then_loses_the_end_and_nothing_before(
    tmp_path: Path,
) -> None:
    """The default is every two minutes; here it is two seconds, so as not to wait for it."""
    sync = f'sync_interval: "{SYNC_SECONDS}s"'
    with Disk(tmp_path) as disk, Server(disk.path, jetstream=sync) as server:
        client = await nats.connect(server.url)
        config = {"name": "SENT", "subjects": ["sent"], "storage": "file"}
        await jetstream.call(client, "STREAM.CREATE.SENT", config)
        os.sync()  # the kernel would do so within half a minute; before that, the stream is gone
        stored: list[float] = []
        end = time.monotonic() + SENDING_SECONDS
        while time.monotonic() < end:
            await jetstream.publish(client, "sent", str(len(stored)).encode())
            stored.append(time.monotonic())
        disk.cut()
        cut = time.monotonic()
        await client.close()
        await asyncio.to_thread(server.kill)
        disk.back()
        await asyncio.to_thread(server.start)

        client = await nats.connect(server.url)
        info = await eventually(lambda: jetstream.call(client, "STREAM.INFO.SENT"))
        kept = info["state"]["last_seq"]
        assert (info["state"]["first_seq"], info["state"]["messages"]) == (1, kept)
        last = await jetstream.message_at(client, "SENT", kept)
        assert last is not None
        assert last.data == str(kept - 1).encode()
        synced = sum(one < cut - SYNC_SECONDS - SLACK_SECONDS for one in stored)
        assert synced <= kept < len(stored)
        await client.close()
