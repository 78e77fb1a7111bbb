"""Park a job: publish it to the dead letters and wait until the server has it.

Only then may the delivery be terminated, so that no crash between the two loses the job. A
crash after the publish parks it again; both letters carry the same id, and the server keeps
the first. The id holds the arrival time too, lest a queue that was removed and made again, and
counts from 1 again, have its letters taken for repeats.
"""

from __future__ import annotations

from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.work_queue.delivery import Held
from shared.work_queue.outcome import DeadLetter

_ERROR_CHARACTERS = 1000


async def park(client: Client, service: str, held: Held, letter: DeadLetter, attempts: int) -> None:
    """Store the dead letter. Raises the broker's errors; the job is then still in its queue."""
    message = held.message
    original = message.headers or {}
    about = {
        **headers.without_instructions(original),
        headers.MESSAGE_ID: f"{held.stream}:{held.sequence}:{held.arrival_ns}",
        headers.DEAD_REASON: letter.reason,
        headers.DEAD_ERROR: one_line(letter.error),
        headers.DEAD_ATTEMPTS: str(attempts),
        headers.DEAD_STREAM: held.stream,
        headers.DEAD_SUBJECT: message.subject,
        headers.DEAD_SEQUENCE: str(held.sequence),
        headers.DEAD_TIME: held.arrival.isoformat().replace("+00:00", "Z"),
    }
    if message_id := original.get(headers.MESSAGE_ID):
        about[headers.DEAD_ID] = message_id
    await jetstream.publish(client, f"dead.{service}.{letter.reason}", message.data, about)


def one_line(text: str) -> str:
    """Return the text as a header may hold it: one printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _ERROR_CHARACTERS else line[: _ERROR_CHARACTERS - 1] + "…"
