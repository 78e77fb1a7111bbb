"""Made-up telemetry, as a shop would send it: latencies, a counter, page views."""

from __future__ import annotations

import random

import msgspec

from shared.contracts.telemetry import TELEMETRY_PREFIX
from shared.registry import DemoMessage

_HOSTS = ("web-1", "web-2", "web-3")
_ROUTES = (("/", 8.0), ("/search", 40.0), ("/pay", 120.0))
_USERS = 40
_COUNTED_FROM = 1_000


def make_sample(chance: random.Random, number: int) -> DemoMessage:
    """Return the sample of that number: mostly latencies, some of the others."""
    host = chance.choice(_HOSTS)
    route, typical_ms = chance.choice(_ROUTES)
    kind = chance.random()
    labels = {"host": host, "route": route}
    if kind < 0.6:  # noqa: PLR2004 - three in five
        metric, value = "latency", round(chance.lognormvariate(0, 0.6) * typical_ms, 3)
    elif kind < 0.8:  # noqa: PLR2004 - one in five
        metric, value = "requests_total", float(_COUNTED_FROM + number)
        labels = {"instance": host}
    else:
        metric, value = "page_view", 1.0
        labels = {"user": f"u-{chance.randrange(_USERS)}", "route": route}
    body = msgspec.json.encode({"value": value, "labels": labels})
    return DemoMessage(
        f"{TELEMETRY_PREFIX}.{metric}", body, f"demo-sample-{chance.getrandbits(64):x}"
    )
