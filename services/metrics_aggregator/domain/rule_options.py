"""Each option of a rule: from what YAML gives to a value of `Rule`, or `ValueError`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from services.metrics_aggregator.domain import outputs, relabeling
from services.metrics_aggregator.domain.bounds import checked_series
from services.metrics_aggregator.domain.durations import Duration, duration
from services.metrics_aggregator.domain.refusal import Refusal
from services.metrics_aggregator.domain.relabeling import Relabel, Relabeling
from services.metrics_aggregator.domain.rules import TELEMETRY, Source
from services.metrics_aggregator.domain.selectors import Selector

Raw = object
Parser = Callable[[Raw], object]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STREAM: Final = re.compile(r"[^\s.*>/\\]{1,255}")
_SUBJECT: Final = re.compile(r">|(?:\*|[^\s.*>]+)(?:\.(?:\*|[^\s.*>]+))*(?:\.>)?")
_PATH: Final = re.compile(r"\.?[^.\s]+(?:\.[^.\s]+)*")
_LONGEST_PATH: Final = 256
_MOST_INTERVALS: Final = 1_000_000


def _text(raw: Raw) -> str:
    if not isinstance(raw, str) or not raw:
        raise ValueError(f"must be text, not {raw!r}")
    return raw


def _flag(raw: Raw) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"must be true or false, not {raw!r}")  # noqa: TRY004  one kind of error
    return raw


def _span(raw: Raw) -> Duration:
    if not isinstance(raw, str):
        raise ValueError(f"must be a duration such as 30s or 1m, not {raw!r}")  # noqa: TRY004  as above
    return duration(raw)


def _number(raw: Raw) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= _MOST_INTERVALS:
        raise ValueError(f"must be a whole number from 0, not {raw!r}")
    return raw


def _texts(raw: Raw) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"must be a list, not {raw!r}")  # noqa: TRY004  as above
    return tuple(_text(entry) for entry in raw)


def _text_or_texts(raw: Raw) -> tuple[str, ...]:
    return (raw,) if isinstance(raw, str) else _texts(raw)


def _selectors(raw: Raw) -> tuple[str, ...]:
    texts = _text_or_texts(raw)
    for text in texts:
        Selector(text)
    return texts


def _names(raw: Raw) -> tuple[str, ...]:
    return tuple(sorted(set(_texts(raw))))


def _outputs(raw: Raw) -> tuple[str, ...]:
    texts = _texts(raw)
    if not texts:
        raise ValueError("must name at least one output")
    for text in texts:
        outputs.check(text)
    kinds = [outputs.kind(text) for text in texts]
    twice = next((one for one in kinds if kinds.count(one) > 1), None)
    if twice:
        raise ValueError(f"{twice} is named twice")
    return texts


def _id(raw: Raw) -> str:
    text = _text(raw)
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} must be 1 to 64 letters, digits, - or _ (it is in subjects)")
    return text


def _window(raw: Raw) -> str:
    if not isinstance(raw, str) or raw not in {"tumbling", "hopping", "session"}:
        raise ValueError(f"must be tumbling, hopping or session, not {raw!r}")
    return raw


def _relabels(raw: Raw) -> tuple[Relabel, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"must be a list, not {raw!r}")  # noqa: TRY004  as above
    steps = []
    for number, entry in enumerate(raw):
        try:
            steps.append(_relabel(entry))
        except ValueError as error:
            raise ValueError(f"[{number}]: {error}") from None
    return tuple(steps)


def _relabel(raw: Raw) -> Relabel:
    if not isinstance(raw, Mapping):
        raise ValueError(f"must be a mapping, not {raw!r}")  # noqa: TRY004  as above
    options = {option: value for option, value in raw.items() if value is not None}
    action = options["action"] = str(options.get("action", "replace")).lower()
    if action == "graphite":
        raise ValueError("action graphite is not done here: metrics carry labels")
    if action not in relabeling.ACTIONS:
        raise ValueError(f"{action!r} is no action")
    if "regex" in options:
        options["regex"] = _regex(options["regex"])
    if "if" in options:
        options["if"] = _selectors(options["if"])
    try:
        step = msgspec.convert(_known(options, Relabel), Relabel)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if fault := relabeling.check(step):
        raise ValueError(fault)
    Relabeling([step])
    return step


def _regex(raw: Raw) -> str:
    """Return the text of a regex, or of a list of them, each of which may match."""
    if isinstance(raw, list):
        return "|".join(_regex(entry) for entry in raw)
    if isinstance(raw, bool):
        return str(raw).lower()
    if raw is None:
        return "null"
    if isinstance(raw, str | int | float):
        return str(raw)
    raise ValueError(f"regex must be text or a list of texts, not {raw!r}")


def _source(raw: Raw) -> Source:
    if raw == TELEMETRY:
        return Source()
    if not isinstance(raw, Mapping):
        raise ValueError(f"must be {TELEMETRY} or a mapping with stream and name, not {raw!r}")  # noqa: TRY004  as above
    options = _known(raw, Source)
    labels = options.get("labels", {})
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels must map a label to a path, not {labels!r}")  # noqa: TRY004  as above
    options["labels"] = sorted((_text(label), _text(path)) for label, path in labels.items())
    try:
        source = msgspec.convert(options, Source)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if not _STREAM.fullmatch(source.stream) or source.stream == TELEMETRY or not source.name:
        raise ValueError("needs the stream of another log, and name, the metric's name")
    if not _SUBJECT.fullmatch(source.subject):
        raise ValueError(f"{source.subject!r} is no subject such as invoices.issued.>")
    try:
        checked_series(source.name, source.labels, "its series")
    except Refusal as refusal:
        raise ValueError(refusal.error) from None
    paths = [source.value, source.time, source.each, *(path for _, path in source.labels)]
    for path in filter(None, paths):
        known = len(path) <= _LONGEST_PATH and _PATH.fullmatch(path)
        if not known or (path[0] == "." and not source.each):
            raise ValueError(f"{path!r} is no path such as totals.gross")
    return source


def _known(raw: Mapping[object, object], struct: type[msgspec.Struct]) -> dict[object, object]:
    known = struct.__struct_encode_fields__
    for option in raw:
        if option not in known:
            raise ValueError(f"{option!r} is no option; there are {', '.join(known)}")
    return dict(raw)


OPTIONS: Final[dict[str, Parser]] = {
    "id": _id,
    "name": _text,
    "match": _selectors,
    "interval": _span,
    "by": _names,
    "without": _names,
    "outputs": _outputs,
    "dedup_interval": _span,
    "staleness_interval": _span,
    "ignore_first_sample_interval": _span,
    "ignore_old_samples": _flag,
    "ignore_first_intervals": _number,
    "keep_metric_names": _flag,
    "drop_input_labels": _names,
    "input_relabel_configs": _relabels,
    "output_relabel_configs": _relabels,
    "from": _source,
    "window": _window,
    "every": _span,
    "gap": _span,
    "grace": _span,
    "allowed_lateness": _span,
}
