"""Rule files: the YAML of VictoriaMetrics' stream aggregation to `Rule`s, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import yaml

from services.metrics_aggregator.domain.durations import Duration
from services.metrics_aggregator.domain.refusal import RuleError
from services.metrics_aggregator.domain.relabeling import Relabel
from services.metrics_aggregator.domain.rule_checks import faults
from services.metrics_aggregator.domain.rule_options import OPTIONS
from services.metrics_aggregator.domain.rule_yaml import read_yaml
from services.metrics_aggregator.domain.rules import (
    Hopping,
    Rule,
    Session,
    Source,
    Tumbling,
    Window,
)

_MOST_RULES: Final = 1_000
_ALWAYS: Final = {"enable_windows": True}
_NEVER: Final = {"no_align_flush_to_interval": False, "flush_on_shutdown": False}
_WHY: Final = {
    "enable_windows": "results are always by windows of event time; leave it out or say true",
    "no_align_flush_to_interval": "windows are always aligned, so that a replay gives the same",
    "flush_on_shutdown": "an open window survives a restart, nothing unfinished is ever emitted",
}


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse a rule file; raises `RuleError` naming the rule (id or position) and the option."""
    raw = read_yaml(text)
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > _MOST_RULES:
        raise RuleError(f"the rule file must be a list of at most {_MOST_RULES} rules")
    rules = tuple(_rule(position, entry) for position, entry in enumerate(raw))
    ids = [rule.id for rule in rules]
    for position, rule in enumerate(rules):
        if ids.index(rule.id) != position:
            raise RuleError(f"rule {position}: id: {rule.id!r} is that of another rule")
    return rules


def render_rules(rules: Sequence[Rule]) -> str:
    """Return a rule file that parses to equal rules."""
    plain = [_plain(rule) for rule in rules]
    return yaml.safe_dump(plain, sort_keys=False, default_flow_style=None)


def _rule(position: int, raw: object) -> Rule:
    if not isinstance(raw, dict):
        raise RuleError(f"rule {position}: must be a mapping, not {raw!r}")
    place = f"rule {raw['id']!r}" if isinstance(raw.get("id"), str) else f"rule {position}"
    values: dict[str, Any] = {"id": str(position)}
    for option, given in raw.items():
        try:
            _take(option, given, values)
        except ValueError as error:
            raise RuleError(f"{place}: {option}: {error}") from None
    try:
        window = _window(values)
        rule = Rule(
            window=window,
            source=values.pop("from", Source()),
            **{key: value for key, value in values.items() if value is not None},
        )
    except (ValueError, TypeError) as error:
        raise RuleError(f"{place}: {error}") from None
    for fault in faults(rule):
        raise RuleError(f"{place}: {fault}")
    return rule


def _take(option: object, given: object, values: dict[str, Any]) -> None:
    if option in _WHY and isinstance(option, str):
        if given is not (_ALWAYS | _NEVER)[option]:
            raise ValueError(f"not done here: {_WHY[option]}")
        return
    parser = OPTIONS.get(option) if isinstance(option, str) else None
    if parser is None or not isinstance(option, str):
        raise ValueError("is no option of a rule")
    if given is not None:
        values[option] = parser(given)


def _window(values: dict[str, Any]) -> Window:
    """Take `window`, `every` and `gap` together, and see to it that there is an interval."""
    shape = values.pop("window", "tumbling")
    every, gap = values.pop("every", None), values.pop("gap", None)
    if every is not None and shape != "hopping":
        raise ValueError("every: is for window hopping")
    if gap is not None and shape != "session":
        raise ValueError("gap: is for window session")
    if shape == "session":
        if gap is None:
            raise ValueError("gap: is missing, window session needs it")
        if "interval" in values:
            raise ValueError("interval: a session has none; gap takes its place, in names too")
        values["interval"] = gap
    for needed in ("interval", "outputs"):
        if needed not in values:
            raise ValueError(f"{needed}: is missing")
    if shape == "hopping":
        if every is None:
            raise ValueError("every: is missing, window hopping needs it")
        return Hopping(every)
    return Session(gap) if shape == "session" else Tumbling()


def _plain(rule: Rule) -> dict[str, object]:
    plain: dict[str, object] = {"id": rule.id}
    for field in msgspec.structs.fields(Rule):
        value = getattr(rule, field.name)
        if field.name in {"id", "window", "source"} or value == field.default:
            continue
        plain[field.name] = _plain_value(value)
    if rule.source != Source():
        plain["from"] = msgspec.to_builtins(rule.source) | {"labels": dict(rule.source.labels)}
    match rule.window:
        case Hopping(every):
            plain |= {"window": "hopping", "every": every.text}
        case Session(gap):
            plain |= {"window": "session", "gap": gap.text}
            del plain["interval"]
    return plain


def _plain_value(value: object) -> object:
    if isinstance(value, Duration):
        return value.text
    if isinstance(value, tuple):
        return [_plain_value(entry) for entry in value]
    if isinstance(value, Relabel):
        return {k: _plain_value(v) for k, v in msgspec.to_builtins(value).items()}
    return value
