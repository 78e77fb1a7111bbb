"""What members of log services say of themselves to whoever asks by NATS."""

from __future__ import annotations

from collections.abc import Iterable

from shared.log_stream.member import Member


def status_of(members: Iterable[Member]) -> dict[str, object]:
    """Return, by group, what this process runs: partitions, events folded, lag, event time.

    `watermark_seconds` is that of the partition that is furthest behind, epoch seconds; None
    where none has one.
    """
    return {member.group: _status(member) for member in members}


def _status(member: Member) -> dict[str, object]:
    running = dict(member.partitions)
    marks = [one.fold.numbers().get("watermark_seconds") for one in running.values()]
    known = [mark for mark in marks if mark is not None]
    return {
        "partitions": sorted(running),
        "broken": {str(number): why for number, why in member.broken.items()},
        "events": sum(one.stats.events for one in running.values()),
        "lag": sum(one.lag for one in running.values()),
        "watermark_seconds": min(known, default=None),
    }
