"""What requests promise to the tasks that make them."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client

from shared import jetstream


async def test_a_cancellation_that_comes_with_the_answer_counts(client: Client) -> None:
    asking = asyncio.create_task(jetstream.call(client, "INFO"))
    while not client._resp_map:  # noqa: ASYNC110, SLF001 - the only way to that instant
        await asyncio.sleep(0)
    (answer,) = client._resp_map.values()  # noqa: SLF001
    answer.add_done_callback(lambda _: asking.cancel())
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_task_may_ask_while_it_ends(client: Client) -> None:
    began = asyncio.Event()

    async def end_in_good_order() -> dict[str, object]:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return await jetstream.call(client, "INFO")
        raise AssertionError

    ending = asyncio.create_task(end_in_good_order())
    await began.wait()
    ending.cancel()
    assert "limits" in await ending
