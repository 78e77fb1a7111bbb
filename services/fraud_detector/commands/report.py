"""`headrace fraud report`: precision, recall and alert load of each rule, by the labels."""

from __future__ import annotations

from typing import Annotated

import typer

from services.fraud_detector.domain.quality import DAY_MS, LABEL_DELAY_MS, RuleQuality
from services.fraud_detector.reporting import Report, report_on
from shared.cli import terminal

Days = Annotated[int, typer.Option(min=1, max=3650, help="So many days of event time back.")]

_DAY_OF_DELAY = LABEL_DELAY_MS // DAY_MS


def report(*, days: Days = 30) -> None:
    """Show how good each rule is over the last days.

    Precision counts alerts of which something is known: labelled ones, and those older than
    seven days that nobody has called fraud. Recall is of all labelled frauds.
    """
    found = terminal.run(_report(days))
    terminal.print_line(
        f"{days} days up to {found.until or 'now'}: {found.payments} payments, "
        f"{found.frauds} labelled frauds; unlabelled alerts count as no fraud after "
        f"{_DAY_OF_DELAY} days"
    )
    head = ("rule", "alerts", "a day", "fraud", "no fraud", "precision", "recall")
    terminal.print_line("{:<28}{:>8}{:>8}{:>8}{:>10}{:>11}{:>8}".format(*head))
    for name, quality in found.rules.items():
        terminal.print_line(_row(name, quality, days))


async def _report(days: int) -> Report:
    async with terminal.broker_client() as client:
        return await report_on(client, days)


def _row(name: str, quality: RuleQuality, days: int) -> str:
    return (
        f"{terminal.printable(name):<28}{quality.alerts:>8}{quality.alerts / days:>8.1f}"
        f"{quality.confirmed:>8}{quality.refuted:>10}{_share(quality.precision):>11}"
        f"{_share(quality.recall):>8}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
