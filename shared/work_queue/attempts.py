"""How often a job was tried. The server counts deliveries; a delivery is not an attempt.

A delivery is counted by the server also when it waited in a worker that died of another job,
or that was asked to stop. If those counted, a job that kills its worker would drag its
neighbours into the dead letters, and a deployment would use up attempts. So what the server
cannot know is recorded, and only then: nothing is written for a job that succeeds at once.

A record, one a job, the newest replaces the last:
  settled  a delivery ended orderly: failed and waiting for its next attempt, or handed back.
  open     an attempt at a suspect was begun (see below) and has not ended.

On delivery number d:
  d = 1                            no attempt was made
  settled at d - 1                 as many as the record says
  open                             as many as the record says, the open one included, it crashed
  none, or settled before d - 1    one more than the record says: a worker vanished with it

The last two are suspects: they may have killed a worker. The first kind of suspicion falls on
all that the dead worker held, the second on the few that were under way together at a second
death. Suspects run in narrow lanes apart from the rest, the twice suspected one at a time and
beside no other suspect, so that a job which kills its worker soon does so alone.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.topology import ATTEMPTS
from shared.work_queue.delivery import Held


class Record(Struct, frozen=True):
    """What is stored: attempts made so far, at which delivery, and how that one stood.

    `arrival_ns` tells the job from another of the same sequence, where the queue was removed
    and made again.
    """

    made: int
    delivered: int
    state: Literal["settled", "open"]
    arrival_ns: int = 0


Suspicion = Literal["none", "once", "twice"]


class History(Struct, frozen=True):
    """Attempts made before this delivery, and whether the job may have killed a worker."""

    made: int
    suspicion: Suspicion


_decoder = msgspec.json.Decoder(Record)


def judge(delivered: int, record: Record | None) -> History:
    """Tell what happened before delivery number `delivered`. Pure; the table above."""
    if delivered == 1:
        return History(0, "none")
    if record is None:
        return History(1, "once")
    if record.state == "open":
        return History(record.made, "twice")
    if record.delivered >= delivered - 1:
        return History(record.made, "none")
    return History(record.made + 1, "once")


class Attempts:
    """Reads and writes the records of one durable."""

    def __init__(self, client: Client, stream: str, durable: str) -> None:
        self._client = client
        self._prefix = f"attempts.{stream}.{durable}"

    async def history(self, held: Held) -> History:
        """Look up what happened before this delivery. Raises the broker's errors."""
        if held.delivered == 1:
            return judge(1, None)
        stored = await jetstream.last_message(
            self._client, ATTEMPTS.name, f"{self._prefix}.{held.sequence}"
        )
        record = None if stored is None else _decoder.decode(stored.data)
        if record is not None and record.arrival_ns != held.arrival_ns:
            record = None
        return judge(held.delivered, record)

    async def open(self, held: Held, made: int) -> None:
        """Record that an attempt at a suspect begins; `made` counts it. Raises broker errors."""
        await self._write(held, Record(made, held.delivered, "open", held.arrival_ns))

    async def settled(self, held: Held, made: int) -> None:
        """Record that this delivery ended orderly after `made` attempts. Raises broker errors."""
        await self._write(held, Record(made, held.delivered, "settled", held.arrival_ns))

    async def _write(self, held: Held, record: Record) -> None:
        subject = f"{self._prefix}.{held.sequence}"
        await jetstream.publish(self._client, subject, msgspec.json.encode(record))
