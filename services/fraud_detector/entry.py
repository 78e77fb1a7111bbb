"""The fraud detector as the operators' CLI sees it."""

from __future__ import annotations

import typer

from services.fraud_detector.demo import make_payment
from services.fraud_detector.scope import CARDS, KEYED, MODEL, Scope
from services.fraud_detector.settings import FraudSettings, PartitionSettings
from services.fraud_detector.topology import (
    SERVICE,
    card_stage,
    keyed_stage,
    model_stage,
    topology,
)
from shared.contracts.payments import FraudAlert, FraudScore, PaymentLabeled, PaymentMade
from shared.log_stream.fold import Fold
from shared.log_stream.stage import Stage, StageEntry
from shared.registry import MessageType, ServiceEntry
from shared.settings import load


def _stages() -> tuple[StageEntry, ...]:
    settings = load(FraudSettings)

    def entry(stage: Stage, scope: Scope) -> StageEntry:
        def fold(seed: str, partition: int) -> Fold:
            from services.fraud_detector.fold import FraudFold  # noqa: PLC0415 - see below

            return FraudFold(seed, scope, partition)

        return StageEntry(stage, fold)

    # The fold is imported late, since most commands need neither rules nor model.
    scored = (entry(model_stage(), MODEL),) if settings.scores else ()
    return (entry(card_stage(settings.partitions), CARDS), entry(keyed_stage(), KEYED), *scored)


def _fixed_seed(rules: str, until: int | None) -> str:
    """Return a seed of these rules, a JSON array; raise `RuleError` for what cannot be used."""
    from services.fraud_detector.rule_book import fixed  # noqa: PLC0415 - see above

    return fixed(rules, until)


def _commands() -> typer.Typer:
    from services.fraud_detector.commands.app import app  # noqa: PLC0415 - see above

    return app


ENTRY = ServiceEntry(
    name=SERVICE,
    description="Payments are judged by rules over sliding windows, and scored by a model",
    topology=lambda: topology(load(PartitionSettings)),
    messages=(
        MessageType("payment", "payments.made.<card>", PaymentMade, "Event: a payment was made"),
        MessageType(
            "label", "payments.labeled.<card>", PaymentLabeled, "Event: it turned out to be fraud"
        ),
        MessageType(
            "alert",
            "fraud.alerts.<card>",
            FraudAlert,
            "Event: a payment broke a rule",
            emitted=True,
        ),
        MessageType(
            "score", "fraud.scores.<card>", FraudScore, "Result: the model's opinion", emitted=True
        ),
    ),
    stages=_stages,
    fixed_seed=_fixed_seed,
    commands=_commands,
    demo=make_payment,
    try_it=(
        """nats pub -J --count 3 payments.made.card-17 '{"amount": "1.50", "currency": "EUR"}'""",
        """nats pub -J payments.made.card-17 '{"payment_id": "p-4", "amount": "250.00"}'""",
        "nats stream get FRAUD --last-for fraud.alerts.card-17",
    ),
)
