from __future__ import annotations

from shared.contracts import headers


def test_what_would_act_on_the_server_again_is_dropped_and_all_else_kept() -> None:
    stored = {
        "Nats-Msg-Id": "a",
        "Nats-Batch-Id": "b",
        "Nats-Batch-Sequence": "1",
        "Nats-Expected-Last-Subject-Sequence": "0",
        "nats-expected-stream": "X",
        "Nats-Rollup": "sub",
        "Nats-TTL": "1s",
        "Nats-Schedule": "@every 1s",
        "Nats-Scheduler": "schedules.x",
        "Nats-Stream-Source": "S 1",
        "traceparent": "00-1-2-00",
        "X-Mine": "kept",
    }
    assert headers.without_instructions(stored) == {"traceparent": "00-1-2-00", "X-Mine": "kept"}


def test_no_headers_are_none() -> None:
    assert headers.without_instructions(None) == {}
