"""Laws of durations: Go's, with days and weeks."""

from __future__ import annotations

import pytest

from services.metrics_aggregator.domain.durations import duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        (".5s", 500),
        ("1000000ns", 1),
        ("1000us", 1),
        ("1000µs", 1),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1m1m", 120_000),
    ],
)
def test_a_duration_is_that_many_milliseconds(text: str, ms: int) -> None:
    assert duration(text).ms == ms
    assert duration(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "-1m",
        "+1m",
        "m",
        "1 m",
        " 1m",
        "1M",
        "1y",
        "1.m",
        "1ns",
        "4000d",
        "1m\n",
        "\u0661m",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|milliseconds|ten years"):
        duration(text)
