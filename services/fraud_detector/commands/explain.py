"""`headrace explain`: why an alert was given, and whether the log still says so."""

from __future__ import annotations

from typing import Annotated

import typer

from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.explaining import Explanation, NoAlertError, find
from services.fraud_detector.explaining import explain as run
from services.fraud_detector.outputs import milliseconds, rfc3339
from services.fraud_detector.settings import PartitionSettings
from services.fraud_detector.topology import FRAUD, PAYMENTS
from shared import jetstream
from shared.cli import terminal
from shared.cli.progress import progress_line
from shared.settings import load

_WIDTH = 60
_PLACES = ("amount", "currency", "channel", "country", "merchant", "terminal", "declined")

Alert = Annotated[
    str,
    typer.Argument(help="FRAUD:<sequence>, or the id of its payment.", metavar="ALERT"),
]


def explain(alert: Alert) -> None:
    """Show the payments that made an alert, the rule that was in force, and fold them again.

    Ends with 1 where the fold now gives another alert than the one that was written.
    """
    found = terminal.run(_explain(alert))
    for number, one in enumerate(found):
        if number:
            terminal.print_line("")
        for line in lines(one):
            terminal.print_line(terminal.printable(line))
    if any(one.again != one.body for one in found):
        raise typer.Exit(terminal.FAILED)


async def _explain(named: str) -> list[Explanation]:
    partitions = load(PartitionSettings)
    async with terminal.broker_client() as client:
        info = await jetstream.call(client, f"STREAM.INFO.{PAYMENTS.name}")
        try:
            with progress_line("explain", info["state"]["messages"]) as show:
                return [
                    await run(client, sequence, partitions, show)
                    for sequence in await find(client, named)
                ]
        except NoAlertError as error:
            raise terminal.failed(str(error)) from error


def lines(found: Explanation) -> list[str]:
    """Return the explanation in lines."""
    alert = found.alert
    shown = [
        f"alert      {FRAUD.name}:{found.sequence}  {alert.action}  payment {alert.payment_id}",
        f"because    {alert.explanation}",
        f"observed   {alert.observed}  (limit {alert.limit})",
        f"window     {alert.window[0]} .. {alert.window[1]}",
        f"rule       {alert.rule} version {alert.version}, revision {found.rule.revision}",
        f"           {' '.join((found.rule.text or '').split())}",
    ]
    shown += picture(found)
    shown += [_payment_line(one) for one in found.payments]
    missing = len(alert.evidence) - len(found.payments)
    if missing:
        shown.append(f"  and {missing} that {PAYMENTS.name} no longer holds")
    if found.again == found.body:
        shown.append("again      folded from the log: the same alert, byte for byte")
    else:
        words = found.again.decode("utf-8", "replace") if found.again else "no alert"
        shown.append(f"again      folded from the log, it differs: {words}")
    return shown


def picture(found: Explanation) -> list[str]:
    """Return the window as a line of time: a mark a payment, a number where there are several."""
    start_ms, end_ms = (milliseconds(text) for text in found.alert.window)
    span_ms = max(1, end_ms - start_ms)
    counts = [0] * _WIDTH
    for one in found.payments:
        place = (one.time_ms - start_ms) * (_WIDTH - 1) // span_ms
        if 0 <= place < _WIDTH:
            counts[place] += 1
    marks = "".join("·" if not n else "|" if n == 1 else str(min(n, 9)) for n in counts)
    return [f"           {marks}", f"           {'^ this payment':>{_WIDTH + 13}}"]


def _payment_line(payment: Payment) -> str:
    words = [
        f"{name}={value}"
        for name in _PLACES
        if (value := getattr(payment, name)) not in {None, False}
    ]
    where = f"{PAYMENTS.name}:{payment.sequence}"
    return f"  {where:<16} {rfc3339(payment.time_ms)}  {payment.card}  {' '.join(words)}"
