"""What every command shares: the connection, what is printed, how a failure ends the process."""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import nats.errors
import typer
import uvloop
from msgspec import Struct
from nats.aio.client import Client
from rich.console import Console

from shared import logs, settings
from shared.broker import Broker, BrokerUnreachableError, connected, without_password
from shared.dead_letters import DeadLettersMissingError
from shared.jetstream import JetStreamError
from shared.log_stream.generation import GenerationError
from shared.log_stream.guard import LogChangedError
from shared.log_stream.position import HeldError
from shared.log_stream.replay import TakenOverError
from shared.provision import ProvisionRefusedError
from shared.settings import BrokerSettings, LogSettings, SettingsError

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_WITH_WORDS = (
    BrokerUnreachableError,
    DeadLettersMissingError,
    GenerationError,
    HeldError,
    LogChangedError,
    ProvisionRefusedError,
    TakenOverError,
)
"""What says by itself what went wrong, and what to do."""

Result = TypeVar("Result")


class CliSettings(Struct, frozen=True):
    """What the CLI reads from the environment."""

    broker: BrokerSettings
    logs: LogSettings


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work; what can go wrong ends the process with words and no traceback."""
    try:
        return uvloop.run(work)
    except SettingsError as error:
        raise failed(str(error), code=WRONG_USE) from error
    except _WITH_WORDS as error:
        raise failed(str(error)) from error
    except JetStreamError as error:
        raise failed(f"the server refuses: {error}") from error
    except nats.errors.NoRespondersError as error:
        raise failed(f"{_server()} has no JetStream; start it with `nats-server -js`") from error
    except (nats.errors.Error, TimeoutError) as error:
        words = str(error) or type(error).__name__
        raise failed(f"{_server()} does not answer as it should: {words}") from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error


def failed(words: str, *, code: int = FAILED) -> typer.Exit:
    """Print what went wrong to standard error; return the exit to raise."""
    errors.print("error:", style="bold red", end=" ")
    errors.print(words, markup=False)
    return typer.Exit(code)


@contextlib.asynccontextmanager
async def broker() -> AsyncIterator[Broker]:
    """Connect as the environment says. Raises `SettingsError`, `BrokerUnreachableError`."""
    loaded = settings.load(CliSettings)
    configure_logs(loaded.logs)
    async with connected(loaded.broker, "headrace") as opened:
        yield opened


@contextlib.asynccontextmanager
async def broker_client() -> AsyncIterator[Client]:
    """Connect likewise, for commands that need no more than the connection."""
    async with broker() as opened:
        yield opened.client


def configure_logs(log_settings: LogSettings) -> None:
    """Let only warnings through, readable: a person reads along."""
    level = "warning" if log_settings.level == "info" else log_settings.level
    logs.configure(LogSettings(level=level, format="console"))


def print_line(text: str) -> None:
    """Print one line as it is, for machines: no wrapping, no markup, no colour."""
    sys.stdout.write(text + "\n")


def silence_closed_pipe() -> None:
    """Let the interpreter exit without complaint after `| head` has closed standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str, *, keep: str = "") -> str:
    """Escape what would steer the terminal: control and direction characters, save `keep`."""
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def _server() -> str:
    return f"the server at {without_password(settings.load(BrokerSettings).url)}"
