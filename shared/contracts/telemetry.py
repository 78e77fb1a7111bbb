"""Messages of the metrics aggregator: the sample that a user publishes, the result.

Telemetry is published to `telemetry.<metric>`, results to `metrics.<rule id>.<metric>`. What
stands behind the prefix is the metric's name, dots and all: `telemetry.cpu.load` is of the
metric `cpu.load`.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

TELEMETRY_PREFIX: Final = "telemetry"
METRICS_PREFIX: Final = "metrics"

CONTENT_TYPE: Final = "Content-Type"
JSON: Final = "application/json"
PROMETHEUS: Final = "text/plain"
INFLUX: Final = "text/x-influx-line-protocol"
STATSD: Final = "text/x-statsd"

_UNSAFE: Final = re.compile(r"[\s%*>\x00-\x1f\x7f]|^\.|\.$|\.(?=\.)")


class Measurement(Struct, frozen=True, gc=False):
    """One entry of a JSON message on `TELEMETRY`.

    `time` is RFC 3339 (UTC if it names no zone) or epoch
    seconds; without it the time of arrival is taken. `name` stands for the subject's metric.
    """

    value: float
    labels: dict[str, str] = {}
    time: dt.datetime | float | None = None
    name: str | None = None


class MetricResult(Struct, frozen=True, gc=False):
    """One result of a rule for one group and window `[start, end)`, RFC 3339 UTC.

    `output` is the function's name without arguments; `count` is the samples that went in.
    `final` is false where a greater `revision` of the same window will follow.
    """

    rule: str
    metric: str
    labels: dict[str, str]
    output: str
    value: float
    start: str
    end: str
    final: bool
    revision: int
    count: int


def result_subject(rule: str, metric: str) -> str:
    """Return `metrics.<rule>.<metric>`, the name's characters made safe for a subject."""
    return f"{METRICS_PREFIX}.{rule}.{metric_tokens(metric)}"


def metric_tokens(metric: str) -> str:
    """Return a metric's name as tokens of a subject: its dots separate tokens.

    What a subject cannot hold is written as in URLs (`%20`): spaces, wildcards, controls, and
    dots that would leave a token empty.
    """
    if not metric:
        return "%00"
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", metric)


def metric_of_tokens(tokens: str) -> str:
    """Return the metric's name that a subject's tokens stand for."""
    return "" if tokens == "%00" else unquote(tokens)
