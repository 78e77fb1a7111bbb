"""Sliding windows against their definition, in any order of arrival."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import Rule
from tests.unit.fraud_detector.payment_facts import (
    HOUR,
    Oracle,
    aggregate,
    paid,
    restored,
    rule,
)

WINDOWS = ("10s", "1m", "90s", "1h", "90m", "1d", "3d", "30d")
OPERATORS = (">=", ">", "<=", "<", "==", "!=")
AMOUNTS = st.sampled_from(["0", "0.000001", "1.5", "2", "10", "99.99", "999999999999.999999"])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    function = draw(st.sampled_from(["count", "sum", "avg", "min", "max", "stddev", "distinct"]))
    fields: dict[str, list[str | None]] = {
        "count": [None, "merchant"],
        "distinct": ["merchant", "country"],
    }
    text = aggregate(
        function,
        draw(st.sampled_from(WINDOWS)),
        draw(st.sampled_from(OPERATORS)),
        draw(st.sampled_from(["0", "1", "2", "2.5", "3", "12", "100.000001"])),
        draw(st.sampled_from(fields.get(function, ["amount"]))),
    )
    text["group_by"] = draw(st.sampled_from([["card"], ["terminal"], ["card", "merchant"]]))
    return rule(text)


@st.composite
def histories(draw: st.DrawFn, window_ms: int, memory_ms: int) -> list[Payment]:
    """In order, however far apart; or in any order, within what no key is dropped for."""
    ordered = draw(st.booleans())
    steps = st.integers(0, window_ms) | st.integers(0, 3) | st.just(window_ms)
    places = st.integers(0, memory_ms - 1) | st.sampled_from([0, window_ms, window_ms - 1])
    found: list[Payment] = []
    at = 0
    for sequence in range(1, draw(st.integers(1, 40)) + 1):
        at = at + draw(steps) // draw(st.sampled_from([1, 4, 20])) if ordered else draw(places)
        found.append(
            paid(
                sequence,
                at,
                draw(AMOUNTS),
                card=draw(st.sampled_from(["a", "b"])),
                currency=draw(st.sampled_from(["EUR", "EUR", "JPY", None])),
                terminal=draw(st.sampled_from(["t", None])),
                merchant=draw(st.sampled_from(["m", "n", "o", None])),
                country=draw(st.sampled_from(["DE", "FR", None])),
            )
        )
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_window_is_what_its_definition_says_whatever_the_order(data: st.DataObject) -> None:
    one = data.draw(rules())
    payments = data.draw(histories(one.window_ms, one.memory_ms))
    board, oracle = Board([one]), Oracle(one)
    for payment in payments:
        seen = oracle.visible(payment)
        findings = board.evaluate(payment)
        assert bool(findings) == (seen is not None and oracle.breaks(seen))
        if findings and seen is not None:
            check(findings[0].observed, oracle, seen)
            if one.aggregate is not None and one.aggregate.function != "distinct":
                assert findings[0].evidence == [one.sequence for one in seen]
            assert findings[0].evidence[-1] == payment.sequence


def check(observed: str, oracle: Oracle, seen: list[Payment]) -> None:
    value = oracle.observed(seen)
    assert value is not None
    if oracle._function == "stddev":  # noqa: SLF001  the oracle gives its square
        got = float(Decimal(observed))
        assert abs(got - float(value) ** 0.5) <= 1e-6 * max(got, 1)
    else:
        expected = Decimal(value.numerator) / Decimal(value.denominator)
        assert abs(Decimal(observed) - expected) <= Decimal("0.000001")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_run_that_was_restored_anywhere_goes_on_like_the_straight_one(
    data: st.DataObject,
) -> None:
    some = [data.draw(rules()) for _ in range(3)]
    kinds = (
        "impossible_travel",
        "first_seen",
        "amount_deviation",
        "small_then_large",
        "declines_then_approval",
        "dormant_then_active",
    )
    named = [
        *(rule({"kind": kind}, kind) for kind in kinds),
        *(
            rule(
                aggregate(
                    one.aggregate.function,
                    "1h",
                    one.limit.operator,
                    str(one.limit.value),
                    one.aggregate.field,
                ),
                f"r{n}",
            )
            for n, one in enumerate(some)
            if one.aggregate is not None and one.limit is not None
        ),
    ]
    span = data.draw(st.sampled_from([HOUR, 40 * 24 * HOUR]))
    payments = data.draw(histories(span, 3 * span))
    straight, broken = Board(named), Board(named)
    for payment in payments:
        if data.draw(st.booleans()):
            broken = restored(broken, named)
        assert straight.evaluate(payment) == broken.evaluate(payment)


def test_a_busy_key_keeps_its_newest_fifty_as_evidence_and_counts_all() -> None:
    board = Board([rule(aggregate("count", "1h", ">=", 1))])
    for sequence in range(1, 1_001):
        (finding,) = board.evaluate(paid(sequence, sequence * 100))
        assert finding.observed == str(sequence)
        assert finding.evidence == list(range(max(1, sequence - 49), sequence + 1))


def test_a_busy_key_keeps_one_row_a_bucket_and_none_beyond_its_reach() -> None:
    names = [("count", None), ("sum", "amount"), ("max", "amount"), ("distinct", "merchant")]
    board = Board(
        [rule(aggregate(name, "2m", "<", 0, field), name) for name, field in names],
    )
    sizes = []
    for sequence in range(1, 20_001):
        board.evaluate(paid(sequence, sequence * 100, merchant=f"m-{sequence % 7}"))
        if sequence % 5_000 == 0:
            sizes.append(sum(len(str(piece)) for piece in board.snapshot()))
    assert max(sizes[1:]) <= 1.3 * sizes[0]
