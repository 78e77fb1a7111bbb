"""What we ask of JetStream beyond nats-py: raw API calls, fenced publishes, reads by subject.

Reads here go to the stream's leader (`STREAM.MSG.GET`), not to any replica (`DIRECT.GET`),
unless the name says so: a decision must not rest on a replica that lags.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

NANOSECONDS = 1_000_000_000
"""In a second: the server's API counts times and durations in them."""

NOT_FOUND = frozenset({10014, 10037, 10059})
"""Error codes: no such consumer, message, stream."""

WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
"""Error codes of a refused fence."""

STREAM_FULL = 10077

_DELETE_FAILED = 10057

MULTI_LAST_MAX = 1024
"""Subjects that one multi-get may name."""

_REQUEST_TIMEOUT_SECONDS = 5.0


class JetStreamError(Exception):
    """The server refused a request: HTTP-like `code`, JetStream `err_code`, its words."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{description} ({code}/{err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


BROKER_ERRORS = (JetStreamError, nats.errors.Error, TimeoutError, OSError)
"""What a request may raise because of the broker or the way to it; trying again may help."""


class PubAck(Struct, frozen=True):
    """The server has stored the message (or had it already: `duplicate`)."""

    stream: str
    sequence: int = msgspec.field(name="seq")
    duplicate: bool = False


class StoredMessage(Struct, frozen=True):
    """A message as a stream holds it."""

    subject: str
    sequence: int
    data: bytes
    headers: dict[str, str]
    time: str


class _Error(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PublishReply(Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_publish_reply = msgspec.json.Decoder(_PublishReply)


async def request(
    client: Client,
    subject: str,
    data: bytes,
    headers: Mapping[str, str] | None = None,
    timeout: float = _REQUEST_TIMEOUT_SECONDS,
) -> Msg:
    """Publish and return the first answer. Raises nats-py's errors, `TimeoutError` among them.

    A cancellation always counts. nats-py waits by `asyncio.wait_for`, which before Python 3.12
    drops one that arrives together with the answer: a task that was to end would live on.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    reply = await client.request(
        subject, data, timeout=timeout, headers=dict(headers) if headers else None
    )
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return reply


async def call(
    client: Client, subject: str, body: object = None, timeout: float = _REQUEST_TIMEOUT_SECONDS
) -> dict[str, Any]:
    """Call `$JS.API.<subject>`; return the reply. Raises `JetStreamError`, `TimeoutError`."""
    data = b"" if body is None else msgspec.json.encode(body)
    reply = await request(client, f"$JS.API.{subject}", data, timeout=timeout)
    answer: dict[str, Any] = msgspec.json.decode(reply.data)
    if error := answer.get("error"):
        raise JetStreamError(
            error.get("code", 0), error.get("err_code", 0), error.get("description", "")
        )
    return answer


async def publish(
    client: Client,
    subject: str,
    data: bytes,
    headers: Mapping[str, str] | None = None,
    timeout: float = _REQUEST_TIMEOUT_SECONDS,
) -> PubAck:
    """Publish and wait until it is stored. Raises `JetStreamError`, nats-py's errors."""
    reply = await request(client, subject, data, headers, timeout)
    return parse_publish_reply(reply.data)


def parse_publish_reply(data: bytes) -> PubAck:
    """Turn the answer to a publish into a `PubAck`. Raises `JetStreamError`."""
    reply = _publish_reply.decode(data)
    if reply.error is not None:
        error = reply.error
        raise JetStreamError(error.code, error.err_code, error.description)
    return PubAck(reply.stream, reply.seq, reply.duplicate)


async def last_message(client: Client, stream: str, subject: str) -> StoredMessage | None:
    """Return the newest message under `subject`, from the leader; None if there is none."""
    return await _get(client, stream, {"last_by_subj": subject})


async def message_at(client: Client, stream: str, sequence: int) -> StoredMessage | None:
    """Return the message of that sequence, from the leader; None if it is gone."""
    return await _get(client, stream, {"seq": sequence})


async def next_message(
    client: Client, stream: str, subject: str, sequence: int
) -> StoredMessage | None:
    """Return the first message at or after `sequence` whose subject matches; None if none does."""
    return await _get(client, stream, {"seq": sequence, "next_by_subj": subject})


async def subject_counts(
    client: Client, stream: str, subject: str, timeout: float = _REQUEST_TIMEOUT_SECONDS
) -> dict[str, int]:
    """Return how many messages each subject has that matches a filter, up to 100,000 subjects."""
    info = await call(client, f"STREAM.INFO.{stream}", {"subjects_filter": subject}, timeout)
    return info["state"].get("subjects") or {}


async def delete_message(client: Client, stream: str, sequence: int) -> bool:
    """Delete one message; False if it was gone already."""
    try:
        await call(client, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    except JetStreamError as error:
        if error.err_code in NOT_FOUND or error.err_code == _DELETE_FAILED:
            return False
        raise
    return True


async def last_messages_direct(
    client: Client, stream: str, subjects: Sequence[str], timeout: float = 2.0
) -> dict[str, bytes]:
    """Return subject -> body of the newest message, for those of `subjects` that exist.

    One request for up to `MULTI_LAST_MAX` subjects, answered by any replica: a message that is
    there may be missing from the answer, one that is in the answer is there.
    """
    if len(subjects) > MULTI_LAST_MAX:
        raise ValueError(f"{len(subjects)} subjects; a multi-get takes {MULTI_LAST_MAX}")
    if not subjects:
        return {}
    found: dict[str, bytes] = {}
    complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def collect(msg: Msg) -> None:
        headers = msg.headers or {}
        status = headers.get("Status")
        if status is None:
            found[headers["Nats-Subject"]] = msg.data
        elif not complete.done():
            if status in {"204", "404"}:
                complete.set_result(None)
            else:
                words = headers.get("Description", "direct get refused")
                complete.set_exception(JetStreamError(int(status), 0, words))

    inbox = client.new_inbox()
    subscription = await client.subscribe(
        inbox, cb=collect, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    try:
        request = msgspec.json.encode({"multi_last": list(subjects)})
        await client.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
        async with asyncio.timeout(timeout):
            await complete
    finally:
        await subscription.unsubscribe()
    return found


async def _get(client: Client, stream: str, request: dict[str, Any]) -> StoredMessage | None:
    try:
        answer = await call(client, f"STREAM.MSG.GET.{stream}", request)
    except JetStreamError as error:
        if error.err_code in NOT_FOUND:
            return None
        raise
    message = answer["message"]
    return StoredMessage(
        subject=message["subject"],
        sequence=message["seq"],
        data=base64.b64decode(message.get("data", "")),
        headers=_parse_headers(base64.b64decode(message.get("hdrs", ""))),
        time=message["time"],
    )


def _parse_headers(raw: bytes) -> dict[str, str]:
    lines = raw.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
