"""`headrace top`: queues, logs and dead letters of a running system, live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from rich.console import Group
from rich.live import Live
from rich.table import Table

from shared import jetstream, registry
from shared.cli import terminal
from shared.cli.topologies import united
from shared.jetstream import JetStreamError
from shared.log_stream.stage import Stage
from shared.topology import DEAD_LETTERS, Durable

_LISTEN_SECONDS = 0.3
_REFRESH_SECONDS = 1.0

Once = Annotated[bool, typer.Option("--once", help="Print once and end.")]


class Queue(Struct, frozen=True):
    """One durable: what waits, what is with workers, how many were delivered so far."""

    name: str
    stream: str
    waiting: int
    in_hand: int
    again: int
    delivered: int


class Log(Struct, frozen=True):
    """One group: its members and partitions, events folded so far, lag, oldest event time."""

    group: str
    members: int
    owned: int
    partitions: int
    broken: int
    lag: int
    events: int
    watermark_s: float | None


class Picture(Struct, frozen=True):
    """All of it at one time, in seconds of the monotonic clock."""

    at: float
    queues: list[Queue]
    logs: list[Log]
    letters: dict[str, int]


def top(*, once: Once = False) -> None:
    """Show queues, logs and dead letters, each second anew. Ctrl-C ends it.

    Rates are since the last look. `behind` is how old the event time of the slowest partition
    is. Off a terminal it prints once.
    """
    terminal.run(_top(once=once or not terminal.console.is_terminal))


async def _top(*, once: bool) -> None:
    entries = registry.services()
    durables = united(entry.topology() for entry in entries).durables
    stages = {entry.name: [one.stage for one in entry.stages()] for entry in entries}
    async with terminal.broker_client() as client:
        before = await picture(client, durables, stages)
        if once:
            await asyncio.sleep(_REFRESH_SECONDS)
            for table in tables(before, await picture(client, durables, stages)):
                terminal.console.print(table)
            return
        with Live(console=terminal.console, auto_refresh=False, screen=True) as live:
            while True:
                await asyncio.sleep(_REFRESH_SECONDS)
                now = await picture(client, durables, stages)
                live.update(Group(*tables(before, now)), refresh=True)
                before = now


async def picture(
    client: Client, durables: tuple[Durable, ...], stages: Mapping[str, list[Stage]]
) -> Picture:
    """Look at the server and ask every instance. Raises broker errors."""
    found = await asyncio.gather(*(_queue(client, one) for one in durables))
    answers = await _instances(client, stages)
    logs = [
        _log(stage, [one[stage.group] for one in answers[name] if stage.group in one])
        for name, some in stages.items()
        for stage in some
    ]
    return Picture(
        at=time.monotonic(),
        queues=[one for one in found if one is not None],
        logs=logs,
        letters=await _letters(client),
    )


def tables(before: Picture, now: Picture) -> list[Table]:
    """Return the tables; rates are since the picture before."""
    seconds = max(1e-9, now.at - before.at)
    queues = _table("queues", "durable", "stream", "waiting", "in hand", "again", "a second")
    was = {one.name: one.delivered for one in before.queues}
    for one in now.queues:
        rate = (one.delivered - was.get(one.name, one.delivered)) / seconds
        cells = (one.name, one.stream, one.waiting, one.in_hand, one.again, f"{rate:.0f}")
        queues.add_row(*map(str, cells))
    logs = _table("logs", "group", "members", "partitions", "broken", "lag", "a second", "behind")
    folded = {log.group: log.events for log in before.logs}
    for log in now.logs:
        rate = max(0, log.events - folded.get(log.group, log.events)) / seconds
        owned = f"{log.owned} of {log.partitions}"
        behind = "-" if log.watermark_s is None else _age(time.time() - log.watermark_s)
        shown = (log.group, log.members, owned, log.broken, log.lag, f"{rate:.0f}", behind)
        logs.add_row(*map(str, shown))
    letters = _table("dead letters", "subject", "letters")
    for subject, count in sorted(now.letters.items()):
        letters.add_row(terminal.printable(subject), str(count))
    return [queues, logs, *([letters] if now.letters else [])]


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if not number else "right", no_wrap=True)
    return table


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _log(stage: Stage, answers: list[Mapping[str, Any]]) -> Log:
    marks = [one["watermark_seconds"] for one in answers if one["watermark_seconds"] is not None]
    return Log(
        group=stage.group,
        members=len(answers),
        owned=len({number for one in answers for number in one["partitions"]}),
        partitions=stage.source.partitions,
        broken=sum(len(one["broken"]) for one in answers),
        lag=sum(one["lag"] for one in answers),
        events=sum(one["events"] for one in answers),
        watermark_s=min(marks, default=None),
    )


async def _queue(client: Client, durable: Durable) -> Queue | None:
    try:
        info = await jetstream.call(client, f"CONSUMER.INFO.{durable.stream}.{durable.name}")
    except JetStreamError as error:
        if error.err_code not in jetstream.NOT_FOUND:
            raise
        return None
    return Queue(
        name=durable.name,
        stream=durable.stream,
        waiting=info["num_pending"],
        in_hand=info["num_ack_pending"],
        again=info["num_redelivered"],
        delivered=info["delivered"]["consumer_seq"],
    )


async def _instances(
    client: Client, stages: Mapping[str, list[Stage]]
) -> dict[str, list[dict[str, Any]]]:
    """Ask every instance of every service for its status, and listen for a while."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in stages}

    async def asked(name: str) -> None:
        async def note(msg: Msg) -> None:
            if msg.data:  # without data: nobody is there
                found[name].append(msgspec.json.decode(msg.data))

        subscription = await client.subscribe(client.new_inbox(), cb=note)
        await client.publish(f"headrace.instances.{name}", b"", reply=subscription.subject)
        await asyncio.sleep(_LISTEN_SECONDS)
        await subscription.unsubscribe()

    await asyncio.gather(*(asked(name) for name in stages))
    return found


async def _letters(client: Client) -> dict[str, int]:
    try:
        return await jetstream.subject_counts(client, DEAD_LETTERS.name, "dead.>")
    except JetStreamError as error:
        if error.err_code not in jetstream.NOT_FOUND:
            raise
        return {}
