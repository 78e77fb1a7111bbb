"""A payment as rules and model see it: read, checked, placed in the log."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class Payment(Struct, gc=False, eq=False):
    """One payment; what its publisher left out is None, but for what the log knows.

    `sequence` is its place in `PAYMENTS`, `time_ms` its event time in milliseconds since the
    epoch, `micros` its amount in millionths, exact. `late`: older than the watermark when it
    came. `score` is the model's, in [0, 1], where there is one.
    """

    sequence: int
    card: str
    payment_id: str
    time_ms: int
    amount: Decimal
    micros: int
    currency: str | None = None
    terminal: str | None = None
    merchant: str | None = None
    mcc: str | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    channel: str | None = None
    ip: str | None = None
    device: str | None = None
    declined: bool = False
    late: bool = False
    score: float | None = None


class Label(Struct, gc=False, eq=False, frozen=True):
    """What became known of a payment; `time_ms` is when, in milliseconds since the epoch."""

    sequence: int
    card: str
    payment_id: str
    time_ms: int
    fraud: bool
