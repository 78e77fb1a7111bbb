"""The metrics aggregator, put together. Start it with `python -m services.metrics_aggregator`."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.entry import ENTRY
from services.metrics_aggregator.feeds import Feeds
from services.metrics_aggregator.horizon import Horizon
from services.metrics_aggregator.latest import LatestFold
from services.metrics_aggregator.merge_fold import MergeFold
from services.metrics_aggregator.program import MetricsProgram
from services.metrics_aggregator.results_page import results_page
from services.metrics_aggregator.settings import MetricsSettings
from services.metrics_aggregator.topology import latest_stage, merge_stage, merges, sample_stage
from shared.broker import Broker
from shared.log_metrics import MemberCollector
from shared.log_status import status_of
from shared.log_stream.member import Member
from shared.log_stream.plain_program import PlainProgram
from shared.log_stream.policy import LogPolicy
from shared.service import Parts, Runtime, load_settings, serve


def main() -> int:
    """Run the service; return its exit code."""
    settings = load_settings(MetricsSettings)
    try:
        program = MetricsProgram(
            Path(settings.rules) if settings.rules else None,
            merges(settings.partitions),
            settings.idle_seconds,
        )
    except RuleError as error:
        sys.stderr.write(f"METRICS_RULES: {error}\n")
        return 2
    runtime = Runtime(settings.process, settings.stop_deadline_seconds)
    return serve(ENTRY, runtime, lambda broker, _: build(settings, program, broker))


@contextlib.asynccontextmanager
async def build(
    settings: MetricsSettings, program: MetricsProgram, broker: Broker
) -> AsyncIterator[Parts]:
    """Put the parts together: a member of each stage, and what follows rule file and marks."""
    policy = LogPolicy(
        lease_seconds=settings.lease_seconds,
        snapshot_least_events=settings.snapshot_events,
        idle_seconds=settings.idle_seconds,
    )
    name = settings.member or uuid.uuid4().hex[:8]
    partitions = settings.partitions
    samples = Member(broker, sample_stage(partitions), program, policy, name)
    merge = PlainProgram(lambda *_: MergeFold(partitions.partitions))
    merger = Member(broker, merge_stage(partitions), merge, policy, name)
    horizon = Horizon(broker, partitions.partitions, lambda: ["", *program.sources()])
    program.look_at(horizon)
    feeds = Feeds(broker, partitions, policy, name, program.sources)

    latest = Member(broker, latest_stage(), PlainProgram(lambda *_: LatestFold()), policy, name)

    def members() -> list[Member]:
        return [samples, merger, latest, *feeds.members]

    yield Parts(
        units={
            "member": samples,
            "merger": merger,
            "rules": program,
            "horizon": horizon,
            "feeds": feeds,
            "latest": latest,
        },
        collectors=[MemberCollector(members)],
        status=lambda: status_of(members()),
        pages={"/metrics/results": lambda: results_page(broker)},
    )


if __name__ == "__main__":
    sys.exit(main())
