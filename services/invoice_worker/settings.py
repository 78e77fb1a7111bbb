"""Settings of the invoice worker: its environment variables, their bounds and defaults."""

from __future__ import annotations

import os
from typing import Annotated

from msgspec import Meta, Struct, field

from shared.settings import ProcessSettings


class QueueSettings(Struct, frozen=True):
    """What settings decide of streams and durables."""

    max_messages: Annotated[int, Meta(ge=1)] = field(
        default=1_000_000, name="INVOICE_QUEUE_MAX_MESSAGES"
    )
    ack_wait_seconds: Annotated[float, Meta(ge=1, le=3600)] = field(
        default=30.0, name="INVOICE_ACK_WAIT_SECONDS"
    )


class InvoiceSettings(Struct, frozen=True):
    """All settings of the service."""

    process: ProcessSettings
    queue: QueueSettings
    sellers: str | None = field(default=None, name="INVOICE_SELLERS")
    """File of seller profiles (TOML); without one there is the seller `demo`."""
    concurrency: Annotated[int, Meta(ge=1, le=5000)] = field(
        default=400, name="INVOICE_CONCURRENCY"
    )
    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = field(
        default=5, name="INVOICE_MAX_ATTEMPTS"
    )
    handler_timeout_seconds: Annotated[float, Meta(gt=0)] = field(
        default=30.0, name="INVOICE_HANDLER_TIMEOUT_SECONDS"
    )
    retry_first_seconds: Annotated[float, Meta(gt=0)] = field(
        default=1.0, name="INVOICE_RETRY_FIRST_SECONDS"
    )
    group_commit: Annotated[int, Meta(ge=1, le=400)] = field(
        default=200, name="INVOICE_GROUP_COMMIT"
    )
    """Invoices that one batch may commit; 1 turns group commit off."""
    render_processes: Annotated[int, Meta(ge=0, le=64)] = field(
        default=max(1, (os.cpu_count() or 2) - 1), name="INVOICE_RENDER_PROCESSES"
    )
    """Processes that render documents; 0 leaves rendering to other instances."""
    stop_deadline_seconds: Annotated[float, Meta(ge=3, le=600)] = field(
        default=25.0, name="INVOICE_STOP_DEADLINE_SECONDS"
    )
