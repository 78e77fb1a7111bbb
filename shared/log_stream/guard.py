"""See that the log is the one that was folded, and still holds what comes next.

A position is a sequence and the arrival time of its message. Where the log does not hold that
message, or holds another there, it was truncated, recreated, restored from a backup or rolled
back; the partition then stops with the reason. It never skips silently.
"""

from __future__ import annotations

import datetime as dt

from nats.aio.client import Client

from shared import jetstream
from shared.log_stream.stage import Stage


class LogChangedError(Exception):
    """The log cannot continue the state that we have; names the reason and what mends it."""


async def check(
    client: Client, stage: Stage, partition: int, sequence: int, arrival_ns: int
) -> None:
    """See that the event of that position is in the log. Raises `LogChangedError`."""
    if not sequence:
        return
    stream = stage.source.name
    stored = await jetstream.message_at(client, stream, sequence)
    if stored is not None and nanoseconds(stored.time) == arrival_ns:
        return
    state = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]
    if stored is not None:
        what = "holds another message there: it was recreated, restored or rolled back"
    elif state["last_seq"] < sequence:
        what = f"ends at {state['last_seq']}: it was recreated, restored or rolled back"
    elif state["first_seq"] > sequence:
        what = f"begins at {state['first_seq']}: events were purged or have aged out"
    else:
        what = "has lost that message: it was deleted"
    raise LogChangedError(
        f"partition {partition} of {stage.group} stands at {stream}:{sequence}, but {stream} "
        f"{what}. "
        f"To fold what there is from its beginning, results again: "
        f"`nats stream purge {stage.target.name} --subject {stage.position(partition)} --force`"
    )


async def check_whole(client: Client, stage: Stage, partition: int) -> None:
    """See that the log reaches back to its beginning. Raises `LogChangedError`."""
    info = await jetstream.call(client, f"STREAM.INFO.{stage.source.name}")
    first = info["state"]["first_seq"]
    if first > 1:
        raise LogChangedError(
            f"partition {partition} of {stage.group} has no usable snapshot, and "
            f"{stage.source.name} begins at {first}: its state cannot be folded anew. "
            f"`nats stream purge {stage.target.name} --subject {stage.position(partition)} "
            "--force` begins with what there is, results again"
        )


def nanoseconds(time: str) -> int:
    """Return an RFC 3339 time with up to nine decimals, as the server writes it, in nanoseconds."""
    base, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(dt.datetime.fromisoformat(f"{base}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)
