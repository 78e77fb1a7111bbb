"""The AsyncAPI document names every message, where it travels, who sends it, what is in it."""

from __future__ import annotations

import json
from typing import Any

from shared import registry
from shared.asyncapi import document
from tests.headrace import headrace

STREAMS = {
    "invoice-job": "INVOICE_JOBS",
    "invoice-issued": "INVOICES",
    "invoice-rendered": "INVOICES",
    "measurement": "TELEMETRY",
    "metric-result": "METRICS",
    "payment": "PAYMENTS",
    "label": "PAYMENTS",
    "alert": "FRAUD",
    "score": "FRAUD",
}


def test_every_message_has_a_channel_in_its_stream_and_an_operation() -> None:
    made = document(registry.services(), "1")
    assert made["channels"].keys() == STREAMS.keys() == made["components"]["messages"].keys()
    for name, stream in STREAMS.items():
        assert f" {stream}: " in made["channels"][name]["description"]
    payment = made["channels"]["payment"]
    assert payment["address"] == "payments.made.{card}"
    assert list(payment["parameters"]) == ["card"]
    assert made["operations"]["fraud_detector-receives-payment"]["action"] == "receive"
    assert made["operations"]["fraud_detector-sends-alert"]["action"] == "send"
    assert len(made["operations"]) == len(STREAMS)


def test_every_reference_leads_somewhere() -> None:
    made = document(registry.services(), "1")
    references = list(_references(made))
    assert len(references) > 2 * len(STREAMS)
    for reference in references:
        place: Any = made
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


async def test_the_command_prints_it() -> None:
    printed = await headrace("schema", "--asyncapi")
    assert printed.code == 0, printed
    assert json.loads(printed.out)["asyncapi"] == "3.0.0"
    assert (await headrace("schema", "payment", "--asyncapi")).code == 2


def _references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
