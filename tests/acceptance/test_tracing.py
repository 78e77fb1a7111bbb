"""What a message goes through is one trace, from its publisher's span through JetStream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from nats.aio.client import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from shared import jetstream
from shared.contracts import headers
from tests.acceptance.test_nats_cli import SMALL_JOB
from tests.eventually import eventually
from tests.fraud_rig import fraud_detector
from tests.processes import invoice_worker
from tests.server import Server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ABOVE = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{ABOVE}-01"
JOB_STEPS = {
    "queue",
    "handle INVOICE_JOBS",
    "commit INVOICES",
    "handle INVOICES",
    "render",
    "store documents",
}


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[Any]]]:
    """Take spans by OTLP over HTTP, as a collector does; yield its address and what came."""
    found: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        said = ExportTraceServiceRequest.FromString(await request.read())
        for resource in said.resource_spans:
            (service,) = (
                one.value.string_value
                for one in resource.resource.attributes
                if one.key == "service.name"
            )
            found.extend((service, span) for scope in resource.scope_spans for span in scope.spans)
        return web.Response(body=ExportTraceServiceResponse().SerializeToString())

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", found
    finally:
        await runner.cleanup()


def named(found: list[Any], service: str, trace: str = TRACE) -> set[str]:
    return {span.name for one, span in found if one == service and span.trace_id.hex() == trace}


async def test_a_job_and_a_payment_are_one_trace_each(
    own_server: Server, own_client: Client
) -> None:
    async with receiver() as (endpoint, found):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with (
            invoice_worker(own_server.url, **variables) as worker,
            fraud_detector(own_server.url, **variables) as detector,
        ):
            await worker.started()
            await detector.started()
            given = {headers.TRACE_PARENT: PARENT}
            await jetstream.publish(own_client, "jobs.invoice.demo", SMALL_JOB.encode(), given)
            await eventually(lambda: named(found, "invoice_worker") == JOB_STEPS, 30)
            paid = b'{"amount": "250.00", "country": "DE"}'
            await jetstream.publish(own_client, "payments.made.card-1", paid, given)
            await eventually(lambda: named(found, "fraud_detector") == {"commit FRAUD"}, 30)
            for _, span in found:
                assert span.parent_span_id.hex() == ABOVE
                assert span.start_time_unix_nano <= span.end_time_unix_nano
            # Without a publisher's trace there is one all the same, derived from the message.
            job = SMALL_JOB.replace("LATER", "SO-2").encode()
            await jetstream.publish(own_client, "jobs.invoice.demo", job)
            await eventually(lambda: len({span.trace_id for _, span in found}) == 2, 30)
            worker.terminate()
            detector.terminate()
            await worker.stopped()
            await detector.stopped()


async def test_a_collector_that_is_away_holds_nothing_up(
    own_server: Server, own_client: Client
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with invoice_worker(own_server.url, **variables) as worker:
        await worker.started()
        await jetstream.publish(own_client, "jobs.invoice.demo", SMALL_JOB.encode())
        await eventually(
            lambda: jetstream.last_message(own_client, "INVOICES", "invoices.rendered.demo"), 30
        )
        await eventually(lambda: worker.events("spans not exported"), 30)
        worker.terminate()
        await worker.stopped()
