"""The live position records, as a promotion sees them: read, let go, replaced all at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
import nats.errors
from msgspec.structs import replace
from nats.aio.client import Client

from shared import atomic_batch, jetstream
from shared.atomic_batch import BatchMessage, replaces
from shared.jetstream import JetStreamError
from shared.log_stream import position
from shared.log_stream.generation import Generation
from shared.log_stream.records import read_record, records_of
from shared.log_stream.replay import TakenOverError
from shared.log_stream.states import State, remove_older
from shared.topology import LEASES

_TIMEOUT_SECONDS = 10.0


async def has_members(client: Client, group: str) -> bool:
    """Tell whether somebody works for a group, as the leases say."""
    return bool(await jetstream.subject_counts(client, LEASES.name, f"leases.{group}.*"))


async def abort(client: Client, generation: Generation) -> int:
    """Let go what the promotion of a generation holds; return how many partitions that were."""
    released = 0
    for live in generation.live:
        for number, (_, record) in (await records_of(client, live.stage)).items():
            if record.held == generation.name:
                subject = live.stage.position(number)
                await position.let_go(client, live.stage.target.name, subject)
                released += 1
    return released


async def switch(client: Client, live: Generation, states: Sequence[State]) -> None:
    """Replace the live records, those of one target at once, the later stages' first.

    Raises `TakenOverError` where one was replaced meanwhile, and broker errors.
    """
    for target in reversed(live.targets):
        commit = uuid.uuid4().hex
        some = [state for state in states if state.stage.target.name == target.name]
        messages = [
            BatchMessage(
                state.stage.position(state.number),
                msgspec.json.encode(replace(state.record, commit=commit)),
                replaces(state.fence),
            )
            for state in some
        ]
        await _store(client, messages, some[0], commit)
    for state in states:
        await remove_older(client, state)


async def _store(client: Client, messages: list[BatchMessage], one: State, commit: str) -> None:
    while True:
        try:
            await atomic_batch.commit(client, messages, _TIMEOUT_SECONDS)
        except JetStreamError as error:
            if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
                raise
            _, stored = await read_record(client, one.stage, one.number)
            if stored.commit == commit:  # the answer to it was lost
                return
            raise TakenOverError("another promotion has come before this one") from error
        except nats.errors.TimeoutError:
            continue
        else:
            return
