"""What publishers send: the text of real agents gives its samples, all else its refusal."""

from __future__ import annotations

import pytest

from services.metrics_aggregator.domain.refusal import Refusal
from services.metrics_aggregator.domain.samples import read_samples
from services.metrics_aggregator.domain.series_cache import SeriesCache

ARRIVAL_MS = 1_795_420_800_000
PROMETHEUS, INFLUX, STATSD = "text/plain", "text/x-influx-line-protocol", "text/x-statsd"
Plain = tuple[str, dict[str, str], float, int]

NODE_EXPORTER = b"""# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 18742.71
node_cpu_seconds_total{cpu="0",mode="user"} 1.2e+03
# HELP node_filesystem_avail_bytes Filesystem space available.
# TYPE node_filesystem_avail_bytes gauge
node_filesystem_avail_bytes{device="C:\\\\",mountpoint="a \\"b\\"\\n",} 5.1e+10 1795420799000
node_load1 0.21
http_seconds_bucket{le="+Inf"} 7
node_scrape_error NaN
"""
TELEGRAF = b"""cpu,cpu=cpu0,host=web\\ 1 idle=98.5,user=1i,active=true 1795420799500000000
disk,host=a path="/var lib",used=7u 1795420799000000000
# a comment
mem,host=a used=3.5
"""
DATADOG = b"""requests:2|c|@0.5|#env:prod,canary
latency:12.5:13|ms|#route:/pay
temperature:-3|g
users:u1|s
users:17|s
page:1|c|T1795420700
_e{5,4}:title|text
_sc|redis|0
"""


def read(body: bytes, kind: str | None = None, metric: str = "m") -> tuple[list[Plain], int]:
    batch = read_samples(body, kind, metric, ARRIVAL_MS, SeriesCache())
    return [
        (one.series.name, dict(one.series.labels), one.value, one.time_ms) for one in batch.samples
    ], batch.skipped


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"value": 1}', [("m", {}, 1.0, ARRIVAL_MS)]),
        (
            b'{"value": 12.5, "labels": {"host": "a", "b": "c"}, "time": "2026-11-23T08:00:00Z"}',
            [("m", {"b": "c", "host": "a"}, 12.5, ARRIVAL_MS)],
        ),
        (b'{"value": 1, "time": 1795420799.25}', [("m", {}, 1.0, ARRIVAL_MS - 750)]),
        (
            b'{"value": 1, "time": "2026-11-23T09:00:00.5+01:00"}',
            [("m", {}, 1.0, ARRIVAL_MS + 500)],
        ),
        (
            b'[{"value": 1, "name": "a"}, {"value": 2, "labels": {"x": "y"}}]',
            [("a", {}, 1.0, ARRIVAL_MS), ("m", {"x": "y"}, 2.0, ARRIVAL_MS)],
        ),
        (b"[]", []),
    ],
)
def test_json(body: bytes, expected: list[Plain]) -> None:
    assert read(body) == (expected, 0)
    assert read(body, "application/json; charset=utf-8") == (expected, 0)


def test_prometheus_text_of_node_exporter() -> None:
    samples, skipped = read(NODE_EXPORTER, PROMETHEUS)
    assert samples == [
        ("node_cpu_seconds_total", {"cpu": "0", "mode": "idle"}, 18742.71, ARRIVAL_MS),
        ("node_cpu_seconds_total", {"cpu": "0", "mode": "user"}, 1200.0, ARRIVAL_MS),
        (
            "node_filesystem_avail_bytes",
            {"device": "C:\\", "mountpoint": 'a "b"\n'},
            5.1e10,
            ARRIVAL_MS - 1000,
        ),
        ("node_load1", {}, 0.21, ARRIVAL_MS),
        ("http_seconds_bucket", {"le": "+Inf"}, 7.0, ARRIVAL_MS),
    ]
    assert skipped == 1


def test_line_protocol_of_telegraf() -> None:
    samples, skipped = read(TELEGRAF, INFLUX)
    labels = {"cpu": "cpu0", "host": "web 1"}
    assert sorted(samples, key=str) == [
        ("cpu_active", labels, 1.0, ARRIVAL_MS - 500),
        ("cpu_idle", labels, 98.5, ARRIVAL_MS - 500),
        ("cpu_user", labels, 1.0, ARRIVAL_MS - 500),
        ("disk_used", {"host": "a"}, 7.0, ARRIVAL_MS - 1000),
        ("mem_used", {"host": "a"}, 3.5, ARRIVAL_MS),
    ]
    assert skipped == 1


def test_lines_of_dogstatsd() -> None:
    samples, skipped = read(DATADOG, STATSD)
    member = samples.pop(4)
    assert samples == [
        ("requests", {"canary": "true", "env": "prod"}, 4.0, ARRIVAL_MS),
        ("latency", {"route": "/pay"}, 12.5, ARRIVAL_MS),
        ("latency", {"route": "/pay"}, 13.0, ARRIVAL_MS),
        ("temperature", {}, -3.0, ARRIVAL_MS),
        ("users", {}, 17.0, ARRIVAL_MS),
        ("page", {}, 1.0, 1_795_420_700_000),
    ]
    assert member == read(b"users:u1|s", STATSD)[0][0]
    assert member[2] != read(b"users:u2|s", STATSD)[0][0][2]
    assert skipped == 2


@pytest.mark.parametrize(
    ("kind", "body", "reason", "place"),
    [
        (None, b"{", "malformed", "body"),
        (None, b"\xff", "malformed", "body"),
        (None, b'{"value": NaN}', "malformed", "body"),
        (None, b'{"labels": {}}', "invalid", ""),
        (None, b'{"value": "1"}', "invalid", "value"),
        (None, b'{"value": 1e999}', "invalid", "value"),
        (None, b'[{"value": 1}, {"value": true}]', "invalid", "[1].value"),
        (None, b'{"value": 1, "labels": {"a": 1}}', "invalid", "labels"),
        (None, b'{"value": 1, "labels": {"__name__": "x"}}', "invalid", "labels"),
        (None, b'{"value": 1, "time": "yesterday"}', "invalid", "time"),
        (None, b'{"value": 1, "time": -1}', "invalid", "time"),
        (None, b'{"value": 1, "name": ""}', "invalid", "name"),
        (PROMETHEUS, b"up 1\nup{a=1} 2\n", "malformed", "line 2"),
        (PROMETHEUS, b"up one", "malformed", "line 1"),
        (INFLUX, b"cpu", "malformed", "line 1"),
        (STATSD, b"requests", "malformed", "line 1"),
        (STATSD, b"requests:1|c|@2", "malformed", "line 1"),
        (STATSD, b"temperature:+3|g", "invalid", "line 1"),
        ("text/csv", b"1", "invalid", "Content-Type"),
    ],
)
def test_what_is_refused_names_reason_and_place(
    kind: str | None, body: bytes, reason: str, place: str
) -> None:
    with pytest.raises(Refusal) as refused:
        read(body, kind)
    assert refused.value.reason == reason
    assert refused.value.error.startswith(place)
