"""The other commands of `headrace`, and how each of them fails: in words, with a code."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.headrace import SCRIPT, environment, headrace
from tests.server import Server

NOBODY = "nats://127.0.0.1:1"


@pytest.mark.parametrize(
    "command", [("provision",), ("demo",), ("dead", "list"), ("dead", "redrive", "--yes"), ("up",)]
)
async def test_a_server_that_is_not_there_is_named_with_what_to_start(
    command: tuple[str, ...],
) -> None:
    done = await headrace(*command, url=NOBODY)
    assert done.code == 1
    assert NOBODY in done.err
    assert "make run" in done.err
    assert "Traceback" not in done.err
    assert done.err.count("\n") == 1


async def test_a_password_is_not_shown() -> None:
    done = await headrace("provision", url="nats://me:secret@127.0.0.1:1")
    assert done.code == 1
    assert "secret" not in done.err


@pytest.mark.parametrize(
    ("variable", "value"), [("LOG_LEVEL", "loud"), ("STREAM_REPLICAS", "many")]
)
async def test_a_wrong_setting_is_named(server: Server, variable: str, value: str) -> None:
    done = await headrace("provision", "--dry-run", url=server.url, env={variable: value})
    assert done.code == 2
    assert variable in done.err
    assert value in done.err
    assert "Traceback" not in done.err


async def test_a_server_without_jetstream_is_named(tmp_path: Path) -> None:
    with Server(tmp_path, jetstream="enabled: false") as plain:
        done = await headrace("provision", url=plain.url)
    assert done.code == 1
    assert plain.url in done.err
    assert "JetStream" in done.err


async def test_schema_gives_every_message_and_one_by_name() -> None:
    every = json.loads((await headrace("schema")).out)
    assert {
        "invoice-job",
        "invoice-issued",
        "invoice-rendered",
        "measurement",
        "metric-result",
        "payment",
        "label",
        "alert",
        "score",
    } == every.keys()
    for name, document in every.items():
        assert document["title"] == name
        assert document["x-nats-subject"]
        assert document["description"]
    one = await headrace("schema", "invoice-job")
    assert json.loads(one.out) == every["invoice-job"]


async def test_schema_lets_decimals_be_strings_or_numbers() -> None:
    document = json.loads((await headrace("schema", "invoice-job")).out)
    line = document["$defs"]["JobLine"]["properties"]
    assert line["quantity"]["type"] == ["string", "number"]
    assert {"type": "null"} in line["vat_rate"]["anyOf"]
    assert any(kind["type"] == ["string", "number"] for kind in line["vat_rate"]["anyOf"][:2])


async def test_schema_names_what_there_is() -> None:
    done = await headrace("schema", "invoice-jop")
    assert done.code == 2
    assert "did you mean invoice-job?" in done.err
    assert "invoice-rendered" in done.err


async def test_demo_publishes_so_many_each_once(own_server: Server, own_client: Client) -> None:
    assert (await headrace("provision", url=own_server.url)).code == 0
    done = await headrace(
        "demo", "--service", "invoice_worker", "--count", "120", "--rate", "0", url=own_server.url
    )
    assert done.code == 0, done.err
    assert "120 stored" in done.out
    state = (await jetstream.call(own_client, "STREAM.INFO.INVOICE_JOBS"))["state"]
    assert state["messages"] == 120


async def test_demo_counts_what_is_refused(own_server: Server, own_client: Client) -> None:
    stream = {
        "name": "INVOICE_JOBS",
        "subjects": ["jobs.invoice.>"],
        "max_msgs": 30,
        "discard": "new",
    }
    await jetstream.call(own_client, "STREAM.CREATE.INVOICE_JOBS", stream)
    done = await headrace(
        "demo", "--service", "invoice_worker", "--count", "50", "--rate", "0", url=own_server.url
    )
    assert done.code == 1
    assert "30 stored" in done.out
    assert "20 refused: maximum messages exceeded" in done.out


async def test_demo_says_when_no_stream_takes_it(own_server: Server) -> None:
    done = await headrace("demo", "--count", "2", "--rate", "0", url=own_server.url)
    assert done.code == 1
    assert "headrace provision" in done.out


async def test_demo_keeps_the_rate_and_ends_on_ctrl_c_with_a_summary(
    own_server: Server, own_client: Client
) -> None:
    assert (await headrace("provision", url=own_server.url)).code == 0
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *("demo", "--service", "invoice_worker", "--rate", "40", "--seconds", "600"),
        env=environment(NATS_URL=own_server.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def messages() -> int:
        info = await jetstream.call(own_client, "STREAM.INFO.INVOICE_JOBS")
        count: int = info["state"]["messages"]
        return count

    async def enough() -> bool:
        return await messages() >= 30

    await eventually(enough)
    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    match = re.search(r"(\d+) stored in ([\d.]+) s", out.decode())
    assert match is not None
    assert int(match[1]) == await messages()
    assert int(match[1]) <= 40 * (float(match[2]) + 0.05) + 1  # the time is rounded


async def test_help_lists_the_commands() -> None:
    done = await headrace("--help")
    assert done.code == 0
    for command in ("up", "demo", "provision", "schema", "dead"):
        assert re.search(rf"\b{command}\b", done.out)
