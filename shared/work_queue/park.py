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
from shared.letters import Origin, about
from shared.work_queue.delivery import Held
from shared.work_queue.outcome import DeadLetter


async def park(client: Client, service: str, held: Held, letter: DeadLetter, attempts: int) -> None:
    """Store the dead letter. Raises the broker's errors; the job is then still in its queue."""
    message = held.message
    origin = Origin(held.stream, message.subject, held.sequence, held.arrival)
    told = about(message.headers, origin, letter.reason, letter.error, attempts)
    told[headers.MESSAGE_ID] = f"{held.stream}:{held.sequence}:{held.arrival_ns}"
    await jetstream.publish(client, f"dead.{service}.{letter.reason}", message.data, told)
