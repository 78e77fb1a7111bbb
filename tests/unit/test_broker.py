"""A URL is shown without user and password, however many servers it names."""

from __future__ import annotations

import pytest

from shared.broker import without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://h:4222", "nats://h:4222"),
        ("h", "h"),
        ("nats://me:secret@h:4222", "nats://***@h:4222"),
        ("tls://secret@h", "tls://***@h"),
        ("me:secret@h", "***@h"),
        ("nats://a:secret@h:1,nats://b:secret@i:2", "nats://***@h:1,nats://***@i:2"),
        ("nats://me:sec@ret@h", "nats://***@h"),
        ("nats://me:sec/ret@h:4222", "nats://***@h:4222"),
        ("nats://me:secret@[::1]:4222", "nats://***@[::1]:4222"),
        ("nats://me:secret@h:port", "nats://***@h:port"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert without_password(url) == shown
