"""Laws of the scores: a pure function of the log, by what was known at each moment."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from services.fraud_detector.domain.payment import Label, Payment
from services.fraud_detector.domain.scoring import Scorer
from tests.unit.fraud_detector.payment_samples import DAY_MS, START_MS, log, payment

Messages = Sequence[Payment | Label]


def _scores(scorer: Scorer, messages: Messages) -> list[float]:
    scores = []
    for message in messages:
        if isinstance(message, Payment):
            scores.append(scorer.score(message))
        else:
            scorer.label(message)
    return scores


def _restored(scorer: Scorer, most_pending: int = 1_000_000) -> Scorer:
    other = Scorer(most_pending=most_pending)
    other.restore([msgspec.msgpack.encode(piece) for piece in scorer.snapshot()])
    return other


def _pieces(scorer: Scorer) -> list[bytes]:
    return [msgspec.msgpack.encode(piece) for piece in scorer.snapshot()]


@pytest.mark.parametrize("most_pending", [1_000_000, 150])
def test_restored_at_any_place_it_goes_on_bit_for_bit(most_pending: int) -> None:
    messages = log(5, payments=3_000, days=60)
    straight = Scorer(most_pending=most_pending)
    expected = _scores(straight, messages)
    interrupted = Scorer(most_pending=most_pending)
    scores: list[float] = []
    for start in range(0, len(messages), 431):
        scores += _scores(interrupted, messages[start : start + 431])
        interrupted = _restored(interrupted, most_pending)
    assert scores == expected
    assert _pieces(interrupted) == _pieces(straight)
    assert interrupted.numbers() == straight.numbers()
    assert interrupted.keys() == straight.keys()
    assert len(set(scores)) > 1_000


def test_scores_lie_between_0_and_1_whatever_is_paid() -> None:
    scores = _scores(Scorer(), log(6, payments=3_000, days=60))
    assert all(0 <= score <= 1 for score in scores)


def test_no_label_changes_a_score_before_it() -> None:
    messages = log(7, payments=2_000, days=60)
    expected = _scores(Scorer(), messages)
    changed_something = 0
    for place in random.Random(7).sample(range(len(messages)), 12):
        other = [
            Label(it.sequence, it.card, it.payment_id, it.time_ms, not it.fraud)
            if isinstance(it, Label) and number >= place
            else it
            for number, it in enumerate(messages)
        ]
        before = sum(isinstance(it, Payment) for it in messages[:place])
        scores = _scores(Scorer(), other)
        assert scores[:before] == expected[:before]
        changed_something += scores != expected
    assert changed_something > 5


def test_a_payment_is_learned_once_its_time_lies_more_than_the_delay_back() -> None:
    scorer = Scorer()
    scorer.score(payment(1, START_MS))
    scorer.score(payment(2, START_MS + 7 * DAY_MS))
    assert scorer.learned == 0
    scorer.label(Label(3, "c1", "p1", START_MS + 7 * DAY_MS, fraud=True))
    scorer.score(payment(4, START_MS + 7 * DAY_MS + 1))
    numbers = scorer.numbers()
    assert (numbers["learned"], numbers["frauds_learned"], numbers["pending"]) == (1, 1, 2)


def test_a_label_that_comes_after_the_delay_still_teaches() -> None:
    scorer = Scorer()
    scorer.score(payment(1, START_MS))
    scorer.score(payment(2, START_MS + 8 * DAY_MS))
    before = scorer.score(payment(3, START_MS + 8 * DAY_MS, card="c3"))
    scorer.label(Label(4, "c1", "p1", START_MS + 8 * DAY_MS, fraud=True))
    assert scorer.score(payment(5, START_MS + 8 * DAY_MS, card="c5")) > before
    numbers = scorer.numbers()
    assert (numbers["learned"], numbers["frauds_learned"], numbers["labels_late"]) == (2, 1, 1)


def test_labels_of_unknown_or_forgotten_payments_are_counted() -> None:
    scorer = Scorer()
    scorer.label(Label(1, "c1", "nobody's", START_MS, fraud=True))
    scorer.score(payment(2, START_MS))
    scorer.score(payment(3, START_MS + 31 * DAY_MS))
    scorer.label(Label(4, "c2", "p2", START_MS, fraud=True))  # the name of another card's payment
    scorer.label(Label(5, "c1", "p2", START_MS, fraud=True))
    assert scorer.numbers()["labels_unmatched"] == 3


def test_a_label_that_is_repeated_or_taken_back_counts_as_the_last() -> None:
    def scored(frauds: str) -> list[bytes]:
        scorer = Scorer()
        scorer.score(payment(1, START_MS))
        for fraud in frauds:
            scorer.label(Label(2, "c1", "p1", START_MS, fraud == "F"))
        scorer.score(payment(3, START_MS + 10 * DAY_MS))
        return _pieces(scorer)

    assert scored("F") == scored("FF") == scored("FgF")
    assert scored("") == scored("g") == scored("Fg")
    assert scored("") != scored("F")


def test_a_label_is_of_the_newest_payment_of_its_name() -> None:
    scorer = Scorer()
    for number, day in enumerate((0, 10, 35)):  # the first is forgotten, the second remembered
        made = payment(number, START_MS + day * DAY_MS)
        made.payment_id = "again"
        scorer.score(made)
    assert scorer.numbers()["remembered"] == 1
    scorer.label(Label(9, "c1", "again", START_MS, fraud=True))
    numbers = scorer.numbers()
    assert (numbers["labels_unmatched"], numbers["labels_late"]) == (0, 0)
    scorer.score(payment(4, START_MS + 80 * DAY_MS))
    assert scorer.numbers()["frauds_learned"] == 1


def test_no_amount_is_too_great_for_a_snapshot() -> None:
    scorer = Scorer()
    for number in range(40):
        scorer.score(payment(number, START_MS + number, micros=10**30))
    restored = _restored(scorer)
    after = payment(41, START_MS + 41)
    assert restored.score(after) == scorer.score(after)
    assert _pieces(restored) == _pieces(scorer)


def test_what_waits_is_bounded_and_goes_on_being_sampled() -> None:
    most = 400
    scorer = Scorer(most_pending=most)
    for number in range(3_000):
        scorer.score(payment(number, START_MS + number, card=f"c{number}"))
        numbers = scorer.numbers()
        assert numbers["pending"] + numbers["remembered"] <= most
    # The half is taken whole, then ever fewer: never at once all of one time.
    assert most * 0.9 < numbers["pending"] <= most
    assert numbers["pending"] + numbers["skipped"] == 3_000
    for number in range(3_000, 4_000):
        scorer.score(payment(number, START_MS + 8 * DAY_MS + number, card=f"c{number}"))
    assert scorer.learned == numbers["pending"]


def test_no_single_payment_learns_a_whole_pause() -> None:
    scorer = Scorer()
    for number in range(1_000):
        scorer.score(payment(number, START_MS))
    scorer.score(payment(1_000, START_MS + 8 * DAY_MS))
    assert 0 < scorer.learned < 100


def test_each_piece_of_a_snapshot_is_small() -> None:
    scorer = Scorer()
    for number in range(20_000):
        scorer.score(payment(number, START_MS + number * 60_000, card=f"c{number % 3_000}"))
    assert max(map(len, _pieces(scorer))) < 400_000


def test_scores_are_the_same_bits_as_ever() -> None:
    """Another machine, Python or C library must not change them: the file was made on one."""
    path = Path(__file__).with_name("scores.json")
    scores = list(_every_hundredth(_scores(Scorer(), log(8, payments=5_000, days=90))))
    assert scores == json.loads(path.read_text())


def _every_hundredth(scores: list[float]) -> Iterator[float]:
    yield from scores[::100]
