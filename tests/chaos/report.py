"""The table of `docs/chaos.md`: a row a scenario; one that runs again replaces its row."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

BEGIN = "<!-- written by make chaos: begin -->"
END = "<!-- written by make chaos: end -->"

_HEAD = (
    "| harm | jobs, samples, payments | judge | recovery, s | pause of invoices, s "
    "| pause of scores, s | |\n|---|---|---|---|---|---|---|\n"
)


class Row(Struct, frozen=True):
    """What one scenario gave; `published` are the acknowledged jobs, samples and payments."""

    published: str
    recovery: float
    pause_invoices: float
    pause_payments: float
    note: str = ""


class Report:
    """Takes the row of one scenario."""

    def __init__(self, name: str, page: Path | None) -> None:
        self._name = name
        self._page = page

    def add(self, row: Row) -> None:
        """Write the row of a scenario that the judge found clean."""
        self._write(
            f"| {self._name} | {row.published} | clean | {row.recovery:.1f} "
            f"| {row.pause_invoices:.1f} | {row.pause_payments:.1f} | {row.note} |"
        )

    def failed(self) -> None:
        """Write that the scenario failed."""
        self._write(f"| {self._name} | | **failed** | | | | |")

    def _write(self, line: str) -> None:
        if self._page is None:
            return
        before, _, rest = self._page.read_text("utf-8").partition(BEGIN)
        table, _, after = rest.partition(END)
        rows = {_name(old): old for old in table.splitlines() if old.startswith("| ")}
        rows.pop("harm", None)
        rows[self._name] = line
        lines = "\n".join(rows.values())
        self._page.write_text(f"{before}{BEGIN}\n\n{_HEAD}{lines}\n\n{END}{after}", "utf-8")


def _name(row: str) -> str:
    return row.split("|")[1].strip()
