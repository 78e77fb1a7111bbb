"""Provision makes the server match the topology, twice the same, or touches nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream, registry
from shared.cli.topologies import united
from shared.provision import ProvisionRefusedError, plan, provision, render
from shared.queue_streams import WorkQueue
from shared.settings import StreamSettings
from shared.topology import Durable, Log, PartitionedLog, Source, Stream, Topology
from tests.headrace import headrace
from tests.server import Server

SETTINGS = StreamSettings()


def topology(token: str, **queue: Any) -> Topology:
    stream = WorkQueue(f"Q_{token}", (f"q.{token}.>",), "jobs", **queue)
    durable = Durable(stream.name, "workers", "all of them", f"q.{token}.job", ack_wait_seconds=7)
    return Topology((stream, Log(f"L_{token}", (f"l.{token}.>",), "facts")), (durable,))


async def configuration(client: Client, subject: str) -> dict[str, Any]:
    config: dict[str, Any] = (await jetstream.call(client, subject))["config"]
    return config


async def stream_names(client: Client) -> list[str]:
    return (await jetstream.call(client, "STREAM.NAMES"))["streams"] or []


async def test_the_second_time_changes_nothing(client: Client, unique: str) -> None:
    first = await provision(client, topology(unique), SETTINGS)
    before = await configuration(client, f"STREAM.INFO.Q_{unique}")
    second = await provision(client, topology(unique), SETTINGS)
    assert {change.action for change in first} == {"create"}
    assert {change.action for change in second} == {"none"}
    assert await configuration(client, f"STREAM.INFO.Q_{unique}") == before


async def test_another_number_of_partitions_is_refused_for_it_would_scatter_the_keys(
    client: Client, unique: str
) -> None:
    log = PartitionedLog(
        f"P_{unique}", f"p.{unique}.*", f"log-{unique}", "event.{{wildcard(1)}}", "events"
    )
    await provision(client, Topology((log,)), SETTINGS)
    before = await configuration(client, f"STREAM.INFO.{log.name}")
    with pytest.raises(ProvisionRefusedError, match="subject_transform"):
        await provision(client, Topology((replace(log, partitions=8),)), SETTINGS)
    assert await configuration(client, f"STREAM.INFO.{log.name}") == before


async def test_a_drifted_durable_is_put_right(client: Client, unique: str) -> None:
    await provision(client, topology(unique), SETTINGS)
    info = f"CONSUMER.INFO.Q_{unique}.workers"
    right = await configuration(client, info)
    await jetstream.call(
        client,
        f"CONSUMER.CREATE.Q_{unique}.workers",
        {
            "stream_name": f"Q_{unique}",
            "config": right | {"ack_wait": 1_000_000_000, "max_ack_pending": 1},
            "action": "update",
        },
    )
    changes = await provision(client, topology(unique), SETTINGS)
    drift = {(d.field, d.have) for change in changes for d in change.differences}
    assert drift == {("ack_wait", 1_000_000_000), ("max_ack_pending", 1)}
    assert await configuration(client, info) == right


async def test_a_drifted_stream_is_put_right_and_the_operators_own_settings_stay(
    client: Client, unique: str
) -> None:
    await provision(client, topology(unique, max_messages=10), SETTINGS)
    info = f"STREAM.INFO.Q_{unique}"
    config = await configuration(client, info)
    await jetstream.call(
        client, f"STREAM.UPDATE.Q_{unique}", config | {"max_msgs": 5, "compression": "s2"}
    )
    await provision(client, topology(unique, max_messages=10), SETTINGS)
    after = await configuration(client, info)
    assert after["max_msgs"] == 10
    assert after["compression"] == "s2"


async def test_an_impossible_change_is_refused_in_words_and_nothing_is_touched(
    client: Client, unique: str
) -> None:
    name = f"Q_{unique}"
    streams: tuple[Stream, ...] = (Log(name, (f"q.{unique}.>",), "a log"),)
    await provision(client, Topology(streams), SETTINGS)
    before = await configuration(client, f"STREAM.INFO.{name}")
    with pytest.raises(ProvisionRefusedError) as refused:
        await provision(client, topology(unique), SETTINGS)
    words = str(refused.value)
    assert f"REFUSED   stream {name}" in words
    assert "retention: 'limits' -> 'workqueue'" in words
    assert f"nats stream backup {name}" in words
    assert await configuration(client, f"STREAM.INFO.{name}") == before
    assert f"L_{unique}" not in await stream_names(client)


async def test_a_plan_changes_nothing_and_says_what_would(client: Client, unique: str) -> None:
    lines = render(await plan(client, topology(unique), SETTINGS))
    assert lines == [
        f"create    stream Q_{unique}",
        f"create    stream L_{unique}",
        f"create    durable Q_{unique} > workers",
    ]
    assert f"Q_{unique}" not in await stream_names(client)


async def test_the_command_provisions_all_services(own_server: Server, own_client: Client) -> None:
    dry = await headrace("provision", "--dry-run", url=own_server.url)
    assert dry.code == 0, dry.err
    assert "create    stream INVOICE_JOBS" in dry.out
    assert await stream_names(own_client) == []
    done = await headrace("provision", url=own_server.url)
    assert done.code == 0, done.err
    assert done.out == dry.out
    declared = [entry.topology() for entry in registry.services()]
    wanted = {stream.config()["name"] for one in declared for stream in one.streams}
    assert set(await stream_names(own_client)) >= wanted
    again = await headrace("provision", url=own_server.url)
    assert {line.split()[0] for line in again.out.splitlines()} == {"unchanged"}


async def test_the_command_refuses_with_words(own_server: Server, own_client: Client) -> None:
    await jetstream.call(
        own_client, "STREAM.CREATE.INVOICES", {"name": "INVOICES", "storage": "memory"}
    )
    refused = await headrace("provision", url=own_server.url)
    assert refused.code == 1
    assert "storage: 'memory' -> 'file'" in refused.err
    assert "nats stream rm INVOICES" in refused.err
    assert "Traceback" not in refused.err
    assert await stream_names(own_client) == ["INVOICES"]


async def test_replicas_that_a_single_server_cannot_give_are_refused(
    own_server: Server, own_client: Client
) -> None:
    refused = await headrace("provision", url=own_server.url, env={"STREAM_REPLICAS": "3"})
    assert refused.code == 1
    assert "the server refuses to create stream" in refused.err
    assert "replicas" in refused.err
    assert "Traceback" not in refused.err
    assert await stream_names(own_client) == []


async def test_services_that_start_together_each_add_their_sources(
    client: Client, unique: str
) -> None:
    first, second = (
        Topology((Log(name=f"F{n}_{unique}", subjects=(f"f{n}.{unique}",), description="feeds"),))
        for n in (1, 2)
    )
    await provision(client, first, SETTINGS)
    await provision(client, second, SETTINGS)
    plain = Log(name=f"D_{unique}", subjects=(f"d.{unique}.>",), description="is fed")
    declared = [
        replace(plain, sources=(Source(f"F{n}_{unique}", f"f{n}.{unique}", f"d.{unique}.{n}"),))
        for n in (1, 2)
    ]
    plans = [await plan(client, Topology((log,)), SETTINGS) for log in (plain, *declared)]
    assert [change.action for changes in plans for change in changes] == ["create"] * 3
    async with asyncio.TaskGroup() as group:
        for log in (plain, *declared):
            group.create_task(provision(client, Topology((log,)), SETTINGS))
    for log in declared:  # each again, as at its next start: a rival's update may have won
        await provision(client, Topology((log,)), SETTINGS)
    info = await jetstream.call(client, f"STREAM.INFO.D_{unique}")
    assert {one["name"] for one in info["config"]["sources"]} == {f"F1_{unique}", f"F2_{unique}"}


def test_what_several_services_feed_has_the_sources_of_all() -> None:
    plain = Log(name="D", subjects=("d.>",), description="is fed")
    one, two = (replace(plain, sources=(Source(f"F{n}", f"f{n}", f"d.{n}"),)) for n in (1, 2))
    (log,) = united([Topology((plain,)), Topology((two,)), Topology((one, two))]).streams
    assert log == replace(plain, sources=(*two.sources, *one.sources))
