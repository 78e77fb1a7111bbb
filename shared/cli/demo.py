"""`headrace demo`: publish made-up traffic at a chosen rate, every message acknowledged."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import nats.errors
import typer
from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream, registry
from shared.cli import terminal
from shared.cli.progress import progress_line
from shared.cli.schema import unknown_name
from shared.cli.signals import stop_on_signals
from shared.contracts import headers
from shared.registry import DemoMessage, ServiceEntry

_IN_FLIGHT = 200

Rate = Annotated[
    float, typer.Option(min=0, help="Messages a second; 0 for as fast as they are acknowledged.")
]
Seconds = Annotated[float | None, typer.Option(min=0, help="For so long (default 20).")]
Count = Annotated[int | None, typer.Option(min=1, help="So many messages, however long it takes.")]
ServiceName = Annotated[
    str | None, typer.Option("--service", help="For this service only.", metavar="NAME")
]
Seed = Annotated[int | None, typer.Option(help="Repeat a run: same seed, same messages.")]


class Run(Struct, frozen=True):
    """How much to publish: until `count` or `seconds`, whichever is given comes first."""

    rate: float
    seconds: float | None
    count: int | None

    def done(self, published: int, elapsed: float) -> bool:
        """Tell whether that is all."""
        return (self.count is not None and published >= self.count) or (
            self.seconds is not None and elapsed >= self.seconds
        )

    def due(self, published: int) -> float:
        """Return when the next message is due, in seconds since the start."""
        return published / self.rate if self.rate else 0.0

    def total(self) -> float | None:
        """Return how many messages it will be, where that is known."""
        if self.count is not None:
            return self.count
        return self.seconds * self.rate if self.seconds is not None and self.rate else None


class Tally:
    """What became of the messages: `refused` counts by the server's words."""

    def __init__(self) -> None:
        self.published = 0
        self.stored = 0
        self.refused: Counter[str] = Counter()
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def so_far(self) -> str:
        """Return the counts in words."""
        return f"{self.stored} stored, {self.refused.total()} refused"

    def summary(self) -> str:
        """Return the tally in words."""
        a_second = self.stored / max(self.elapsed, 0.001)
        lines = [f"{self.stored} stored in {self.elapsed:.1f} s ({a_second:.0f} a second)"]
        lines += [f"{count} refused: {words}" for words, count in self.refused.most_common()]
        return "\n".join(lines)


def demo(
    rate: Rate = 50,
    seconds: Seconds = None,
    count: Count = None,
    service: ServiceName = None,
    seed: Seed = None,
) -> None:
    """Publish realistic made-up traffic. Ctrl-C ends it with a summary."""
    entries = [entry for entry in registry.services() if entry.demo is not None]
    if service is not None:
        names = [entry.name for entry in entries]
        entries = [entry for entry in entries if entry.name == service]
        if not entries:
            raise terminal.failed(unknown_name(service, names), code=terminal.WRONG_USE)
    if not entries:
        raise terminal.failed("no installed service has demo traffic")
    if seconds is None and count is None:
        seconds = 20.0
    seed = secrets.randbits(32) if seed is None else seed
    tally = terminal.run(_demo(Run(rate, seconds, count), traffic(entries, seed)))
    terminal.console.print(tally.summary(), markup=False)
    if tally.refused:
        raise typer.Exit(terminal.FAILED)


def traffic(entries: list[ServiceEntry], seed: int) -> Iterator[DemoMessage]:
    """Yield messages without end, of each service in turn; the seed decides them all."""
    sources = [entry.demo for entry in entries if entry.demo is not None]
    source_of_chance = random.Random(seed)  # noqa: S311  made-up traffic, no secret
    number = 0
    while True:
        for make in sources:
            yield make(source_of_chance, number)
        number += 1


async def _demo(run: Run, messages: Iterator[DemoMessage]) -> Tally:
    async with terminal.broker_client() as client:
        tally = Tally()
        slots = asyncio.Semaphore(_IN_FLIGHT)
        with stop_on_signals() as stop, progress_line("demo", run.total()) as show:
            async with asyncio.TaskGroup() as publishing:
                while not stop.is_set() and not run.done(tally.published, tally.elapsed):
                    await _until_due(run.due(tally.published) - tally.elapsed, stop)
                    await slots.acquire()
                    tally.published += 1
                    publishing.create_task(_publish(client, next(messages), tally, slots))
                    show(tally.published, tally.so_far())
            show(tally.published, tally.so_far())
        return tally


async def _until_due(seconds: float, stop: asyncio.Event) -> None:
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _publish(
    client: Client, message: DemoMessage, tally: Tally, slots: asyncio.Semaphore
) -> None:
    try:
        await jetstream.publish(
            client, message.subject, message.body, {headers.MESSAGE_ID: message.message_id}
        )
        tally.stored += 1
    except jetstream.JetStreamError as error:
        tally.refused[str(error)] += 1
    except nats.errors.NoRespondersError:
        tally.refused[f"no stream takes {message.subject} (`headrace provision` creates it)"] += 1
    except nats.errors.Error as error:
        tally.refused[f"no answer: {str(error) or type(error).__name__}"] += 1
    finally:
        slots.release()
