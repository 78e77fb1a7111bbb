"""Keyed state by window: add events, close windows, correct what is closed already.

Three values that know nothing of one another are put together here: the windower says which
spans an event is in, the aggregate what is kept for each, and the watermark (an argument) how
far time has come. The caller's part, for each event and in this order:

    watermark.observe(time_ms, arrival_ns)
    if watermark.value_ms >= windows.due_ms:
        for closed in windows.close(watermark.value_ms): ...
    emission = windows.add(key, time_ms, value, watermark.value_ms)
"""

from __future__ import annotations

from typing import TypeVar

from shared.log_stream.fixed_windows import FixedWindows
from shared.log_stream.session_windows import SessionWindows
from shared.log_stream.window_results import Aggregate, Chunk, Closed, Emission, Windowed
from shared.log_stream.windows import Session, Windower

__all__ = ["Aggregate", "Chunk", "Closed", "Emission", "Windowed", "windowed"]

S = TypeVar("S")
V = TypeVar("V")


def windowed(
    windower: Windower, aggregate: Aggregate[S, V], allowed_lateness_ms: int = 0
) -> Windowed[S, V]:
    """Return the windows of a partition, none of them open yet."""
    if isinstance(windower, Session):
        return SessionWindows(windower, aggregate, allowed_lateness_ms)
    return FixedWindows(windower, aggregate, allowed_lateness_ms)
