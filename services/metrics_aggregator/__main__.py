"""The metrics aggregator, put together. Start it with `python -m services.metrics_aggregator`."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.entry import ENTRY
from services.metrics_aggregator.program import MetricsProgram
from services.metrics_aggregator.settings import MetricsSettings
from services.metrics_aggregator.topology import stage
from shared.broker import Broker
from shared.log_metrics import MemberCollector
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.service import Parts, Runtime, load_settings, serve


def main() -> int:
    """Run the service; return its exit code."""
    settings = load_settings(MetricsSettings)
    try:
        program = MetricsProgram(Path(settings.rules) if settings.rules else None)
    except RuleError as error:
        sys.stderr.write(f"METRICS_RULES: {error}\n")
        return 2
    runtime = Runtime(settings.process, settings.stop_deadline_seconds)
    return serve(ENTRY, runtime, lambda broker, _: build(settings, program, broker))


@contextlib.asynccontextmanager
async def build(
    settings: MetricsSettings, program: MetricsProgram, broker: Broker
) -> AsyncIterator[Parts]:
    """Put the parts together: a member of the group, and what follows the rule file."""
    member = Member(
        broker,
        stage(settings.partitions),
        program,
        LogPolicy(
            lease_seconds=settings.lease_seconds,
            snapshot_least_events=settings.snapshot_events,
            idle_seconds=settings.idle_seconds,
        ),
        settings.member or uuid.uuid4().hex[:8],
    )
    yield Parts(
        units={"member": member, "rules": program},
        collectors=[MemberCollector([member])],
        status=lambda: {
            "partitions": sorted(member.partitions),
            "broken": {str(number): why for number, why in member.broken.items()},
        },
    )


if __name__ == "__main__":
    sys.exit(main())
