"""Spans of what a message goes through, for OpenTelemetry; off unless an endpoint is named.

A message's `traceparent` is carried unchanged into all that it causes, so that a replay gives the
same bytes. All spans of one message are therefore children of its publisher's span: what waited,
what was handled, committed, rendered stand side by side in one trace. Where the publisher gave
none, the trace is the one that is derived from the message's identity (`shared.trace`).

The exporter is the OpenTelemetry SDK's (OTLP over HTTP), an optional extra. It exports in a
thread of its own, in batches, and drops spans rather than hold a service up.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from shared.contracts import headers
from shared.logs import logger

_log = logger("tracing")

_SAMPLED: Final = 1
_FLUSH_MILLISECONDS: Final = 2_000
_SAME_COMPLAINT_SECONDS: Final = 60.0
_TRACES: Final = "/v1/traces"


Facts = Mapping[str, str | int | float | bool]


class Span(Struct, frozen=True):
    """One step: its name, the `traceparent` above it, begin and end in nanoseconds since 1970."""

    name: str
    parent: str
    start_ns: int
    end_ns: int
    facts: Facts = {}


class TracingUnavailableError(Exception):
    """An endpoint is named, but the extra is not installed; says what to do."""


class _Complaints(logging.Handler):
    """Turns what the SDK complains of into lines of our log, one kind a minute."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a complaint, unless the same one was written just now."""
        now = time.monotonic()
        if now >= self._next.get(record.msg, 0.0):
            self._next[record.msg] = now + _SAME_COMPLAINT_SECONDS
            _log.warning("spans not exported", error=record.getMessage())


Record = Callable[[Span], None]

_recorders: list[Record] = []


def enabled() -> bool:
    """Tell whether spans are wanted; asked before anything is worked out for one."""
    return bool(_recorders)


def record(span: Span) -> None:
    """Hand a finished span over."""
    for one in _recorders:
        one(span)


@contextlib.contextmanager
def step(name: str, parent: str, **facts: str | float | bool) -> Iterator[None]:
    """Make a span of what is done inside, if spans are wanted."""
    if not _recorders:
        yield
        return
    start_ns = time.time_ns()
    try:
        yield
    finally:
        record(Span(name, parent, start_ns, time.time_ns(), facts))


def sampled(given: Mapping[str, str] | None) -> bool:
    """Tell whether a publisher asks for this message to be traced."""
    parent = given.get(headers.TRACE_PARENT) if given is not None else None
    return parent is not None and _flags(parent) & _SAMPLED == _SAMPLED


@contextlib.contextmanager
def exporting(endpoint: str | None, service: str) -> Iterator[None]:
    """Export spans to `<endpoint>/v1/traces` while the context is open; without one, nothing.

    Raises `TracingUnavailableError`.
    """
    if endpoint is None:
        yield
        return
    provider, take = _exporter(endpoint, service)
    _recorders.append(take)
    try:
        yield
    finally:
        _recorders.remove(take)
        provider.force_flush(_FLUSH_MILLISECONDS)
        provider.shutdown()


def _exporter(endpoint: str, service: str) -> tuple[Any, Record]:
    try:
        from opentelemetry import trace as api  # noqa: PLC0415 - an extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise TracingUnavailableError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but {error.name} is not installed: "
            "`pip install 'headrace[tracing]'`"
        ) from error
    complaints = logging.getLogger("opentelemetry")
    complaints.addHandler(_Complaints())
    complaints.setLevel(logging.WARNING)
    complaints.propagate = False
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _TRACES, timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    tracer = provider.get_tracer("headrace")

    def take(span: Span) -> None:
        _, trace_id, span_id, flags = span.parent.split("-")[:4]
        # One that was derived is not marked as sampled; whoever names an endpoint wants it.
        above = api.SpanContext(
            int(trace_id, 16),
            int(span_id, 16),
            is_remote=True,
            trace_flags=api.TraceFlags(int(flags, 16) | _SAMPLED),
        )
        made = tracer.start_span(
            span.name,
            context=api.set_span_in_context(api.NonRecordingSpan(above)),
            start_time=span.start_ns,
            attributes=dict(span.facts),
        )
        made.end(span.end_ns)

    return provider, take


def _flags(parent: str) -> int:
    parts = parent.split("-")
    try:
        return int(parts[3], 16)
    except (IndexError, ValueError):
        return 0
