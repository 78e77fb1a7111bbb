"""Options that choose dead letters, the same for every `headrace dead` command."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

import typer

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def parse_since(text: str, now: dt.datetime) -> dt.datetime:
    """Read `90s`, `15m`, `2h`, `3d` as that long ago, else an RFC 3339 time, UTC by default.

    Raises `ValueError`.
    """
    if match := _AGO.fullmatch(text.strip()):
        return now - dt.timedelta(seconds=float(match[1]) * _UNIT_SECONDS[match[2]])
    time = dt.datetime.fromisoformat(text.strip())
    return time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)


def _since_option(text: str) -> dt.datetime:
    try:
        return parse_since(text, dt.datetime.now(dt.UTC))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is neither a time (2026-11-23T08:00:00Z) nor an age (15m, 2h, 3d)"
        ) from error


def _token(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[^\s.*>]+", text):
        raise typer.BadParameter(f"{text!r} is not one word")
    return text


Service = Annotated[
    str | None,
    typer.Option("--service", help="Parked by this service.", callback=_token, metavar="NAME"),
]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        help="malformed, invalid, conflict, exhausted, crashed, future.",
        callback=_token,
        metavar="NAME",
    ),
]
Stream = Annotated[str | None, typer.Option("--stream", help="From this stream.", metavar="NAME")]
Subject = Annotated[
    str | None,
    typer.Option(
        "--subject",
        help="From this subject, wildcards `*` and `>` as in NATS.",
        metavar="SUBJECT",
    ),
]
Since = Annotated[
    dt.datetime | None,
    typer.Option(
        "--since",
        parser=_since_option,
        help="Parked since a time (RFC 3339) or for at most an age (15m, 2h, 3d).",
        metavar="TIME|AGE",
    ),
]
Sequences = Annotated[
    list[int] | None,
    typer.Option(
        "--sequence", "-s", min=1, help="This dead letter; may be given again.", metavar="N"
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
