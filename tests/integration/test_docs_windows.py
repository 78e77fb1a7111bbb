"""The tables of `docs/windows.md`: their first columns are run, the others compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.log_stream.clock import Watermark
from shared.log_stream.windowed import Closed, windowed
from shared.log_stream.windows import Hopping, Session, Tumbling, Windower

PAGE = (Path(__file__).parents[2] / "docs" / "windows.md").read_text("utf-8")


class Count:
    """Aggregate of the page: the number of events."""

    def new(self) -> int:
        return 0

    def add(self, state: int, value: None) -> int:
        assert value is None
        return state + 1

    def merge(self, left: int, right: int) -> int:
        return left + right


@pytest.mark.parametrize(
    ("section", "windower", "grace_ms", "allowed_ms", "stated"),
    [
        (
            "The watermark, step by step",
            Tumbling(60_000),
            10_000,
            30_000,
            "Windows of one minute, grace 10 s, allowed lateness 30 s",
        ),
        (
            "Sessions merge",
            Session(30_000),
            0,
            60_000,
            "Gap 30 s, grace 0, allowed lateness 60 s",
        ),
    ],
)
def test_the_worked_tables_are_what_the_code_does(
    section: str, windower: Windower, grace_ms: int, allowed_ms: int, stated: str
) -> None:
    text = section_of(section)
    assert stated in text
    written = table(text)
    assert len(written) > 5
    steps = [(row[0], row[1]) for row in written]
    assert worked(windower, grace_ms, allowed_ms, steps) == written


def test_the_windows_of_an_event_are_as_the_page_says() -> None:
    named: dict[str, Windower] = {
        "tumbling 60 s": Tumbling(60_000),
        "hopping 60 s, every 20 s": Hopping(60_000, 20_000),
        "session, gap 30 s": Session(30_000),
    }
    rows = table(section_of("Which windows an event is in"))
    assert {row[0] for row in rows} == set(named)
    for windower, time, windows in rows:
        spans = named[windower].spans(milliseconds(time))
        assert " ".join(interval(span.start_ms, span.end_ms) for span in spans) == windows


def worked(
    windower: Windower, grace_ms: int, allowed_ms: int, steps: list[tuple[str, str]]
) -> list[list[str]]:
    """Return the whole rows of a worked table, from its first two columns."""
    watermark = Watermark(grace_ms)
    windows = windowed(windower, Count(), allowed_ms)
    rows = []
    for arrives, what in steps:
        arrival_ns = milliseconds(arrives) * 1_000_000
        idle = re.fullmatch(r"tick, idle (\d+) s", what)
        if idle:
            watermark.tick(arrival_ns, int(idle[1]) * 1000)
        else:
            watermark.observe(milliseconds(what), arrival_ns)
        out = []
        if watermark.value_ms >= windows.due_ms:
            out = [told(closed) for closed in windows.close(watermark.value_ms)]
        if not idle:
            emission = windows.add("key", milliseconds(what), None, watermark.value_ms)
            corrected = [told(closed) for closed in emission.corrected] if emission else []
            if emission and emission.late:
                cause = f"late ({watermark.count_late(emission.end_ms)})"
                out.append(f"{cause}: {corrected[0]}" if corrected else f"{cause}, missed")
            else:
                out += corrected
        rows.append([arrives, what, clock(watermark.value_ms), " ".join(out)])
    return rows


def told(closed: Closed[int]) -> str:
    window = interval(closed.start_ms, closed.end_ms)
    text = f"{window} count {closed.state}, revision {closed.revision}"
    return text if closed.final else f"{text}, current"


def interval(start_ms: int, end_ms: int) -> str:
    return f"[{clock(start_ms)}, {clock(end_ms)})"


def milliseconds(text: str) -> int:
    hours, minutes, seconds = map(int, text.split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000


def clock(time_ms: int) -> str:
    seconds = time_ms // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def section_of(title: str) -> str:
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, f"no section {title}"
    return rest.partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
