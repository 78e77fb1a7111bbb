"""The board: groups, currencies, changes of rules, keys that are forgotten."""

from __future__ import annotations

from services.fraud_detector.domain.detectors import Board
from tests.unit.fraud_detector.payment_facts import (
    DAY,
    HOUR,
    MINUTE,
    aggregate,
    broken,
    paid,
    restored,
    rule,
)

PAIR = aggregate("count", "1h", ">=", 2)


def test_findings_come_in_the_order_of_the_rules_ids() -> None:
    texts = {
        "c": PAIR | {"group_by": ["terminal"]},
        "b": aggregate("sum", "1h", ">=", 20, "amount"),
        "a": PAIR | {"group_by": ["card", "country"]},
        "d": PAIR,
    }
    board = Board([rule(text, key) for key, text in texts.items()])
    made = [paid(n, n, terminal="t", country="DE") for n in (1, 2)]
    assert broken(board, made) == [(2, "a"), (2, "b"), (2, "c"), (2, "d")]


def test_a_finding_says_what_when_and_why() -> None:
    board = Board([rule(PAIR, "velocity-1h")])
    board.evaluate(paid(101, 0, card="card-17"))
    (finding,) = board.evaluate(paid(117, 10 * MINUTE, card="card-17"))
    assert finding.rule.id == "velocity-1h"
    assert (finding.observed, finding.limit, finding.evidence) == ("2", ">= 2", [101, 117])
    assert finding.window == (1_790_000_000_000 - 50 * MINUTE + 1_000, 1_790_000_600_000)
    assert finding.explanation == "2 payments of card-17 within 1h (limit >= 2)"


def test_euros_and_yen_are_no_sum() -> None:
    board = Board([rule(aggregate("sum", "1h", ">=", 1000, "amount"))])
    made = [
        paid(1, 1, "600"),
        paid(2, 2, "600", currency="JPY"),
        paid(3, 3, "600", currency=None),
        paid(4, 4, "400"),
    ]
    assert broken(board, made) == [(4, "r")]


def test_a_payment_without_the_groups_field_does_not_concern_the_rule() -> None:
    board = Board([rule(PAIR | {"group_by": ["card", "device"]})])
    assert broken(board, [paid(n, n) for n in range(3)]) == []
    assert broken(board, [paid(n, n, device="d") for n in range(3)]) == [(1, "r"), (2, "r")]
    assert board.keys() == 1


def test_a_board_holds_only_its_own_keys() -> None:
    board = Board(
        [rule(PAIR | {"group_by": ["terminal"]}), rule(PAIR | {"group_by": ["card", "ip"]}, "s")],
        lambda key: key in ("mine", "c\x1f::1"),
    )
    made = [paid(n, n, terminal=("mine", "other")[n % 2], ip="::1") for n in range(4)]
    assert broken(board, made) == [(1, "s"), (2, "r"), (2, "s"), (3, "s")]
    assert board.keys() == 2


def test_paused_and_deleted_rules_are_out_and_shadow_ones_in() -> None:
    states = ("active", "shadow", "paused", "deleted")
    board = Board([rule(PAIR | {"state": state}, state) for state in states])
    assert broken(board, [paid(1, 1), paid(2, 2)]) == [(2, "active"), (2, "shadow")]


def test_another_limit_keeps_the_state_and_another_window_does_not() -> None:
    other = rule(aggregate("sum", "1h", ">=", 20, "amount"), "other")
    board = Board([rule(PAIR), other])
    board.evaluate(paid(1, 1))
    three = rule(aggregate("count", "1h", ">=", 3) | {"version": 2, "action": "block"})
    assert board.use([three, other]) == []
    assert broken(board, [paid(2, 2), paid(3, 3)]) == [(2, "other"), (3, "other"), (3, "r")]
    wider = rule(aggregate("count", "2h", ">=", 2))
    assert board.use([wider]) == [wider]
    assert broken(board, [paid(4, 4), paid(5, 5)]) == [(5, "r")]


def test_a_new_rule_is_warmed_alone() -> None:
    old, new = rule(PAIR, "old"), rule(aggregate("count", "2h", ">=", 3), "new")
    board = Board([old])
    history = [paid(n, n) for n in (1, 2)]
    for payment in history:
        board.evaluate(payment)
    assert board.use([old, new]) == [new]
    for payment in history:
        board.take(payment, ["new"])
    found = board.evaluate(paid(3, 3))
    assert [(one.rule.id, one.observed) for one in found] == [("new", "3"), ("old", "3")]
    assert board.evaluate(paid(4, 4))[1].evidence == [1, 2, 3, 4]


def test_idle_keys_are_dropped_and_a_restored_board_drops_the_same() -> None:
    rules = [rule(PAIR), rule({"kind": "first_seen", "parameters": {"memory": "2h"}}, "f")]
    board = Board(rules)
    for n in range(1_000):
        board.evaluate(paid(n, n, card=f"card-{n}", country="DE"))
    again = restored(board, rules)
    for n in range(24):
        made = paid(2_000 + n, n * HOUR, card="busy", country="DE")
        assert board.evaluate(made) == again.evaluate(made)
        assert board.keys() == again.keys()
        assert list(board.snapshot()) == list(again.snapshot())
    assert board.keys() == 1


def test_what_is_dropped_was_out_of_every_window() -> None:
    rules = [rule(aggregate("count", "1d", ">=", 2))]
    for late in (0, 1, HOUR, DAY - MINUTE):
        board = Board(rules)
        board.evaluate(paid(1, late))
        for n in range(30):
            board.evaluate(paid(10 + n, late + n * DAY // 30, card="busy"))
        assert broken(board, [paid(2, late + DAY - MINUTE)]) == [(2, "r")]


def test_a_longer_memory_is_not_cut_short_by_the_turn_that_was_planned() -> None:
    short = rule(aggregate("count", "10s", ">=", 2), "short")
    long = rule(aggregate("count", "1d", ">=", 2), "long")
    board = Board([short])
    board.evaluate(paid(1, 0, card="busy"))
    board.use([short, long])
    board.evaluate(paid(2, 1_000))
    for n in range(100):
        board.evaluate(paid(10 + n, 1_000 + n * 800_000, card="busy"))
    assert broken(board, [paid(3, 80_000_000)]) == [(3, "long")]
