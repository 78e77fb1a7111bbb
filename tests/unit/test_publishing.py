"""Many messages at once are the same bytes, and the same errors, as one by one by nats-py."""

from __future__ import annotations

import asyncio

import nats.errors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client

from shared.atomic_batch import BatchMessage
from shared.publishing import frame_of, publish_all

SOURCE = {"Headrace-Source": "PAYMENTS:17", "Nats-TTL": "720h"}

names = st.sampled_from(["A", "Nats-TTL", "with space", "with:colon", "", " B", "\r\nC", "ü"])
values = st.text(st.sampled_from("ab:; \t\r\n\x0b\x7fäX-"), max_size=8)
messages = st.builds(
    BatchMessage,
    st.sampled_from(["fraud.alerts.c", "a b", "a\r\nPUB x 0", "", "ä", "a\x00"]),
    st.binary(max_size=20),
    st.dictionaries(names, values, max_size=3),
)


class Connection(Client):
    """A client without a network: keeps what it would write."""

    def __init__(self) -> None:
        super().__init__()
        self._status = Client.CONNECTED
        self._max_payload = 16
        self.written = b""

    async def _send_command(self, cmd: bytes, priority: bool = False) -> None:  # noqa: FBT001, FBT002
        assert not priority
        self.written += cmd


async def one_by_one(client: Client, some: list[BatchMessage]) -> None:
    for one in some:
        await client.publish(one.subject, one.data, headers=dict(one.headers))


async def outcome(publish: object, some: list[BatchMessage]) -> tuple[bytes, str]:
    client = Connection()
    try:
        await publish(client, some)  # type: ignore[operator]  # one of the two
    except (nats.errors.Error, UnicodeError) as error:
        return client.written, repr(error)
    return client.written, ""


@settings(max_examples=300, deadline=None)
@given(st.lists(messages, max_size=5))
def test_the_bytes_are_those_of_nats_py(some: list[BatchMessage]) -> None:
    whole, piecewise = (
        asyncio.run(outcome(publish_all, some)),
        asyncio.run(outcome(one_by_one, some)),
    )
    assert whole == piecewise


def test_what_is_usual_is_not_left_to_nats_py() -> None:
    assert frame_of(BatchMessage("fraud.scores.card-1", b"{}", SOURCE)) is not None
    assert frame_of(BatchMessage("fraud.scores.card-1", b"{}", {"A": "1\r\nB: 2"})) is None


async def test_a_closed_connection_is_told() -> None:
    client = Connection()
    client._status = Client.CLOSED  # noqa: SLF001 - as after close()
    with pytest.raises(nats.errors.ConnectionClosedError):
        await publish_all(client, [BatchMessage("a", b"", SOURCE)])
