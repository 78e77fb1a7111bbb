"""Dead letters of the log side: outputs of the fold, committed once with everything else.

They are stored in `METRICS` as `metrics-dead.<reason>`; `DEAD_LETTERS` takes them over from
there as `dead.metrics_aggregator.<reason>`.
"""

from __future__ import annotations

import datetime as dt

from services.metrics_aggregator.topology import DEAD_PREFIX, SAMPLE_PREFIX, TELEMETRY
from shared.contracts import headers
from shared.contracts.telemetry import TELEMETRY_PREFIX
from shared.log_stream.fold import Event, Output
from shared.work_queue.outcome import Reason
from shared.work_queue.park import one_line


def dead_letter(
    event: Event,
    reason: Reason,
    error: str,
    stream: str = TELEMETRY.name,
    prefix: str = DEAD_PREFIX,
) -> Output:
    """Return the letter of an event: body and headers as they were, with reason and origin.

    `stream` is where the event lies, `prefix` what the target has for dead letters.
    """
    arrival = dt.datetime.fromtimestamp(event.arrival_ns // 1_000_000_000, dt.UTC)
    about = {
        **headers.without_instructions(event.headers),
        headers.DEAD_REASON: reason,
        headers.DEAD_ERROR: one_line(error),
        headers.DEAD_ATTEMPTS: "1",
        headers.DEAD_STREAM: stream,
        headers.DEAD_SUBJECT: _published(event.subject),
        headers.DEAD_SEQUENCE: str(event.sequence),
        headers.DEAD_TIME: arrival.isoformat().replace("+00:00", "Z"),
    }
    if event.headers and (message_id := event.headers.get(headers.MESSAGE_ID)):
        about[headers.DEAD_ID] = message_id
    return Output(f"{prefix}.{reason}", event.data, about)


def _published(subject: str) -> str:
    """Return the subject that the publisher used."""
    if subject.startswith(SAMPLE_PREFIX):
        return f"{TELEMETRY_PREFIX}.{subject[len(SAMPLE_PREFIX) :]}"
    return subject
