"""Dead letters of the log side: outputs of the fold, committed once with everything else.

They are stored in `METRICS` as `metrics-dead.<reason>`; `DEAD_LETTERS` takes them over from
there as `dead.metrics_aggregator.<reason>`.
"""

from __future__ import annotations

from services.metrics_aggregator.topology import DEAD_PREFIX, SAMPLE_PREFIX, TELEMETRY
from shared.contracts.telemetry import TELEMETRY_PREFIX
from shared.letters import Origin, about
from shared.log_stream.fold import Event, Output
from shared.work_queue.outcome import Reason


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
    origin = Origin(stream, _published(event.subject), event.sequence, event.arrival)
    return Output(f"{prefix}.{reason}", event.data, about(event.headers, origin, reason, error))


def _published(subject: str) -> str:
    """Return the subject that the publisher used."""
    if subject.startswith(SAMPLE_PREFIX):
        return f"{TELEMETRY_PREFIX}.{subject[len(SAMPLE_PREFIX) :]}"
    return subject
