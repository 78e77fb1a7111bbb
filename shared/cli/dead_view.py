"""Dead letters on the screen: a table, a full view, a JSON object."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shared.cli.terminal import printable
from shared.letters import DeadLetter

_ERROR_CHARACTERS = 200


def table() -> Table:
    """Return the empty table that `add` fills."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    made.add_column("#", justify="right", style="cyan", no_wrap=True)
    made.add_column("parked", no_wrap=True)
    made.add_column("service", no_wrap=True)
    made.add_column("reason", style="yellow", no_wrap=True)
    made.add_column("error", ratio=1, min_width=20)
    made.add_column("tries", justify="right", no_wrap=True)
    made.add_column("origin", overflow="fold")
    return made


def add(to: Table, letter: DeadLetter) -> None:
    """Add one letter as a row."""
    to.add_row(
        str(letter.sequence),
        _second(letter.parked_at),
        *(_text(field) for field in (letter.service, letter.reason)),
        _text(letter.error[:_ERROR_CHARACTERS]),
        "" if letter.attempts is None else str(letter.attempts),
        _text(f"{letter.origin_subject} {_origin(letter)}".strip()),
    )


def full(letter: DeadLetter) -> RenderableType:
    """Return everything that is known of one letter: headers, then the body, indented if JSON."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in {
        "parked": f"{_second(letter.parked_at)} by {letter.service}",
        "reason": letter.reason,
        "error": letter.error,
        "attempts": "" if letter.attempts is None else str(letter.attempts),
        "origin": f"{letter.origin_subject} {_origin(letter)}".strip(),
        "arrived": letter.origin_time,
        "id": letter.origin_id,
    }.items():
        facts.add_row(name, _text(value))
    other = {k: v for k, v in letter.headers.items() if not k.startswith("Headrace-Dead-")}
    headers = Text("\n").join(_text(f"{name}: {value}") for name, value in other.items())
    title = Text(f"dead letter {letter.sequence}", style="bold cyan")
    return Panel(
        Group(facts, Text(), headers, Text(), Text(readable(letter.body))),
        title=title,
        title_align="left",
    )


def as_json(letter: DeadLetter, *, with_body: bool) -> str:
    """Return the letter as one line of JSON; a body that is no UTF-8 goes as `body_base64`."""
    document: dict[str, Any] = {
        "sequence": letter.sequence,
        "time": letter.parked_at,
        "service": letter.service,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "origin": {
            "stream": letter.origin_stream,
            "sequence": letter.origin_sequence,
            "subject": letter.origin_subject,
            "time": letter.origin_time,
            "id": letter.origin_id,
        },
    }
    if with_body:
        document["headers"] = letter.headers
        try:
            document["body"] = letter.body.decode()
        except UnicodeDecodeError:
            document["body_base64"] = base64.b64encode(letter.body).decode()
    return msgspec.json.encode(document).decode()


def readable(body: bytes) -> str:
    """Return a body for the screen: JSON indented, other text as it is, bytes as hexadecimal."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body.hex(" ")
    try:
        msgspec.json.decode(body)
        text = msgspec.json.format(text, indent=2)
    except (msgspec.DecodeError, RecursionError):
        pass  # no JSON: that may be why it is here
    return printable(text, keep="\n\t")


def _origin(letter: DeadLetter) -> str:
    if not letter.origin_stream:
        return ""
    return f"({letter.origin_stream}:{letter.origin_sequence or '?'})"


def _second(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _text(value: str) -> Text:
    return Text(printable(value))
