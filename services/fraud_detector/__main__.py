"""The fraud detector, put together. Start it with `python -m services.fraud_detector`."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import AsyncIterator

from services.fraud_detector.entry import ENTRY
from services.fraud_detector.program import FraudProgram
from services.fraud_detector.rule_bucket import RuleBucket
from services.fraud_detector.rule_metrics import RuleCollector
from services.fraud_detector.scope import CARDS, KEYED, MODEL
from services.fraud_detector.settings import FraudSettings
from services.fraud_detector.topology import card_stage, keyed_stage, model_stage
from shared.broker import Broker
from shared.log_metrics import MemberCollector
from shared.log_status import status_of
from shared.log_stream.member import Member
from shared.log_stream.policy import LogPolicy
from shared.service import Parts, Runtime, load_settings, serve


def main() -> int:
    """Run the service; return its exit code."""
    settings = load_settings(FraudSettings)
    runtime = Runtime(settings.process, settings.stop_deadline_seconds)
    return serve(ENTRY, runtime, lambda broker, _: build(settings, broker))


@contextlib.asynccontextmanager
async def build(settings: FraudSettings, broker: Broker) -> AsyncIterator[Parts]:
    """Put the parts together: a member of each stage, and what follows the rules."""
    policy = LogPolicy(
        lease_seconds=settings.lease_seconds, snapshot_least_events=settings.snapshot_events
    )
    name = settings.member or uuid.uuid4().hex[:8]
    bucket = RuleBucket(broker)
    stages = [(card_stage(settings.partitions), CARDS), (keyed_stage(), KEYED)]
    if settings.scores:
        stages.append((model_stage(), MODEL))
    members = [
        Member(broker, stage, FraudProgram(bucket, scope), policy, name) for stage, scope in stages
    ]
    yield Parts(
        prepare=bucket.look,  # a partition that nobody has begun begins with these rules
        units={"rules": bucket, **{member.group: member for member in members}},
        collectors=[MemberCollector(lambda: members), RuleCollector(members)],
        status=lambda: status_of(members),
    )


if __name__ == "__main__":
    sys.exit(main())
