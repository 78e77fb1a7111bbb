"""What people type is read as they mean it, or refused in words."""

from __future__ import annotations

import datetime as dt

import pytest

from services.invoice_worker.entry import ENTRY
from shared.cli.demo import Run, traffic
from shared.cli.selecting import parse_since
from shared.cli.service_children import parse_scale, replicas

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", dt.timedelta(seconds=90)),
        ("15m", dt.timedelta(minutes=15)),
        ("1.5h", dt.timedelta(hours=1.5)),
        ("3d", dt.timedelta(days=3)),
    ],
)
def test_an_age_is_so_long_ago(text: str, ago: dt.timedelta) -> None:
    assert parse_since(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    "text", ["2026-11-23T08:00:00Z", "2026-11-23T08:00", "2026-11-23T09:00:00+01:00"]
)
def test_a_time_is_utc_unless_it_names_a_zone(text: str) -> None:
    assert parse_since(text, NOW) == dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["", "soon", "3w", "-1h", "2026-13-01"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_since(text, NOW)


def test_scale_says_how_many_of_each() -> None:
    assert parse_scale(["a=3", "b=0"], ["a", "b", "c"]) == {"a": 3, "b": 0}


@pytest.mark.parametrize("text", ["a", "a=", "a=x", "a=-1", "a=65", "d=1"])
def test_a_wrong_scale_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--scale|there is no 'd'"):
        parse_scale([text], ["a"])


def test_replicas_have_names_and_ports_of_their_own() -> None:
    three = replicas([ENTRY], {ENTRY.name: 3}, http_port=8080)
    assert [replica.name for replica in three] == [f"{ENTRY.name}.{n}" for n in (1, 2, 3)]
    assert [replica.http_port for replica in three] == [8080, 8081, 8082]
    [one] = replicas([ENTRY], {}, http_port=0)
    assert (one.name, one.http_port) == (ENTRY.name, 0)
    assert replicas([ENTRY], {ENTRY.name: 0}, http_port=0) == ()


def test_a_fresh_server_gets_no_users_of_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_USER", "me")
    monkeypatch.setenv("NATS_TLS_CA", "ca.pem")
    monkeypatch.setenv("NATS_URL", "nats://far:4222")
    [replica] = replicas([ENTRY], {}, http_port=0)
    fresh = replica.spec("nats://127.0.0.1:1", fresh_broker=True).environment
    assert fresh["NATS_URL"] == "nats://127.0.0.1:1"
    assert not {"NATS_USER", "NATS_TLS_CA"} & fresh.keys()
    given = replica.spec("nats://***@far:4222", fresh_broker=False).environment
    assert (given["NATS_URL"], given["NATS_USER"]) == ("nats://far:4222", "me")


def test_a_demo_ends_at_its_count_or_its_time() -> None:
    assert Run(50, None, 3).done(3, 0.0)
    assert not Run(50, None, 3).done(2, 1e9)
    assert Run(50, 2.0, None).done(0, 2.0)
    assert Run(50, 2.0, None).total() == 100
    assert Run(0, 2.0, None).total() is None
    assert Run(50, None, None).due(100) == 2.0
    assert Run(0, None, None).due(100) == 0.0


def test_the_same_seed_is_the_same_traffic() -> None:
    first, again, other = (traffic([ENTRY], seed) for seed in (1, 1, 2))
    some = [next(first) for _ in range(5)]
    assert some == [next(again) for _ in range(5)]
    assert some != [next(other) for _ in range(5)]
