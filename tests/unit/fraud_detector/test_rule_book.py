"""Rules as the log tells them: newer revisions count, whatever the order and however often."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from services.fraud_detector.domain.refusal import RuleError
from services.fraud_detector.rule_book import Change, Entry, RuleBook, encoded, fixed

RULE = {"aggregate": {"function": "count"}, "window": "1h", "limit": {"operator": ">=", "value": 5}}


def entry(key: str, revision: int, **changes: object) -> Entry:
    return Entry(key, revision, json.dumps(RULE | changes))


def versions(book: RuleBook) -> dict[str, int]:
    return {rule.id: rule.version for rule in book.rules}


def test_changes_in_any_order_and_any_number_of_times_give_the_newest() -> None:
    entries = [entry("a", 1), entry("b", 2), entry("a", 3), Entry("b", 4, None), entry("c", 5)]
    chance = random.Random(1)
    for _ in range(50):
        book = RuleBook("")
        said = entries * 2
        chance.shuffle(said)
        for one in said:
            book.change(Change((one,), bucket=7))
        assert versions(book) == {"a": 3, "c": 5}
        assert book.lacks(Change(tuple(entries), bucket=7)) is None


def test_a_bad_rule_leaves_the_one_before_and_is_refused_once() -> None:
    book = RuleBook(encoded(Change((entry("a", 1),), bucket=7)).decode())
    bad = Change((entry("a", 2, window="never"),), bucket=7)
    (refused,) = book.change(bad)
    assert "window" in refused.why
    assert versions(book) == {"a": 1}
    assert book.change(bad) == []
    assert book.lacks(bad) is None


def test_a_bucket_made_anew_replaces_all_and_an_older_one_nothing() -> None:
    book = RuleBook(encoded(Change((entry("a", 40), entry("b", 41)), bucket=7)).decode())
    new = Change((entry("b", 1),), bucket=8)
    assert book.lacks(new) == new
    book.change(new)
    assert versions(book) == {"b": 1}
    old = Change((entry("a", 50),), bucket=7)
    assert book.lacks(old) is None
    book.change(old)
    assert versions(book) == {"b": 1}


def test_paused_and_deleted_rules_are_known_and_not_run() -> None:
    entries = (entry("a", 1, state="paused"), entry("b", 2, state="shadow"))
    book = RuleBook(encoded(Change(entries, bucket=7)).decode())
    assert versions(book) == {"b": 2}
    assert book.lacks(Change(entries, bucket=7)) is None


def test_a_restored_book_is_the_same() -> None:
    book = RuleBook(encoded(Change((entry("a", 1), Entry("b", 2, None)), bucket=7)).decode())
    other = RuleBook("")
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(book.snapshot())))
    assert versions(other) == versions(book) == {"a": 1}
    assert other.snapshot() == book.snapshot()


def test_rules_of_a_replay_stand_whatever_the_log_says() -> None:
    rules = json.dumps([RULE | {"id": "a", "version": 9}])
    book = RuleBook(fixed(rules, None))
    assert versions(book) == {"a": 9}
    assert book.fixed > 10**18
    assert RuleBook(fixed(rules, 17)).fixed == 17
    for bad in ("{}", "[{}]", json.dumps([RULE | {"id": "a"}] * 2), '[{"id": "a"}]', "[1"):
        with pytest.raises(RuleError):
            fixed(bad, None)
