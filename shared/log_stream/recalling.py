"""Let a fold see again what has been, where it asks for that after a control message.

What it sees is decided by the log alone: the events of its partition before that message, from
the arrival time that it names. So a refold sees the very same, as long as the log holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from nats.aio.client import Client

from shared.log_stream import history
from shared.log_stream.fold import CONTROL, Event, Fold, RecallingFold
from shared.log_stream.history import Span
from shared.log_stream.stage import Stage


def runs(fold: Fold, events: list[Event]) -> Iterator[list[Event]]:
    """Yield the events in runs that end where the fold may want to see what has been."""
    if not _recalls(fold):
        yield events
        return
    begin = 0
    for number, event in enumerate(events, 1):
        if CONTROL in event.subject:
            yield events[begin:number]
            begin = number
    if begin < len(events):
        yield events[begin:]


async def recall_for(client: Client, stage: Stage, number: int, fold: Fold, before: int) -> int:
    """Give the fold what it wants to see of the events below sequence `before`; return how many.

    Raises broker errors; the fold has then seen a part, and is to be asked again.
    """
    if not _recalls(fold):
        return 0
    wanted = fold.recall()
    if wanted is None:
        return 0
    span = Span(stage.events(number), wanted.since_ns, first=1)
    count = 0
    async for page in history.pages(client, stage.source.name, span):
        cut = stage.cut(number)
        events = [
            Event(one.sequence, one.arrival_ns, one.subject[cut:], one.data, one.headers)
            for one in page
            if one.sequence < before
        ]
        wanted.take(events)
        count += len(events)
        if page and page[-1].sequence >= before:
            break
    fold.recalled()
    return count


def _recalls(fold: Fold) -> TypeGuard[RecallingFold]:
    # isinstance() compares all that the protocol has, again for each batch
    return hasattr(fold, "recall")
