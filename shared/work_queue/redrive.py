"""Redrive: send a dead letter back to where it came from, as a new message with lineage.

1. Publish the original body and headers to the original subject, under a fresh message id
   (the old one would be swallowed by the duplicate window), and wait for the server's ack.
2. Only then delete the letter.

A crash between the two leaves the letter, and the job is queued: a second redrive gives a
second job, which the done records of a service with effects once make harmless.
"""

from __future__ import annotations

import uuid

import msgspec
import nats.errors
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.letters import DeadLetter
from shared.topology import DEAD_LETTERS

_OWN_PREFIX = "headrace-dead-"


class RedriveRefusedError(Exception):
    """A letter could not be sent back, and is kept; says why."""


async def redrive(client: Client, letter: DeadLetter, *, keep: bool = False) -> jetstream.PubAck:
    """Send one letter back, then delete it unless `keep`; return where its job is now.

    Raises `RedriveRefusedError` when the letter does not name its origin, when that is a log
    (which still holds the event: sent again it would be a second one), when no stream takes the
    subject, and when the server refuses (full queue) or does not answer. The letter is
    there still; after a lost answer its job may be queued as well.
    """
    if not letter.origin_subject:
        raise RedriveRefusedError("the letter does not say which subject it came from")
    if await _came_from_a_log(client, letter):
        raise RedriveRefusedError(
            f"{letter.origin_stream}:{letter.origin_sequence} is an event of a log, which still "
            "holds it; let its durable deliver it again (docs/operations.md, 'Render again')"
        )
    try:
        ack = await jetstream.publish(
            client, letter.origin_subject, letter.body, redriven_headers(letter, uuid.uuid4().hex)
        )
    except jetstream.JetStreamError as error:
        raise RedriveRefusedError(f"{letter.origin_subject}: {error}") from error
    except nats.errors.NoRespondersError as error:
        raise RedriveRefusedError(f"no stream takes {letter.origin_subject}") from error
    except nats.errors.TimeoutError as error:
        raise RedriveRefusedError(
            f"no answer to the publish on {letter.origin_subject}: the job may be queued or not"
        ) from error
    except msgspec.DecodeError as error:
        raise RedriveRefusedError(
            f"something other than a stream answers on {letter.origin_subject}"
        ) from error
    if not keep:
        await jetstream.delete_message(client, DEAD_LETTERS.name, letter.sequence)
    return ack


async def _came_from_a_log(client: Client, letter: DeadLetter) -> bool:
    if not letter.origin_stream:
        return False
    try:
        info = await jetstream.call(client, f"STREAM.INFO.{letter.origin_stream}")
    except jetstream.JetStreamError as error:
        if error.err_code in jetstream.NOT_FOUND:
            return False
        raise RedriveRefusedError(f"{letter.origin_stream}: {error}") from error
    return bool(info["config"]["retention"] != "workqueue")


def redriven_headers(letter: DeadLetter, token: str) -> dict[str, str]:
    """Return the original's headers with an id of its own, made of `token`, and the lineage."""
    kept = {
        name: value
        for name, value in headers.without_instructions(letter.headers).items()
        if not name.lower().startswith(_OWN_PREFIX)
    }
    return kept | {
        headers.MESSAGE_ID: f"redrive:{letter.sequence}:{token}",
        headers.REDRIVEN_FROM: f"{DEAD_LETTERS.name}:{letter.sequence}",
    }
