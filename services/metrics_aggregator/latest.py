"""The latest final result of each series, one message each: a projection of `METRICS`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import xxhash

from services.metrics_aggregator.topology import LATEST_PREFIX
from shared.contracts.telemetry import MetricResult, metric_tokens
from shared.log_stream.fold import Event, Output

_KEPT_MS: Final = 7 * 86_400_000
"""A series without results is forgotten after so long, as the stream drops its message then."""

_CHUNK: Final = 2_000
_LONGEST_TOKEN: Final = 200
_UNSAFE: Final = re.compile(r"[\s%.*>,=\x00-\x1f\x7f]")
_MILLISECOND: Final = 1_000_000
_decoder: Final = msgspec.json.Decoder(MetricResult)


class LatestFold:
    """Passes a result on unless one of a later window has been there: corrections come late."""

    schema = 1

    def __init__(self) -> None:
        self._ends: dict[str, list[Any]] = {}
        """By subject: end of the latest window, arrival of its result; longest silent first."""

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in a result."""
        arrival_ms = event.arrival_ns // _MILLISECOND
        self._forget(arrival_ms - _KEPT_MS)
        try:
            result = _decoder.decode(event.data)
        except msgspec.DecodeError:  # a stranger's; nobody has asked for it
            return ()
        subject = latest_subject(result)
        # Without the Z, times that differ in decimals compare as they should.
        end = result.end.removesuffix("Z")
        known = self._ends.pop(subject, None)
        if known is not None and known[0] > end:
            self._ends[subject] = known
            return ()
        self._ends[subject] = [end, arrival_ms]
        return (Output(subject, event.data),) if result.final else ()

    def open_windows(self) -> int:
        """Return 0: nothing waits for time."""
        return 0

    def keys(self) -> int:
        """Return how many series there are."""
        return len(self._ends)

    def numbers(self) -> Mapping[str, float]:
        """Return how many series there are."""
        return {"series": float(len(self._ends))}

    def snapshot(self) -> Iterator[object]:
        """Yield what is known, in slices."""
        rest = iter(self._ends.items())
        while some := list(islice(rest, _CHUNK)):
            yield some

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the state by that of a snapshot."""
        for piece in pieces:
            self._ends.update(msgspec.msgpack.decode(piece, type=list[tuple[str, list[Any]]]))

    def _forget(self, before_ms: int) -> None:
        stale = []
        for subject, (_, arrival_ms) in self._ends.items():
            if arrival_ms >= before_ms:
                break
            stale.append(subject)
        for subject in stale:
            del self._ends[subject]


def latest_subject(result: MetricResult) -> str:
    """Return `latest.<rule>.<metric>.<labels>`: `host=a,route=%2Fpay`, or `-` without labels.

    What a token cannot hold, `,` and `=` too, is written as in URLs; more than 200 characters
    of labels are replaced by 16 hexadecimal digits (xxh64).
    """
    labels = ",".join(f"{_safe(name)}={_safe(value)}" for name, value in result.labels.items())
    if len(labels) > _LONGEST_TOKEN:
        labels = xxhash.xxh64_hexdigest(labels.encode())
    return f"{LATEST_PREFIX}.{result.rule}.{metric_tokens(result.metric)}.{labels or '-'}"


def _safe(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)
