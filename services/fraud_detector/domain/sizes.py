"""About how much memory the states of a board take: an estimate from a sample of its keys."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from msgspec.structs import astuple

from services.fraud_detector.domain.tables import Table

_SAMPLE: Final = 200
_ENTRY: Final = 100
_SMALL: Final = 256


def estimated_bytes(tables: Iterable[Table]) -> tuple[int, float]:
    """Return how many states there are, and about how many bytes all keys and states take."""
    entries, size = 0.0, 0.0
    for table in tables:
        seen = list(islice(table.records(), _SAMPLE))
        if not seen:
            continue
        share = len(table) / len(seen)
        entries += share * sum(state is not None for *_, record in seen for state in record[1:])
        size += share * sum(_ENTRY + _bytes(key) + _bytes(record[1:]) for _, key, record in seen)
    return round(entries), size


def _bytes(value: Any) -> int:  # noqa: ANN401  whatever a state holds
    if value is None or isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return 0 if -_SMALL < value <= _SMALL else sys.getsizeof(value)
    size = sys.getsizeof(value)
    if isinstance(value, list | tuple):
        return size + sum(map(_bytes, value))
    if isinstance(value, dict):
        return size + sum(_bytes(key) + _bytes(inner) for key, inner in value.items())
    if hasattr(value, "__struct_fields__"):
        return size + sum(map(_bytes, astuple(value)))
    return size
