"""Read what was set aside: the dead letters of all services, oldest first, page by page.

Each page is read through a consumer of its own that lives no longer than the page, so a
reader may take its time between two of them, and 100,000 letters are a few hundred requests.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import jetstream, subjects
from shared.letters import DeadLetter, parse
from shared.topology import DEAD_LETTERS

_PAGE_MESSAGES = 1000
_NO_RESPONDERS = "503"
_UNHEARD_SECONDS = 0.05
_PAGE_BYTES = 16 * 1024 * 1024
_PULL_SECONDS = 2.0
_PAGE_SECONDS = 20.0
_CONSUMER_LIFE_SECONDS = 30
_ROUNDING = dt.timedelta(microseconds=2)


class DeadLettersMissingError(Exception):
    """The server has no stream of dead letters."""


class Selection(Struct, frozen=True):
    """Which dead letters; a field that is None or empty asks for nothing.

    `subject` is the original one and may hold the wildcards `*` and `>`. `since` compares
    with the time of parking. `sequences` and `up_to`, the greatest, are those in DEAD_LETTERS.
    """

    service: str | None = None
    reason: str | None = None
    stream: str | None = None
    subject: str | None = None
    since: dt.datetime | None = None
    sequences: tuple[int, ...] = ()
    up_to: int | None = None
    limit: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Tell whether the letter is asked for, `sequences` and `limit` aside."""
        return (
            self.service in {None, letter.service}
            and self.reason in {None, letter.reason}
            and self.stream in {None, letter.origin_stream}
            and (self.subject is None or subjects.matches(self.subject, letter.origin_subject))
            and (self.up_to is None or letter.sequence <= self.up_to)
            and (self.since is None or letter.parked_at >= self.since)
        )


async def read(
    client: Client, selection: Selection, *, bodies: bool = True
) -> AsyncIterator[DeadLetter]:
    """Yield the selected letters that are stored now; what is parked meanwhile is left out.

    So a redriven job that dies again is not redriven in the same run. `bodies` false reads
    headers only. Raises `DeadLettersMissingError`, `JetStreamError`, nats-py's errors.
    """
    last_sequence = await _last_sequence(client)
    if selection.up_to is not None:
        last_sequence = min(last_sequence, selection.up_to)
    stored = (
        _read_each(client, selection.sequences)
        if selection.sequences
        else _read_pages(client, selection, last_sequence, bodies=bodies)
    )
    left = selection.limit
    if left == 0:
        return
    async for letter in stored:
        if selection.takes(letter):
            yield letter
            left = None if left is None else left - 1
            if left == 0:
                return


async def _last_sequence(client: Client) -> int:
    try:
        info = await jetstream.call(client, f"STREAM.INFO.{DEAD_LETTERS.name}")
    except jetstream.JetStreamError as error:
        if error.err_code in jetstream.NOT_FOUND:
            raise DeadLettersMissingError(
                f"the server has no stream {DEAD_LETTERS.name}; `headrace provision` creates it"
            ) from error
        raise
    last: int = info["state"]["last_seq"]
    return last


async def _read_each(client: Client, sequences: Iterable[int]) -> AsyncIterator[DeadLetter]:
    for sequence in sorted(set(sequences)):
        stored = await jetstream.message_at(client, DEAD_LETTERS.name, sequence)
        if stored is not None:
            time = dt.datetime.fromisoformat(stored.time)
            yield parse(stored.subject, stored.sequence, time, stored.headers, stored.data)


async def _read_pages(
    client: Client, selection: Selection, last_sequence: int, *, bodies: bool
) -> AsyncIterator[DeadLetter]:
    sequence = 1
    while sequence <= last_sequence:
        page = await _read_page(client, selection, sequence, bodies=bodies)
        for letter in page:
            if letter.sequence <= last_sequence:
                yield letter
        if not page:
            return
        sequence = page[-1].sequence + 1


async def _read_page(
    client: Client, selection: Selection, sequence: int, *, bodies: bool
) -> list[DeadLetter]:
    config = _consumer_config(selection, sequence, bodies=bodies)
    consumer = await jetstream.call(
        client,
        f"CONSUMER.CREATE.{DEAD_LETTERS.name}",
        {"stream_name": DEAD_LETTERS.name, "config": config},
    )
    try:
        return await _pull(client, consumer["name"], min(consumer["num_pending"], _PAGE_MESSAGES))
    finally:
        await jetstream.call(client, f"CONSUMER.DELETE.{DEAD_LETTERS.name}.{consumer['name']}")


def _consumer_config(selection: Selection, sequence: int, *, bodies: bool) -> dict[str, Any]:
    start: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": sequence}
    if selection.since is not None and sequence == 1:
        # A little early: nats-py rounds the times that it gives, the selection decides.
        since = (selection.since - _ROUNDING).astimezone(dt.UTC).isoformat()
        start = {"deliver_policy": "by_start_time", "opt_start_time": since}
    return start | {
        "filter_subject": f"dead.{selection.service or '*'}.{selection.reason or '>'}",
        "ack_policy": "none",
        "headers_only": not bodies,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _CONSUMER_LIFE_SECONDS * jetstream.NANOSECONDS,
    }


async def _pull(client: Client, consumer: str, count: int) -> list[DeadLetter]:
    """Pull `count` messages, or fewer when the server says that no more are to be had."""
    letters: list[DeadLetter] = []
    if count == 0:
        return letters
    request = {
        "batch": count,
        "max_bytes": _PAGE_BYTES,
        "expires": int(_PULL_SECONDS * jetstream.NANOSECONDS),
    }
    inbox = client.new_inbox()

    async def ask() -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{DEAD_LETTERS.name}.{consumer}"
        await client.publish(subject, msgspec.json.encode(request), reply=inbox)

    over = asyncio.Event()

    async def collect(msg: Msg) -> None:
        if msg.reply:
            letters.append(_from_delivery(msg))
        elif (msg.headers or {}).get("Status") == _NO_RESPONDERS:
            # In a cluster the server that is asked may not have heard of the new consumer yet.
            await asyncio.sleep(_UNHEARD_SECONDS)
            await ask()
            return
        # Any other message without reply is a status: expired, or more bytes than a page takes.
        if not msg.reply or len(letters) == count:
            over.set()

    subscription = await client.subscribe(inbox, cb=collect)
    try:
        await ask()
        async with asyncio.timeout(_PAGE_SECONDS):
            await over.wait()
    finally:
        await subscription.unsubscribe()
    return letters


def _from_delivery(msg: Msg) -> DeadLetter:
    metadata = msg.metadata
    return parse(
        msg.subject,
        metadata.sequence.stream,
        metadata.timestamp,
        dict(msg.headers or {}),
        msg.data,
    )
