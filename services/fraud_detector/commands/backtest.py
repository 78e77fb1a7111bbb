"""`headrace backtest`: run a rule over the history of payments before it goes live."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from nats.aio.client import Client

from services.fraud_detector.backtest import Found, Outcome, Period
from services.fraud_detector.backtest import backtest as run
from services.fraud_detector.domain.refusal import RuleError
from services.fraud_detector.domain.rules import parse_rule
from services.fraud_detector.history import Trial
from services.fraud_detector.settings import PartitionSettings
from services.fraud_detector.topology import PAYMENTS, RULES
from shared import jetstream
from shared.cli import terminal
from shared.cli.progress import progress_line
from shared.cli.selecting import parse_since
from shared.contracts import headers
from shared.jetstream import JetStreamError
from shared.settings import load

_NANOSECONDS = 1_000_000_000
_EXAMPLES = 5


class _Named(msgspec.Struct):
    id: str | None = None


RuleFile = Annotated[
    Path, typer.Argument(help="File with the rule's JSON.", exists=True, dir_okay=False)
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Payments that arrived from then on: a time (2026-11-23T08:00:00Z) or an age (3d); "
        "without it, all that the log holds.",
        metavar="TIME|AGE",
    ),
]
To = Annotated[
    str | None, typer.Option("--to", help="Payments that arrived before.", metavar="TIME|AGE")
]
Promote = Annotated[bool, typer.Option("--promote", help="Put the rule into the bucket after.")]


def backtest(
    file: RuleFile, *, begin: From = None, end: To = None, promote: Promote = False
) -> None:
    """Run a rule over the retained payments, beside the live detector.

    Tells how many alerts it would have given, how good they are by the labels, and how they
    differ from those of the live rule with the same id. Writes nothing, but with `--promote`
    the rule into the bucket.
    """
    text = file.read_text("utf-8", "replace")
    now = dt.datetime.now(dt.UTC)
    period = Period(
        _nanoseconds(_time("--from", begin, now)) if begin else 0,
        _nanoseconds(_time("--to", end, now) if end else now),
    )
    outcome = terminal.run(_backtest(text, file.stem, period, promote=promote))
    if not outcome.payments:
        raise typer.Exit(terminal.FAILED)


async def _backtest(text: str, stem: str, period: Period, *, promote: bool) -> Outcome:
    try:
        rule_id = _id_in(text) or stem
        parse_rule(text, rule_id, 1)
    except RuleError as error:
        raise terminal.failed(f"{stem}: {error}", code=terminal.WRONG_USE) from error
    partitions = load(PartitionSettings)
    async with terminal.broker_client() as client:
        info = await jetstream.call(client, f"STREAM.INFO.{PAYMENTS.name}")
        stored = await jetstream.last_message(client, RULES.stream, RULES.subject(rule_id))
        revision = stored.sequence if stored else 0
        same = stored is not None and stored.data == text.encode()
        rule = parse_rule(text, rule_id, revision if same else revision + 1)
        trial = Trial(text, rule, partitions)
        with progress_line("backtest", info["state"]["messages"]) as show:
            outcome = await run(client, trial, period, show)
        for line in _lines(rule.id, outcome):
            terminal.print_line(line)
        if promote and outcome.payments:
            await _promote(client, rule.id, text, revision)
    return outcome


def _lines(rule_id: str, outcome: Outcome) -> list[str]:
    if not outcome.payments:
        return ["no payments in that time"]
    first, last = outcome.sequences
    alerts = len(outcome.found)
    caught = ", ".join(f"{sum_} {currency}" for currency, sum_ in outcome.money_caught().items())
    known = f"({outcome.confirmed} were fraud, {outcome.refuted} were not)"
    lines = [
        f"payments   {outcome.payments} ({PAYMENTS.name}:{first} to {last})",
        f"alerts     {alerts}, {alerts / outcome.days:.1f} a day",
        f"precision  {_share(outcome.precision)}  {known}",
        f"recall     {_share(outcome.recall)}  ({outcome.frauds} labelled frauds)",
        f"caught     {caught or 'nothing'}",
    ]
    lines += _compared(rule_id, outcome)
    lines += [f"  {_example(one)}" for one in outcome.found[-_EXAMPLES:]]
    return lines


def _compared(rule_id: str, outcome: Outcome) -> list[str]:
    if not outcome.live:
        return [f"live       no alerts of {rule_id} for these payments"]
    versions = sorted({live.version for live in outcome.live.values()})
    both = len(outcome.found) - len(outcome.only_found())
    words = f"live       {len(outcome.live)} alerts of version {', '.join(map(str, versions))}: "
    words += f"{both} of the same payments, {len(outcome.only_found())} only here, "
    words += f"{len(outcome.only_live())} only live"
    if not (outcome.only_found() or outcome.only_live() or outcome.unlike()):
        words += "; equal, byte for byte"
    return [words]


def _example(one: Found) -> str:
    alert = one.alert
    return terminal.printable(f"{alert.time} {PAYMENTS.name}:{one.sequence} {alert.explanation}")


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _id_in(text: str) -> str:
    """Return the id that a rule gives itself, if it does. Raises `RuleError`."""
    try:
        return msgspec.json.decode(text, type=_Named).id or ""
    except msgspec.DecodeError as error:
        raise RuleError(str(error)) from None


async def _promote(client: Client, rule_id: str, text: str, revision: int) -> None:
    """Put the rule into the bucket, unless somebody has changed it since this began."""
    fence = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(revision)}
    try:
        ack = await jetstream.publish(client, RULES.subject(rule_id), text.encode(), fence)
    except JetStreamError as error:
        if error.err_code not in jetstream.WRONG_LAST_SEQUENCE:
            raise
        raise terminal.failed(
            f"{rule_id} was changed in {RULES.name} meanwhile: back-test again"
        ) from error
    terminal.print_line(f"promoted   {rule_id} is revision {ack.sequence} of {RULES.name}")


def _time(option: str, text: str, now: dt.datetime) -> dt.datetime:
    try:
        return parse_since(text, now)
    except (ValueError, OverflowError) as error:
        raise terminal.failed(
            f"{option} {text!r} is neither a time (2026-11-23T08:00:00Z) nor an age (15m, 2h, 3d)",
            code=terminal.WRONG_USE,
        ) from error


def _nanoseconds(time: dt.datetime) -> int:
    return int(time.timestamp() * 1_000_000) * 1000
