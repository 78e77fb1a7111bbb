"""Settings come from the environment only; whatever is wrong is named at start, all at once."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct, field

from shared.settings import BrokerSettings, LogSettings, SettingsError, StreamSettings, load


class Inner(Struct, frozen=True):
    attempts: Annotated[int, Meta(ge=1, le=9)] = field(default=5, name="JOB_ATTEMPTS")


class Outer(Struct, frozen=True):
    inner: Inner
    broker: BrokerSettings
    mode: Literal["a", "b"] = field(default="a", name="JOB_MODE")
    seconds: float = field(default=1.5, name="JOB_SECONDS")
    eager: bool = field(default=False, name="JOB_EAGER")


class Needed(Struct, frozen=True):
    secret: str = field(name="NEEDED_PASSWORD")


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load(Outer, {}) == Outer(Inner(), BrokerSettings())


def test_values_are_read_by_their_variables_names() -> None:
    loaded = load(
        Outer,
        {
            "JOB_ATTEMPTS": "7",
            "JOB_MODE": "b",
            "JOB_SECONDS": "2",
            "JOB_EAGER": "true",
            "NATS_URL": "nats://n:1",
        },
    )
    assert loaded == Outer(Inner(7), BrokerSettings(url="nats://n:1"), "b", 2.0, eager=True)


def test_an_empty_variable_is_no_value() -> None:
    assert load(Outer, {"JOB_ATTEMPTS": " ", "NATS_URL": ""}) == load(Outer, {})


@pytest.mark.parametrize("value", ["0", "10", "1.5", "many"])
def test_a_wrong_value_is_named_with_its_variable(value: str) -> None:
    with pytest.raises(SettingsError, match=f"JOB_ATTEMPTS='{value}'"):
        load(Outer, {"JOB_ATTEMPTS": value})


def test_every_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        load(Outer, {"JOB_ATTEMPTS": "x", "JOB_MODE": "c", "JOB_SECONDS": "y"})
    for name in ("JOB_ATTEMPTS", "JOB_MODE", "JOB_SECONDS"):
        assert name in str(refused.value)


def test_a_variable_that_must_be_set_is_asked_for() -> None:
    with pytest.raises(SettingsError, match="NEEDED_PASSWORD is not set"):
        load(Needed, {})


def test_log_level_and_format_may_be_written_in_capitals() -> None:
    loaded = load(LogSettings, {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "Console"})
    assert loaded == LogSettings("debug", "console")


def test_replicas_are_one_to_five() -> None:
    assert load(StreamSettings, {"STREAM_REPLICAS": "5"}).replicas == 5
    with pytest.raises(SettingsError, match="STREAM_REPLICAS"):
        load(StreamSettings, {"STREAM_REPLICAS": "6"})
