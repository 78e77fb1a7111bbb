"""Options that choose results by their window, and what is wrong use of the replay commands."""

from __future__ import annotations

import datetime as dt

import pytest
from typer.testing import CliRunner

from shared.cli.__main__ import app
from shared.cli.windows import parse_window
from shared.log_stream.generation import LIVE, generation_of, prefix_of


def test_both_ends_of_a_window_are_times_or_ages_and_may_be_left_out() -> None:
    both = parse_window("2026-11-23T08:00:00Z..2026-11-23T09:00:00Z")
    assert (both.end - both.start) == dt.timedelta(hours=1)
    open_end = parse_window("2h..")
    assert open_end.start < dt.datetime.now(dt.UTC) < open_end.end
    assert parse_window("..1h").start.year == 1


@pytest.mark.parametrize("text", ["", "2h", "yesterday..", "..25:00"])
def test_anything_else_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_window(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "metrics_aggregator"], "--as NAME"),
        (["replay", "metrics_aggregator", "--as", "a", "--list"], "--as NAME"),
        (["replay", "metrics_aggregator", "--as", "a.b"], "'a.b' is no name"),
        (["replay", "metrics_agregator", "--as", "a"], "did you mean metrics_aggregator?"),
        (["replay", "metrics_aggregator", "--remove", "live"], "live is not removed"),
        (["promote", "metrics_aggregator", "live"], "live is live already"),
        (["diff", "metrics_aggregator", "live", "a", "--window", "x"], "START..END"),
        (["verify", "invoice_worker"], "there is no 'invoice_worker'"),
    ],
)
def test_wrong_use_ends_with_words_and_2(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "200")
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert words in ended.output


def test_live_has_no_prefix_of_its_own() -> None:
    assert prefix_of(LIVE) == ""
    assert prefix_of("v2") == "generation.v2."
    assert generation_of((), LIVE).entries == ()
