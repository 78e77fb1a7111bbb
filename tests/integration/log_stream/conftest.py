"""What depends on how events are read runs twice: by the batch parser, and by nats-py's API."""

from __future__ import annotations

import pytest

from shared.log_stream import frames

TWICE = ("test_engine", "test_members", "test_reader", "test_zombies")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of these modules over both readers."""
    both = metafunc.module.__name__.rpartition(".")[2] in TWICE
    ways = ["lists", "one-by-one"] if both else ["lists"]
    metafunc.parametrize("reading", ways, indirect=True)


@pytest.fixture(autouse=True)
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Switch the batch parser off for the second run, as another nats-py would."""
    how: str = request.param
    if how == "one-by-one":
        monkeypatch.setattr(frames, "VERSION", "another")
    return how
