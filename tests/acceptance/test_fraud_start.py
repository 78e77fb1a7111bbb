"""A fraud detector that cannot fill the bucket of its rules yet waits, and says so."""

from __future__ import annotations

from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.fraud_rig import folded, fraud_detector, pay
from tests.headrace import headrace
from tests.server import Server

RULES = "KV_FRAUD_RULES"


async def test_a_bucket_that_refuses_delays_the_start_and_does_not_end_it(
    own_server: Server, own_client: Client
) -> None:
    assert (await headrace("provision", url=own_server.url)).code == 0
    info = await jetstream.call(own_client, f"STREAM.INFO.{RULES}")
    small = info["config"] | {"max_bytes": 1, "discard": "new"}
    await jetstream.call(own_client, f"STREAM.UPDATE.{RULES}", small)
    with fraud_detector(own_server.url) as member:
        await eventually(lambda: len(member.events("preparation failed, trying again")) >= 2)
        assert member.events("service started") == []
        await jetstream.call(own_client, f"STREAM.UPDATE.{RULES}", info["config"])
        await member.started()
        await pay(own_client, "a")
        await folded(own_client)
        member.terminate()
        await member.stopped()


async def test_a_detector_that_waits_for_its_bucket_stops_at_once(
    own_server: Server, own_client: Client
) -> None:
    assert (await headrace("provision", url=own_server.url)).code == 0
    info = await jetstream.call(own_client, f"STREAM.INFO.{RULES}")
    small = info["config"] | {"max_bytes": 1, "discard": "new"}
    await jetstream.call(own_client, f"STREAM.UPDATE.{RULES}", small)
    with fraud_detector(own_server.url) as member:
        await eventually(lambda: member.events("preparation failed, trying again"))
        member.terminate()
        assert await member.exit_code(5) == 0
