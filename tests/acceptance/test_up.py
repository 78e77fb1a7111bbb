"""`headrace up`: everything runs, stays running, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest

from shared import jetstream
from tests.eventually import eventually
from tests.headrace import SCRIPT, environment, headrace
from tests.process_facts import alive, children
from tests.server import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVER = "nats-server"
WORKER = "services.invoice_worker"
READY_SECONDS = 60
PROCESSES = 4
"""A server and three services; where there is a server already, one service twice."""


class Up:
    """A running `headrace up` and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8")

    def said(self, words: str) -> Callable[[], bool]:
        return lambda: words in self.text

    @property
    def url(self) -> str:
        match = re.search(r"runs at (nats://\S+),", self.text)
        assert match is not None
        return match[1]

    def child(self, name: str) -> int:
        """The one child whose command line holds `name`; 0 if there is none."""
        return next((pid for pid, line in children(self.process.pid).items() if name in line), 0)

    async def ended(self) -> int:
        await eventually(lambda: self.process.poll() is not None, 60)
        return self.process.returncode


@asynccontextmanager
async def up(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Up]:
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  starts at once; output goes to a file
            [SCRIPT, "up", *arguments],
            cwd=folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Up(process, log)
    try:
        yield running
    finally:
        left = children(process.pid)
        process.kill()
        process.wait()
        await eventually(lambda: not any(alive(pid) for pid in left), 30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ready_says_what_to_type_and_a_signal_ends_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with up(tmp_path, "--port", "0") as running:
        await eventually(running.said("ready after"), READY_SECONDS)
        await eventually(running.said("Ctrl-C stops everything"))
        assert f"nats -s {running.url} pub -J jobs.invoice.demo" in running.text
        started = children(running.process.pid)
        assert len(started) == PROCESSES
        running.process.send_signal(number)
        assert await running.ended() == 0, running.text
        assert not any(alive(pid) for pid in started)
        assert "Traceback" not in running.text


async def test_the_commands_that_it_prints_work_as_typed(tmp_path: Path, nats_cli: str) -> None:
    async with up(tmp_path, "--port", "0") as running:
        await eventually(running.said("Ctrl-C stops everything"), READY_SECONDS)
        lines = [line.strip() for line in running.text.splitlines() if "nats -s" in line]
        commands = [line for line in lines if " sub " not in line]  # which ends never
        assert commands
        first, *others = [command.replace("nats", nats_cli, 1) for command in commands]
        assert (await shell(first))[0] == 0
        for command in others:
            # The invoice comes a moment after its job.
            async def succeeds(command: str = command) -> str:
                code, out = await shell(command)
                return out if code == 0 else ""

            assert await eventually(succeeds)
        assert "order_id=SO-1001" in running.text


async def shell(command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_shell(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_a_killed_service_is_started_again(tmp_path: Path) -> None:
    async with up(tmp_path, "--port", "0") as running:
        await eventually(running.said("ready after"), READY_SECONDS)
        first = running.child(WORKER)
        os.kill(first, signal.SIGKILL)
        await eventually(running.said("killed by SIGKILL; starts again"))
        await eventually(lambda: running.child(WORKER) not in {0, first})


async def test_a_killed_server_is_started_again_over_the_same_store(tmp_path: Path) -> None:
    async with up(tmp_path, "--port", "0", "--scale", "invoice_worker=0") as running:
        await eventually(running.said("runs at"), READY_SECONDS)
        client = await nats.connect(running.url)
        await jetstream.call(client, "STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
        await jetstream.publish(client, "s", b"kept")
        first = running.child(SERVER)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: running.child(SERVER) not in {0, first})
        await eventually(lambda: client.is_connected, 30)

        async def kept() -> bool:
            message = await jetstream.last_message(client, "S", "s")
            return message is not None and message.data == b"kept"

        await eventually(kept)
        await client.close()


async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    async with up(tmp_path, "--port", "0") as running:
        await eventually(running.said("ready after"), READY_SECONDS)
        started = children(running.process.pid)
        assert len(started) == PROCESSES
        running.process.kill()
        await running.ended()
        await eventually(lambda: not any(alive(pid) for pid in started))


async def test_several_of_one_service(tmp_path: Path, server: Server) -> None:
    async with up(
        tmp_path, "--scale", "invoice_worker=2", NATS_URL=server.url, LOG_LEVEL="warning"
    ) as running:
        await eventually(running.said("ready after"), READY_SECONDS)
        assert len(children(running.process.pid)) == PROCESSES
        running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 0
        assert "nats-server runs" not in running.text


async def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    async with up(tmp_path, "--port", "0") as running:
        await eventually(running.said("ready after"), READY_SECONDS)
        frozen = running.child(WORKER)
        os.kill(frozen, signal.SIGSTOP)
        running.process.send_signal(signal.SIGINT)
        await eventually(running.said("stopping"))
        running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 0
        assert not alive(frozen)


async def test_a_port_in_use_is_explained(tmp_path: Path, server: Server) -> None:
    store = str(tmp_path / "store")
    done = await headrace("up", "--store", store, env={"PORT": str(server.port)})
    assert done.code == 1
    assert f"port {server.port} is in use" in done.err
    assert "PORT=" in done.err
    assert f"NATS_URL={server.url}" in done.err
    assert "Traceback" not in done.out + done.err


async def test_a_folder_in_use_is_explained(tmp_path: Path) -> None:
    async with up(tmp_path, "--port", "0", "--scale", "invoice_worker=0") as running:
        await eventually(running.said("runs at"), READY_SECONDS)
        done = await headrace("up", "--port", "0", "--store", str(tmp_path / ".headrace"))
        assert done.code == 1
        assert "another `headrace up`" in done.err
        assert running.process.poll() is None


async def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    done = await headrace("up", "--store", str(tmp_path), "--scale", "invoice_wrker=2")
    assert done.code == 2
    assert "did you mean invoice_worker?" in done.err


async def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    done = await headrace("up", "--store", str(tmp_path / "store"), env={"HTTP_PORT": "none"})
    assert done.code == 2
    assert "HTTP_PORT" in done.err
    assert not (tmp_path / "store").exists()
