"""The option that chooses results by their window."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from shared.cli.selecting import parse_since
from shared.log_stream.emitted import Within

_EVER = (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC))


def parse_window(text: str) -> Within:
    """Read `START..END`; either is a time or an age, and may be left out. Raises `ValueError`."""
    start, dots, end = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is no range START..END")
    now = dt.datetime.now(dt.UTC)
    return Within(
        parse_since(start, now) if start.strip() else _EVER[0],
        parse_since(end, now) if end.strip() else _EVER[1],
    )


def _window_option(text: str) -> Within:
    try:
        return parse_window(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is not START..END of times (2026-11-23T08:00:00Z) or ages (15m, 2h, 3d)"
        ) from error


Window = Annotated[
    Within | None,
    typer.Option(
        "--window",
        parser=_window_option,
        help="Only results whose window lies in this time; START or END may be left out.",
        metavar="START..END",
    ),
]
