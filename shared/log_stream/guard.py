"""See that the log is the one that was folded, and still holds what comes next.

A place is a sequence and the arrival time of its message. Where the log does not hold that
message, or holds another there, it was truncated, recreated, restored from a backup or rolled
back; the partition then stops with the reason. It never skips silently.

A log that drops what is old must not drop what is needed: a partition that is idle moves its
place on, while the log provably holds nothing more of it, and one that folds takes a snapshot
before the log forgets what came after the last one.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, TypeAlias

from nats.aio.client import Client

from shared import jetstream
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage

Place: TypeAlias = tuple[int, int]
"""Sequence and arrival time (nanoseconds) of a message; (0, 0) is before the first one."""

_FADED_SHARE = 0.5


class LogChangedError(Exception):
    """The log cannot continue the state that we have; names the reason and what mends it."""


async def check(client: Client, stage: Stage, partition: int, place: Place) -> None:
    """See that the log is the one that had that place, and holds all that came after it.

    Raises `LogChangedError`.
    """
    sequence, arrival_ns = place
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
    elif state["first_seq"] > sequence + 1:
        what = f"begins at {state['first_seq']}: events were purged or have aged out"
    elif state["first_seq"] <= sequence:
        what = "has lost that message: it was deleted"
    elif _goes_on_from(state, place):
        return  # all up to that place is gone, and nothing after it
    else:
        what = "has other times there: it was recreated, restored or rolled back"
    raise LogChangedError(
        f"partition {partition} of {stage.group} stands at {stream}:{sequence}, but {stream} "
        f"{what}. "
        f"To fold what there is from its beginning, results again: {_mend(stage, partition)}"
    )


async def check_whole(client: Client, stage: Stage, partition: int, record: Position) -> None:
    """See that the log reaches back to where the fold began. Raises `LogChangedError`.

    The event that the partition began with counts, where that is known: a log that also holds
    records which replace one another need not begin at 1.
    """
    mend = f"To begin with what there is, results again: {_mend(stage, partition)}"
    if record.base is not None:
        raise LogChangedError(
            f"partition {partition} of {stage.group} began with the state of generation "
            f"{record.generation}, no snapshot of it is usable: it cannot be folded anew. {mend}"
        )
    sequence, arrival_ns = record.first
    if sequence:
        stored = await jetstream.message_at(client, stage.source.name, sequence)
        if stored is not None and nanoseconds(stored.time) == arrival_ns:
            return
    info = await jetstream.call(client, f"STREAM.INFO.{stage.source.name}")
    begins = info["state"]["first_seq"]
    if begins > max(1, record.begin) or sequence:
        raise LogChangedError(
            f"partition {partition} of {stage.group} has no usable snapshot, and "
            f"{stage.source.name} begins at {begins}: its state cannot be folded anew. {mend}"
        )


async def clear_until(
    client: Client, stage: Stage, partition: int, *, folded: int, place: Place
) -> Place:
    """Return the furthest place up to which the log holds no more of the partition.

    `folded` is the event that was folded last, `place` what is known to be clear already: it is
    returned where no more can be proved, since the log no longer holds all that came after it.
    """
    stream = stage.source.name
    last = await jetstream.last_message(client, stream, stage.all_events())
    if last is None or last.sequence <= place[0]:
        return place
    more = await jetstream.next_message(client, stream, stage.events(partition), folded + 1)
    after = (await jetstream.call(client, f"STREAM.INFO.{stream}"))["state"]
    if more is not None or after["first_seq"] > place[0] + 1:
        return place
    return last.sequence, nanoseconds(last.time)


def is_fading(info: dict[str, Any], place: Place) -> bool:
    """Tell whether what came after a place will soon be dropped: half of its time is over.

    `info` is the answer to STREAM.INFO; limits of age, messages and bytes count. Pure.
    """
    config, state = info["config"], info["state"]
    if not state["messages"]:
        return False
    first, last = state["first_seq"], state["last_seq"]
    sequence, arrival_ns = place if place[0] else (first - 1, nanoseconds(state["first_ts"]))
    used = 0.0
    if config["max_age"] > 0:
        used = (nanoseconds(info["ts"]) - arrival_ns) / config["max_age"]
    if config["max_msgs"] > 0:
        used = max(used, (last - sequence) / config["max_msgs"])
    if config["max_bytes"] > 0:
        share = (last - sequence) / (last - first + 1)
        used = max(used, share * state["bytes"] / config["max_bytes"])
    return used > _FADED_SHARE


def nanoseconds(time: str) -> int:
    """Return an RFC 3339 time with up to nine decimals, as the server writes it, in nanoseconds."""
    base, _, fraction = time.removesuffix("Z").partition(".")
    seconds = int(dt.datetime.fromisoformat(f"{base}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def _goes_on_from(state: dict[str, Any], place: Place) -> bool:
    """Tell whether a log that begins just behind a place may be the one that had it."""
    sequence, arrival_ns = place
    if state["last_seq"] == sequence:
        return nanoseconds(state["last_ts"]) == arrival_ns
    return nanoseconds(state["first_ts"]) >= arrival_ns


def _mend(stage: Stage, partition: int) -> str:
    return f"`nats stream purge {stage.target.name} --subject {stage.position(partition)} --force`"
