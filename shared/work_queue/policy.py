"""How a worker works: the values that a service's settings give the engine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.work_queue.backoff import Backoff


class WorkerPolicy(Struct, frozen=True):
    """Values of one worker.

    `prefetch` jobs beyond `concurrency` are taken from the server before a slot is free: more
    of them is faster for jobs of milliseconds, none is fairer for jobs of seconds.
    With `confirmed_acks` every settlement is repeated until the server has confirmed it; a
    service whose effects recognise a repeated job by themselves may do without.
    """

    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 100
    prefetch: Annotated[int, Meta(ge=0, le=10_000)] = 0
    max_attempts: Annotated[int, Meta(ge=1)] = 5
    handler_timeout_seconds: Annotated[float, Meta(gt=0)] = 30.0
    backoff: Backoff = Backoff()
    confirmed_acks: bool = True
