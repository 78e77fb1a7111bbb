"""Each of the ten rules to start with, and the story that it is for."""

from __future__ import annotations

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.payment import Payment
from services.fraud_detector.domain.rules import parse_rule
from services.fraud_detector.domain.starter import starter_rules
from tests.unit.fraud_detector.payment_facts import DAY, HOUR, MINUTE, SECOND, paid


def told(payments: list[Payment]) -> dict[int, list[str]]:
    """Return which rules of the whole set each payment broke."""
    board = Board([parse_rule(text, key, 1) for key, text in starter_rules().items()])
    found = {one.sequence: [f.rule.id for f in board.evaluate(one)] for one in payments}
    return {sequence: ids for sequence, ids in found.items() if ids}


def test_there_are_ten_active_rules() -> None:
    rules = [parse_rule(text, key, 1) for key, text in starter_rules().items()]
    assert len(rules) == 10
    assert all(one.state == "active" for one in rules)
    assert {one.group_by for one in rules} == {("card",), ("terminal",)}


def test_a_quiet_customer_breaks_no_rule() -> None:
    shops = [
        paid(n, n * 7 * HOUR, str(5 + n % 20), merchant=f"m-{n % 9}", country="DE", channel="pos")
        for n in range(1, 300)
    ]
    assert told(shops) == {}


def test_velocity_a_script_pays_again_and_again() -> None:
    assert told([paid(n, n * 6 * MINUTE, "9.99") for n in range(1, 9)]) == {8: ["velocity-1h"]}


def test_spend_a_stolen_card_is_emptied_in_a_day() -> None:
    made = [paid(n, n * 4 * HOUR, "900") for n in range(1, 5)]
    assert told(made) == {4: ["spend-24h"]}


def test_many_merchants_a_list_of_shops_is_tried_out() -> None:
    made = [paid(n, n * MINUTE, merchant=f"m-{n}", channel="ecom") for n in range(1, 6)]
    assert told(made) == {5: ["many-merchants"]}


def test_terminal_burst_a_terminal_tries_stolen_cards() -> None:
    made = [paid(n, n * SECOND, "1", card=f"card-{n}", terminal="t") for n in range(1, 11)]
    assert told(made) == {10: ["terminal-burst"]}


def test_card_testing_three_cents_and_a_television() -> None:
    made = [paid(n, n * MINUTE, "0.50") for n in (1, 2, 3)]
    assert told([*made, paid(4, 10 * MINUTE, "899")]) == {4: ["card-testing"]}


def test_declines_then_approval_the_third_guess_is_right() -> None:
    made = [paid(n, n * MINUTE, declined=True) for n in (1, 2, 3)]
    assert told([*made, paid(4, 4 * MINUTE)]) == {4: ["declines-then-approval"]}


def test_impossible_travel_a_copy_of_the_card_pays_in_rio() -> None:
    berlin = paid(1, latitude=52.52, longitude=13.405, channel="pos")
    rio = paid(2, 3 * HOUR, latitude=-22.91, longitude=-43.17, channel="pos")
    online = paid(3, 4 * HOUR, latitude=52.52, longitude=13.405, channel="ecom")
    assert told([berlin, rio, online]) == {2: ["impossible-travel"]}


def test_new_country_a_card_of_home_pays_abroad() -> None:
    made = [paid(n, n * DAY, country="DE") for n in range(1, 6)]
    assert told([*made, paid(6, 6 * DAY, country="BR")]) == {6: ["new-country"]}


def test_amount_spike_one_payment_is_of_another_kind() -> None:
    made = [paid(n, n * DAY, str(20 + n % 5)) for n in range(1, 11)]
    assert told([*made, paid(11, 11 * DAY, "450")]) == {11: ["amount-spike"]}


def test_dormant_card_a_forgotten_card_goes_shopping() -> None:
    made = [paid(1), *(paid(n, 40 * DAY + n * HOUR) for n in (2, 3, 4))]
    assert told(made) == {4: ["dormant-card"]}
