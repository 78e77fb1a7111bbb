"""The language of `where`: a condition on one payment, parsed, checked and compiled.

    condition  = conjunction { "or" conjunction }
    conjunction= denial { "and" denial }
    denial     = "not" denial | comparison
    comparison = sum [ sign sum | [ "not" ] "in" "[" constant { "," constant } "]" ]
    sign       = "==" | "!=" | "<" | "<=" | ">" | ">="
    sum        = product { ( "+" | "-" ) product }
    product    = signed { "*" signed }
    signed     = "-" signed | constant | name | "(" condition ")"

There are no calls, no loops and no patterns, and the size is bounded: so the time that a
condition takes is, too. Nothing of it is ever handed to Python to evaluate.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.fraud_detector.domain import expression_parts as parts
from services.fraud_detector.domain.expression_parts import Part, Test, Type
from services.fraud_detector.domain.expression_tokens import Token, tokens
from services.fraud_detector.domain.refusal import RuleError

MOST_NODES: Final = 200
DEEPEST: Final = 20
_WORDS: Final = ("and", "or", "not", "in")
_CONSTANTS: Final = {"true": True, "false": False}
_TYPES: Final[dict[Type, str]] = {
    "number": "a number",
    "text": "a text",
    "truth": "a condition",
    "null": "null",
}


class Expression:
    """A condition. `matches` tells whether a payment meets it, `names` what it looks at."""

    __slots__ = ("matches", "names", "text")

    def __init__(self, text: str, matches: Test, names: frozenset[str]) -> None:
        self.text = text
        self.matches = matches
        self.names = names


def parse(text: str) -> Expression:
    """Parse a condition; raises `RuleError` naming the column and what was expected there."""
    parser = _Parser(tokens(text))
    whole = parser.condition()
    end = parser.take()
    if end.kind != "end":
        raise _expected(end, "and, or, or the end")
    if whole.type != "truth":
        raise RuleError(f"column 1: must be a condition, {whole.says} is {_TYPES[whole.type]}")
    return Expression(text, whole.value, frozenset(parser.names))


class _Parser:
    """Recursive descent, one method a rule of the grammar; each returns a typed part."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._place = 0
        self._nodes = 0
        self._depth = 0
        self.names: set[str] = set()

    def condition(self) -> Part:
        here = self._next()
        alternatives = [self._conjunction()]
        while self._has("word", "or"):
            alternatives.append(self._conjunction())
        return self._joined(here, alternatives, "or")

    def take(self) -> Token:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _conjunction(self) -> Part:
        here = self._next()
        needed = [self._denial()]
        while self._has("word", "and"):
            needed.append(self._denial())
        return self._joined(here, needed, "and")

    def _joined(self, here: Token, found: list[Part], word: str) -> Part:
        if len(found) == 1:
            return found[0]
        for part in found:
            _must_be(part, "truth", here, f"each side of {word}")
        self._count(here)
        return parts.either(found) if word == "or" else parts.both(found)

    def _denial(self) -> Part:
        here = self._next()
        if not self._has("word", "not"):
            return self._comparison()
        self._deeper(here)
        part = self._denial()
        self._depth -= 1
        _must_be(part, "truth", here, "what follows not")
        return parts.negation(part)

    def _comparison(self) -> Part:
        here = self._next()
        left = self._sum()
        token = self._next()
        if token.kind == "sign" and token.text in parts.SIGNS:
            self.take()
            self._count(token)
            right = self._sum()
            _must_fit(left, token, right)
            return parts.comparison(left, token.text, right)
        if token.kind == "word" and token.text in ("in", "not"):
            self._count(self.take())
            within = token.text == "in"
            if not within and not self._has("word", "in"):
                raise _expected(self._next(), "in")
            return parts.membership(left, self._list(left, here), within=within)
        return left

    def _list(self, left: Part, here: Token) -> list[object]:
        if left.type not in ("number", "text"):
            raise RuleError(f"column {here.column}: in needs a number or a text on its left")
        self._must("[")
        values: list[object] = []
        while True:
            token = self._next()
            part = self._signed()
            if part.literal is None:
                raise _expected(token, "a number or a text")
            _must_be(part, left.type, token, "a value of this list")
            values.append(part.literal)
            if not self._has("sign", ","):
                break
        self._must("]")
        return values

    def _sum(self) -> Part:
        return self._arithmetic("+-")

    def _product(self) -> Part:
        return self._arithmetic("*")

    def _arithmetic(self, signs: str) -> Part:
        inner = self._signed if signs == "*" else self._product
        here = self._next()
        first = inner()
        rest: list[tuple[str, Part]] = []
        while self._next().kind == "sign" and self._next().text in signs:
            sign = self.take()
            self._count(sign)
            place = self._next()
            rest.append((sign.text, inner()))
            _must_be(rest[-1][1], "number", place, f"each side of {sign.text}")
        if not rest:
            return first
        _must_be(first, "number", here, f"each side of {rest[0][0]}")
        return parts.arithmetic(first, rest)

    def _signed(self) -> Part:
        token = self.take()
        self._count(token)
        if token.kind == "sign" and token.text == "-":
            self._deeper(token)
            part = self._signed()
            self._depth -= 1
            _must_be(part, "number", token, "what follows -")
            return parts.minus(part)
        if token.kind == "sign" and token.text == "(":
            self._deeper(token)
            part = self.condition()
            self._depth -= 1
            self._must(")")
            return part
        return self._atom(token)

    def _atom(self, token: Token) -> Part:
        if token.kind == "number":
            return parts.literal("number", Decimal(token.text), token.text)
        if token.kind == "text":
            return parts.literal("text", token.text, repr(token.text))
        if token.kind != "word" or token.text in _WORDS:
            raise _expected(token, "a value")
        if token.text == "null":
            return parts.literal("null", None, "null")
        if token.text in _CONSTANTS:
            return parts.literal("truth", _CONSTANTS[token.text], token.text)
        part = parts.name(token.text)
        if part is None:
            known = ", ".join(parts.NAMES)
            raise _expected(token, f"one of {known}")
        self.names.add(token.text)
        return part

    def _next(self) -> Token:
        return self._tokens[self._place]

    def _has(self, kind: str, text: str) -> bool:
        token = self._next()
        if token.kind == kind and token.text == text:
            self.take()
            return True
        return False

    def _must(self, sign: str) -> None:
        if not self._has("sign", sign):
            raise _expected(self._next(), sign)

    def _count(self, token: Token) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise RuleError(f"column {token.column}: more than {MOST_NODES} parts")

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise RuleError(f"column {token.column}: nested deeper than {DEEPEST}")


def _expected(token: Token, what: str) -> RuleError:
    return RuleError(f"column {token.column}: expected {what}, found {token}")


def _must_be(part: Part, kind: Type, token: Token, what: str) -> None:
    if part.type != kind:
        raise RuleError(
            f"column {token.column}: {what} must be {_TYPES[kind]},"
            f" {part.says} is {_TYPES[part.type]}"
        )


def _must_fit(left: Part, sign: Token, right: Part) -> None:
    types = {left.type, right.type}
    equality = sign.text in ("==", "!=")
    if (len(types) == 1 or "null" in types) and (equality or types == {"number"}):
        return
    raise RuleError(
        f"column {sign.column}: {sign.text} cannot compare {left.says}, {_TYPES[left.type]},"
        f" with {right.says}, {_TYPES[right.type]}"
    )
