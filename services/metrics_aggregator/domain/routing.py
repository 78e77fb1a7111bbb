"""From a series to the groups that it feeds: matching, relabeling, grouping, once a series."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from services.metrics_aggregator.domain.aggregate import RuleAggregate
from services.metrics_aggregator.domain.relabeling import Labels, Relabeling
from services.metrics_aggregator.domain.rules import Rule
from services.metrics_aggregator.domain.selectors import NAME, Selector
from services.metrics_aggregator.domain.series import Series, series_with_name


class Route(Struct, frozen=True, gc=False):
    """Where a series' samples go for one rule: `key` is the group's.

    `member` is 0 where the rule's aggregate adds plain values, else it goes into the points
    `(time_ms, value, member)`.
    """

    rule: int
    key: str
    member: int


class _Compiled:
    __slots__ = ("_by", "_drop", "_grouped", "_position", "_relabeling", "_selectors", "_without")

    def __init__(self, position: int, rule: Rule) -> None:
        self._position = position
        self._selectors = [Selector(text) for text in rule.match]
        self._drop = frozenset(rule.drop_input_labels)
        self._relabeling = Relabeling(rule.input_relabel_configs)
        self._by = frozenset((NAME, *rule.by))
        self._without = frozenset(rule.without)
        self._grouped = bool(rule.by or rule.without)

    def route(self, labels: Labels, *, pointed: bool) -> Route | None:
        if self._selectors and not any(one.matches(labels) for one in self._selectors):
            return None
        kept = {name: value for name, value in labels.items() if name not in self._drop}
        relabeled = self._relabeling.apply(kept)
        if relabeled is None:
            return None
        member = series_with_name(relabeled).member if pointed else 0
        return Route(self._position, series_with_name(self._group(relabeled)).key, member)

    def _group(self, labels: Labels) -> Labels:
        if not self._grouped:
            return labels
        if self._without:
            return {name: labels[name] for name in labels if name not in self._without}
        return {name: labels[name] for name in labels if name in self._by}


class Router:
    """Routes of every series for a list of rules; `Route.rule` is the place in the list.

    Answers are kept for the latest `limit` series: the hot path is one look-up a sample.
    """

    __slots__ = ("_known", "_limit", "_rules")

    def __init__(self, rules: Sequence[Rule], limit: int = 1_000_000) -> None:
        self._rules = [
            (_Compiled(position, rule), RuleAggregate(rule).pointed)
            for position, rule in enumerate(rules)
        ]
        self._known: dict[str, tuple[Route, ...]] = {}
        self._limit = limit

    def routes(self, series: Series) -> tuple[Route, ...]:
        """Return where the samples of a series go; none if no rule takes it."""
        known = self._known.get(series.key)
        if known is None:
            known = self._remember(series)
        return known

    def _remember(self, series: Series) -> tuple[Route, ...]:
        if len(self._known) >= self._limit:
            for key in list(self._known)[: self._limit // 8 + 1]:
                del self._known[key]
        labels = series.with_name()
        found = (rule.route(labels, pointed=pointed) for rule, pointed in self._rules)
        routes = tuple(route for route in found if route is not None)
        self._known[series.key] = routes
        return routes
