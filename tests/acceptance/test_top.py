"""`headrace top` shows queues, logs and dead letters of all that runs."""

from __future__ import annotations

from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.fraud_rig import folded, members, pay
from tests.headrace import headrace
from tests.processes import invoice_workers
from tests.server import Server


async def test_it_counts_what_waits_what_is_folded_and_who_is_alive(
    own_server: Server, own_client: Client
) -> None:
    provisioned = await headrace("provision", url=own_server.url)
    assert provisioned.code == 0, provisioned
    for number in range(3):
        await jetstream.publish(own_client, "jobs.invoice.demo", b"{" * (number + 1))
    waiting = await shown(own_server)
    assert waiting["invoice_worker"] == ["INVOICE_JOBS", "3", "0", "0", "0"]
    assert waiting["fraud_detector"] == ["0", "0", "of", "16", "0", "0", "0", "-"]
    async with members(2, own_server.url), invoice_workers(1, own_server.url):
        for number in range(20):
            await pay(own_client, f"card-{number}")
        await folded(own_client)
        await eventually(lambda: jetstream.last_message(own_client, "DEAD_LETTERS", "dead.>"))
        found = await eventually(lambda: settled(own_server), 30)
        assert found["fraud_detector"][:7] == ["2", "16", "of", "16", "0", "0", "0"]
        assert found["fraud_keyed"][1:4] == ["1", "of", "1"]
        assert found["fraud_detector"][-1] in {"m", "s"}  # 1 minute of grace behind
        assert found["metrics_merger"][0] == "0"
        assert found["dead.invoice_worker.malformed"] == ["3"]


async def settled(server: Server) -> dict[str, list[str]]:
    found = await shown(server)
    return found if found["invoice_worker"][1:3] == ["0", "0"] else {}


async def shown(server: Server) -> dict[str, list[str]]:
    """Return the cells of each row by its first one."""
    done = await headrace("top", url=server.url)
    assert done.code == 0, done
    rows = [line.split() for line in done.out.splitlines() if line.strip()]
    return {row[0]: row[1:] for row in rows}
