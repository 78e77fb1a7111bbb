"""The quality bench measures what it says: its measures by hand, its data by what is published."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.bench.fraud_quality.generator import Simulated, Size, simulate
from tests.bench.fraud_quality.metrics import (
    Predicted,
    auc_roc,
    average_precision,
    card_precision,
)
from tests.bench.fraud_quality.online import online_scores
from tests.bench.fraud_quality.periods import Period, rows_to_test, rows_to_train


@pytest.fixture(scope="module")
def month() -> Simulated:
    return simulate(size=Size(days=31))


def test_auc_counts_pairs_in_the_right_order_and_ties_half() -> None:
    fraud = np.array([1, 0, 1, 0, 0])
    # Pairs: .9 over three; .4 over .1, even with .4, under .7: (3 + 1 + 0.5) of 6.
    assert auc_roc(np.array([0.9, 0.4, 0.4, 0.1, 0.7]), fraud) == 4.5 / 6


def test_average_precision_is_precision_weighted_by_the_recall_gained() -> None:
    fraud = np.array([1, 0, 1, 0, 1])
    # In order: fraud (1/1), genuine, fraud (2/3), genuine, fraud (3/5), a third of recall each.
    found = average_precision(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), fraud)
    assert math.isclose(found, (1 + 2 / 3 + 3 / 5) / 3)
    # Equal scores are one threshold: two of three found at precision 2/4, then 3/5.
    tied = average_precision(np.array([0.9, 0.9, 0.9, 0.9, 0.5]), fraud)
    assert math.isclose(tied, 2 / 3 * 2 / 4 + 1 / 3 * 3 / 5)


def test_card_precision_checks_cards_and_none_found_twice() -> None:
    rows = [  # score, fraud, card, day
        (0.9, 0, 1, 0),
        (0.2, 1, 1, 0),  # card 1 is found by its other payment
        (0.8, 0, 2, 0),
        (0.7, 1, 3, 0),  # card 3 is third, so it is not checked
        (0.9, 1, 1, 1),  # known
        (0.6, 1, 3, 1),
        (0.5, 1, 4, 1),
        (0.4, 1, 5, 1),
    ]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    assert card_precision(Predicted(*columns), most_cards=2) == (1 / 2 + 2 / 2) / 2


def test_seed_0_gives_the_published_payments(month: Simulated) -> None:
    # The Handbook's listings: the 288,063rd payment is the first of day 30, and the first rows.
    assert int((month.day < 30).sum()) == 288_062
    assert month.seconds[:5].tolist() == [31, 130, 476, 569, 634]
    assert month.customer[:5].tolist() == [596, 4961, 2, 4128, 927]
    assert month.terminal[:5].tolist() == [3156, 3412, 1365, 8737, 9906]
    assert month.cents[:5].tolist() == [5716, 8151, 14600, 6449, 5099]
    frauds = np.nonzero(month.scenario)[0][:5]
    assert month.customer[frauds].tolist() == [3774, 4944, 4625, 3814, 2513]
    assert month.cents[frauds][:4].tolist() == [22541, 22226, 22640, 5915]


def test_frauds_follow_their_scenarios(month: Simulated) -> None:
    first = month.cents[month.scenario == 0]
    assert first.max() <= 22_000
    counts = np.bincount(month.scenario, minlength=4)
    # 973, 9,077 and 4,631 in 183 days; scenarios 2 and 3 take 28 and 14 days to get going.
    assert 973 / 183 * 31 * 0.7 < counts[1] < 973 / 183 * 31 * 1.3
    assert 9_077 / 183 * 31 * 0.3 < counts[2] < 9_077 / 183 * 31
    assert 4_631 / 183 * 31 * 0.5 < counts[3] < 4_631 / 183 * 31 * 1.1
    assert 0.004 < month.fraud.mean() < 0.0085


def test_other_seeds_give_other_payments_alike(month: Simulated) -> None:
    small = Size(customers=500, terminals=1_000, days=31, radius=15)
    one, two = simulate(1, small), simulate(2, small)
    assert simulate(1, small).cents.tolist() == one.cents.tolist() != two.cents.tolist()
    for other in (one, two):
        assert math.isclose(len(other.cents), len(month.cents) / 10, rel_tol=0.1)


def test_known_compromised_cards_are_not_tested() -> None:
    days = np.array([0, 6, 7, 13, 14, 14, 14, 14, 15])
    cards = np.array([1, 2, 3, 4, 1, 2, 3, 4, 3])
    scenario = np.array([2, 0, 2, 2, 0, 0, 2, 0, 0])
    payments = Simulated(days * 86_400, cards, cards, cards, scenario)
    assert rows_to_train(payments, Period(0)).tolist() == [True, True, *[False] * 7]
    # Card 3's fraud of day 7 is known on day 15, that of card 4 of day 13 in the next week.
    assert rows_to_test(payments, Period(0)).tolist() == [*[False] * 5, True, True, True, False]


def test_online_scores_tell_frauds_from_the_rest() -> None:
    payments = simulate(3, Size(customers=300, terminals=600, days=45, radius=15))
    scores = online_scores(payments, days=45)
    later = payments.day > 30
    assert len(scores) == len(later)
    assert auc_roc(scores[later], payments.fraud[later]) > 0.7
