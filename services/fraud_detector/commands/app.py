"""The fraud detector's commands, listed."""

from __future__ import annotations

import typer

from services.fraud_detector.commands import backtest, explain, report

app = typer.Typer()
app.command()(backtest.backtest)
app.command()(explain.explain)

fraud = typer.Typer(help="How good the fraud rules are.", no_args_is_help=True)
fraud.command()(report.report)
app.add_typer(fraud, name="fraud")
