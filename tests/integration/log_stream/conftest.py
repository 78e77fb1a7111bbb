"""Every test here runs twice: with the batch parser, and by nats-py's public API instead."""

from __future__ import annotations

import pytest

from shared.log_stream import frames


@pytest.fixture(autouse=True, params=["lists", "one-by-one"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Switch the batch parser off for the second run, as another nats-py would."""
    how: str = request.param
    if how == "one-by-one":
        monkeypatch.setattr(frames, "VERSION", "another")
    return how
