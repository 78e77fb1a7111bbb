"""Relabeling as in VictoriaMetrics (lib/promrelabel): steps that change a series' labels.

All its actions but `graphite`, which is refused by name. Labels are a dict in which the
metric's name is `__name__`; after the last step labels with an empty value are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, get_args

import xxhash
from msgspec import Struct

from services.metrics_aggregator.domain.patterns import Pattern
from services.metrics_aggregator.domain.selectors import NAME, Selector

Action = Literal[
    "replace",
    "replace_all",
    "keep",
    "drop",
    "keep_if_contains",
    "drop_if_contains",
    "keep_if_equal",
    "drop_if_equal",
    "keepequal",
    "dropequal",
    "keep_metrics",
    "drop_metrics",
    "hashmod",
    "labelmap",
    "labelmap_all",
    "labeldrop",
    "labelkeep",
    "uppercase",
    "lowercase",
]

Labels = dict[str, str]
_Action = Callable[["_Step", Labels, str], Labels | None]

ANYTHING: Final = ".*"
_REFERENCE: Final = re.compile(r"\{\{([^{}]*)\}\}")
_NEED_SOURCES: Final = frozenset(
    {"replace_all", "keep", "drop", "hashmod", "uppercase", "lowercase"}
    | {"keep_if_contains", "drop_if_contains"}
)
_NEED_TARGET: Final = frozenset(
    {"replace", "replace_all", "hashmod", "uppercase", "lowercase", "keepequal", "dropequal"}
    | {"keep_if_contains", "drop_if_contains"}
)
_NO_REGEX: Final = frozenset(
    {"keep_if_contains", "drop_if_contains", "keep_if_equal", "drop_if_equal"}
    | {"keepequal", "dropequal"}
)
_COMPARE: Final = frozenset({"keep_if_equal", "drop_if_equal"})
_TWO: Final = 2
_METRICS: Final = {"keep_metrics": "keep", "drop_metrics": "drop"}


class Relabel(Struct, frozen=True, omit_defaults=True, rename={"only_if": "if"}):
    """One step as written; `regex` is several joined by `|` where a list was given."""

    action: Action = "replace"
    only_if: tuple[str, ...] = ()
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    target_label: str = ""
    regex: str = ANYTHING
    modulus: int = 0
    replacement: str = "$1"


def check(step: Relabel) -> str | None:
    """Return what is wrong with a step, or None."""
    return next((f"action {step.action} {words}" for words in _faults(step)), None)


def _faults(step: Relabel) -> Iterator[str]:
    action, sources = step.action, step.source_labels
    by_selector = bool(step.only_if) and action in {"keep", "drop"}
    if action in _NEED_SOURCES and not sources and not by_selector:
        yield "needs source_labels"
    if action in _NEED_TARGET and not step.target_label:
        yield "needs target_label"
    if action in _NO_REGEX and step.regex != ANYTHING:
        yield "takes no regex"
    if action == "hashmod" and step.modulus < 1:
        yield "needs a modulus above 0"
    if action in _METRICS and sources:
        yield "takes no source_labels"
    if action in _METRICS and step.regex == ANYTHING and not step.only_if:
        yield "needs a regex"
    if action in _COMPARE and len(sources) < _TWO:
        yield "needs two source_labels"
    if action in _COMPARE and step.target_label:
        yield "takes no target_label"


class Relabeling:
    """Compiled steps."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Sequence[Relabel]) -> None:
        """Compile checked steps; raises `ValueError` for a bad regex or selector."""
        self._steps = tuple(_Step(step) for step in steps)

    def apply(self, labels: Labels) -> Labels | None:
        """Return the labels after all steps (the argument may be changed), None if dropped."""
        for step in self._steps:
            kept = step.apply(labels)
            if not kept:
                return None
            labels = kept
        return {name: value for name, value in labels.items() if name and value} or None


class _Step:
    __slots__ = ("_action", "_if", "config", "has_regex", "name", "pattern", "sources")

    def __init__(self, config: Relabel) -> None:
        self.config = config
        self.name = _METRICS.get(config.action, config.action)
        self.has_regex = config.regex != ANYTHING
        self.pattern = Pattern(
            config.regex if config.action.endswith("_all") or self.has_regex else "(.*)"
        )
        self.sources = (NAME,) if config.action in _METRICS else config.source_labels
        self._if = tuple(Selector(text) for text in config.only_if)
        self._action = _ACTIONS[self.name]

    def apply(self, labels: Labels) -> Labels | None:
        if self._if and not any(selector.matches(labels) for selector in self._if):
            return None if self.name == "keep" else labels
        source = self.config.separator.join(labels.get(name, "") for name in self.sources)
        return self._action(self, labels, source)


def _replace(step: _Step, labels: Labels, source: str) -> Labels:
    template = _REFERENCE.sub(
        lambda reference: labels.get(reference[1], ""), step.config.replacement
    )
    value = step.pattern.expand(source, template)
    if value is None:
        return labels
    target = step.pattern.expand(source, step.config.target_label)
    return {**labels, target or "": value}


def _replace_all(step: _Step, labels: Labels, source: str) -> Labels:
    value = step.pattern.replace_all(source, step.config.replacement)
    return labels if value == source else {**labels, step.config.target_label: value}


def _keep(step: _Step, labels: Labels, source: str) -> Labels | None:
    return labels if not step.has_regex or step.pattern.matches(source) else None


def _drop(step: _Step, labels: Labels, source: str) -> Labels | None:
    return None if not step.has_regex or step.pattern.matches(source) else labels


def _contained(step: _Step, labels: Labels) -> bool:
    whole = labels.get(step.config.target_label, "")
    return all(labels.get(name, "") in whole for name in step.sources)


def _equal(step: _Step, labels: Labels) -> bool:
    return len({labels.get(name, "") for name in step.sources}) == 1


def _hashmod(step: _Step, labels: Labels, source: str) -> Labels:
    value = xxhash.xxh64_intdigest(source.encode()) % step.config.modulus
    return {**labels, step.config.target_label: str(value)}


def _labelmap(step: _Step, labels: Labels, _source: str) -> Labels:
    mapped = dict(labels)
    for name, value in labels.items():
        renamed = step.pattern.expand(name, step.config.replacement)
        if renamed is not None and renamed != name:
            mapped[renamed] = value
    return mapped


def _labelmap_all(step: _Step, labels: Labels, _source: str) -> Labels:
    return {
        step.pattern.replace_all(name, step.config.replacement): value
        for name, value in labels.items()
    }


def _case(change: Callable[[str], str]) -> _Action:
    return lambda step, labels, source: {**labels, step.config.target_label: change(source)}


def _test(passes: Callable[[_Step, Labels, str], bool], *, keep: bool) -> _Action:
    return lambda step, labels, source: labels if passes(step, labels, source) == keep else None


_ACTIONS: Final[dict[str, _Action]] = {
    "replace": _replace,
    "replace_all": _replace_all,
    "keep": _keep,
    "drop": _drop,
    "keep_if_contains": _test(lambda s, labels, _: _contained(s, labels), keep=True),
    "drop_if_contains": _test(lambda s, labels, _: _contained(s, labels), keep=False),
    "keep_if_equal": _test(lambda s, labels, _: _equal(s, labels), keep=True),
    "drop_if_equal": _test(lambda s, labels, _: _equal(s, labels), keep=False),
    "keepequal": _test(lambda s, lb, src: lb.get(s.config.target_label, "") == src, keep=True),
    "dropequal": _test(lambda s, lb, src: lb.get(s.config.target_label, "") == src, keep=False),
    "hashmod": _hashmod,
    "labelmap": _labelmap,
    "labelmap_all": _labelmap_all,
    "labeldrop": lambda s, labels, _: {n: v for n, v in labels.items() if not s.pattern.matches(n)},
    "labelkeep": lambda s, labels, _: {n: v for n, v in labels.items() if s.pattern.matches(n)},
    "uppercase": _case(str.upper),
    "lowercase": _case(str.lower),
}

ACTIONS: Final = frozenset(get_args(Action))
