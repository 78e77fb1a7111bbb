"""What a database makes of payments: which of them break an aggregate rule.

The table `payments` has `sequence`, `time_ms`, `amount`, `micros` and the fields that rules group
by. It knows of the detector only what docs/fraud-rules.md says of windows.
"""

from __future__ import annotations

import duckdb

from services.fraud_detector.domain.durations import Span
from services.fraud_detector.domain.frames import frame

Wanted = tuple[str, str | None, str, str, str, str]
"""Function, field, window, operator, limit, groups."""

SQL = {
    "count": "count({field})",
    "sum": "sum(amount)",
    "avg": "sum(amount) / count(*)",
    "min": "min(amount)",
    "max": "max(amount)",
    "stddev": "count(*) * sum(micros * micros) - sum(micros) * sum(micros)",
    "distinct": "count(distinct {field})",
}
MONEY = ("sum", "avg", "min", "max", "stddev")


def found_by(database: duckdb.DuckDBPyConnection, wanted: Wanted) -> list[int]:
    """Return which payments break a rule: those before each in its buckets, and itself."""
    function, field, length, operator, value, group_by = wanted
    window = frame(Span(length).ms)
    keys = [key.strip() for key in group_by.split(",")]
    if function in MONEY:
        keys.append("currency")
    same = " and ".join(f"one.{key} is not distinct from seen.{key}" for key in keys)
    present = [key for key in (*keys, field) if key not in (None, "currency", "amount")]
    there = " and ".join(f"{key} is not null" for key in present)
    limit = value
    if function == "stddev":
        limit = f"{value} * {value} * 1000000::hugeint * 1000000 * count(*) * (count(*) - 1)"
    shown = SQL[function].format(field=f"seen.{field}" if field else "*")
    if function == "avg":
        shown, limit = "sum(amount)", f"{value} * count(*)"
    shown = shown.replace("amount", "seen.amount").replace("micros", "seen.micros")
    least = "count(*) > 1 and " if function == "stddev" else ""
    query = f"""
        with buckets as (
            select *, time_ms // {window.bucket_ms} as bucket from payments where {there}
        )
        select one.sequence from buckets one join buckets seen on {same}
            and seen.bucket between one.bucket - {window.buckets} + 1 and one.bucket
            and seen.sequence <= one.sequence
        group by one.sequence
        having {least}{shown} {"=" if operator == "==" else operator} {limit}
        order by one.sequence
    """
    return [sequence for (sequence,) in database.execute(query).fetchall()]
