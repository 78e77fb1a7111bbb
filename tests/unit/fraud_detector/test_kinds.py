"""The named kinds of rules, each with numbers that can be checked by hand or in a book."""

from __future__ import annotations

from typing import Any

import pytest

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.geography import distance_m
from tests.unit.fraud_detector.payment_facts import DAY, HOUR, MINUTE, SECOND, broken, paid, rule

BERLIN: dict[str, Any] = {"latitude": 52.5200, "longitude": 13.4050}
PARIS: dict[str, Any] = {"latitude": 48.8566, "longitude": 2.3522}


def board(kind: str, **parameters: Any) -> Board:
    return Board([rule({"kind": kind, "parameters": parameters})])


def test_the_great_circle_is_that_of_the_books() -> None:
    # one degree on a sphere of radius 6371.0088 km: 2 pi R / 360
    assert distance_m((0, 0), (0, 1)) == 111_195
    assert distance_m((0, 0), (0, 180)) == 20_015_114
    assert distance_m((90, 0), (-90, 123)) == 20_015_114
    # Nashville to Los Angeles, the usual example: 2887.26 km with a radius of 6372.8 km
    ours = distance_m((36.12, -86.67), (33.94, -118.40)) / 6_371_008.8
    assert abs(ours * 6_372_800 - 2_887_260) < 5
    assert distance_m((52.52, 13.405), (52.52, 13.405)) == 0


def test_berlin_to_paris_takes_an_hour_at_least() -> None:
    metres = distance_m((52.52, 13.405), (48.8566, 2.3522))
    assert 877_000 < metres < 878_500
    limit_ms = metres * 3_600 // 900  # at 900 km/h
    for after_ms, expected in ((limit_ms + 1, []), (limit_ms - 1, [(2, "r")]), (0, [(2, "r")])):
        looking = board("impossible_travel", speed_kmh=900, min_km=100)
        made = [paid(1, **BERLIN), paid(2, after_ms, **PARIS)]
        assert broken(looking, made) == expected


def test_travel_passes_over_payments_without_a_place_and_compares_late_ones_too() -> None:
    looking = board("impossible_travel")
    made = [
        paid(1, 2 * HOUR, **BERLIN),
        paid(2, 2 * HOUR + 1),
        paid(3, 2 * HOUR - MINUTE, **PARIS),
        paid(4, 2 * HOUR + MINUTE, **BERLIN),
    ]
    assert broken(looking, made) == [(3, "r")]


def test_a_short_way_is_no_travel_however_fast() -> None:
    looking = board("impossible_travel", min_km=100)
    assert broken(looking, [paid(1, **BERLIN), paid(2, 1, latitude=52.6, longitude=13.5)]) == []


def test_a_new_value_counts_only_after_enough_payments_and_within_memory() -> None:
    looking = board("first_seen", field="country", after=2, memory="1d")
    made = [
        paid(1, country="DE"),
        paid(2, HOUR, country="FR"),
        paid(3, 2 * HOUR, country="FR"),
        paid(4, 3 * HOUR, country=None),
        paid(5, 4 * HOUR, country="IT"),
        paid(6, 5 * HOUR, country="IT"),
        paid(7, DAY + HOUR, country="DE"),
    ]
    assert broken(looking, made) == [(5, "r"), (7, "r")]


def test_a_key_with_endless_values_is_bounded() -> None:
    looking = board("first_seen", field="device", after=1, memory="400d")
    for sequence in range(5_000):
        looking.evaluate(paid(sequence, sequence * SECOND, device=f"d-{sequence}"))
    assert looking.numbers()["bytes_a_card"] < 300_000
    assert broken(looking, [paid(5_000, 5_000 * SECOND, device="d-4500")]) == []


@pytest.mark.parametrize(("amount", "expected"), [("18.414213", []), ("18.414214", [(6, "r")])])
def test_an_amount_deviates_by_the_sample_standard_deviation(amount: str, expected: object) -> None:
    # 10, 12, 14, 12, 12: mean 12, squared differences 8, sd = sqrt(8 / 4) = 1.414213562...
    looking = board("amount_deviation", deviations="4.535534", least=5, least_spread=0)
    made = [paid(n, n * MINUTE, a) for n, a in enumerate(("10", "12", "14", "12", "12"), 1)]
    assert broken(looking, [*made, paid(6, HOUR, amount)]) == expected


def test_an_amount_deviates_only_from_its_own_currency_and_from_enough_others() -> None:
    looking = board("amount_deviation", least=3)
    made = [
        paid(1, 1, "10"),
        paid(2, 2, "10"),
        paid(3, 3, "900", currency="JPY"),
        paid(4, 4, "900"),
        paid(5, 5, "1800"),
    ]
    # with two others in euros nothing breaks; then 900 is in the mean, and in the spread
    assert broken(looking, made) == []


def test_a_card_that_always_pays_the_same_may_pay_a_little_more() -> None:
    looking = board("amount_deviation", deviations=3, least=3, least_spread="0.1")
    made = [paid(n, n, "10") for n in range(1, 4)]
    assert broken(looking, [*made, paid(4, 4, "13")]) == []
    (finding,) = looking.evaluate(paid(5, 5, "50"))
    assert (finding.observed, finding.evidence) == ("50", [1, 2, 3, 4, 5])


def test_the_large_one_after_three_small_ones_within_the_window() -> None:
    looking = board(
        "small_then_large", small_amount="2", small_count=3, large_amount=100, window="1m"
    )
    small = [paid(n, n * SECOND, "1.99") for n in (1, 2, 3)]
    assert broken(looking, [*small[:2], paid(9, 2_500, "100")]) == []
    assert broken(looking, [small[2], paid(10, 3_500, "99.99")]) == []
    (finding,) = looking.evaluate(paid(11, 60_999, "100"))
    assert (finding.observed, finding.limit, finding.evidence) == ("3", ">= 3", [1, 2, 3, 11])
    assert looking.evaluate(paid(12, 61_000, "100")) == []  # the first small one has left


def test_an_approval_after_three_declines() -> None:
    looking = board("declines_then_approval", declines=3, window="1m")
    made = [paid(n, n * SECOND, declined=True) for n in (1, 2, 3)]
    assert broken(looking, [*made, paid(4, 4 * SECOND, declined=True)]) == []
    (finding,) = looking.evaluate(paid(5, 5 * SECOND))
    assert (finding.observed, finding.evidence) == ("4", [1, 2, 3, 4, 5])


def test_a_sleeper_wakes_and_is_busy() -> None:
    looking = board(
        "dormant_then_active", dormant="30d", count=3, amount=500, window="1d", memory="90d"
    )
    assert broken(looking, [paid(1), paid(2, 29 * DAY), paid(3, 29 * DAY + 1, "900")]) == []
    woken = [paid(n, 60 * DAY + n * MINUTE) for n in (4, 5, 6, 7)]
    assert broken(looking, woken) == [(6, "r"), (7, "r")]
    assert broken(looking, [paid(8, 62 * DAY, "900"), paid(9, 95 * DAY, "500")]) == [(9, "r")]
    assert broken(looking, [paid(10, 300 * DAY, "900")]) == []  # beyond its memory: a new card
