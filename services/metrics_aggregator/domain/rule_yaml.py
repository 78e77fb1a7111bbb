"""YAML to plain values, within bounds whatever the text: aliases cannot multiply it.

Keys given twice are refused, as VictoriaMetrics does; anchors, aliases and `<<` are taken.
"""

from __future__ import annotations

from typing import Final

import yaml

from services.metrics_aggregator.domain.refusal import RuleError

_LONGEST: Final = 1_000_000
_DEEPEST: Final = 32
_LONGEST_NUMBER: Final = 40
_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MERGE: Final = "tag:yaml.org,2002:merge"
_UNREADABLE: Final = (
    yaml.YAMLError,
    RecursionError,
    # what PyYAML lets slip where a value is not of its explicit tag, such as `!!bool x`
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)

_Measures = dict[int, tuple[int, int] | None]


def read_yaml(text: str) -> object:
    """Return what the text says, None if nothing; raises `RuleError`, whatever the text."""
    if len(text) > _LONGEST:
        raise RuleError(f"the rule file has more than {_LONGEST} characters")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        value: object = loader.construct_document(node)
    except RuleError:
        raise
    except _UNREADABLE as error:
        raise RuleError(f"no YAML: {' '.join(str(error).split())}") from None
    return value


def _measure(node: yaml.Node, measures: _Measures) -> tuple[int, int]:
    """Return the size of a node with its aliases filled in, and its depth, if both are bearable.

    Without it, a text of a few hundred characters makes a value that fills the memory.
    """
    if id(node) in measures:
        known = measures[id(node)]
        if known is None:
            raise _refusal(node, "an alias that contains itself")
        return known
    measures[id(node)] = None
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node)
        measured = (len(node.value) + 1, 0)
    else:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            inner = [one for pair in node.value for one in pair]
        else:
            inner = node.value
        inside = [_measure(one, measures) for one in inner]
        measured = (
            1 + sum(size for size, _ in inside),
            1 + max((depth for _, depth in inside), default=0),
        )
    if measured[0] > _LONGEST:
        raise _refusal(node, f"more than {_LONGEST} characters, its aliases filled in")
    if measured[1] > _DEEPEST:
        raise _refusal(node, f"more than {_DEEPEST} levels deep")
    measures[id(node)] = measured
    return measured


def _check_scalar(node: yaml.ScalarNode) -> None:
    if "%{" in node.value:
        raise _refusal(node, "%{...}: environment variables are not filled in; write the value")
    if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
        raise _refusal(node, f"a number of more than {_LONGEST_NUMBER} characters")
    if not node.value.isascii():
        node.value.encode()  # a lone surrogate, written as an escape, could never be sent


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refusal(key, "a key must be text")
        if key.tag != _MERGE and (key.tag, key.value) in seen:
            raise _refusal(key, f"{key.value!r} is given twice in one mapping")
        seen.add((key.tag, key.value))


def _refusal(node: yaml.Node, words: str) -> RuleError:
    return RuleError(f"line {node.start_mark.line + 1}: {words}")
