"""Counts of alerts and labels: what a plain count over all that was said gives too."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.fraud_detector.domain.quality import (
    DAY_MS,
    LABEL_DELAY_MS,
    QualityBook,
    RuleQuality,
)

WINDOW_MS = 30 * DAY_MS
RULES = ("a", "b")


def book(*said: tuple[object, ...]) -> QualityBook:
    """Return a book that was told this: alerts, labels, and how far time has come."""
    told = QualityBook()
    for one in said:
        tell(told, one)
    return told


def tell(told: QualityBook, one: tuple[object, ...]) -> None:
    match one:
        case ("alert", str(payment), str(rule), int(day)):
            told.alerted(payment, rule, day * DAY_MS)
        case ("label", str(payment), bool(fraud), int(day)):
            told.labelled(payment, fraud=fraud, time_ms=day * DAY_MS)
        case ("time", int(day)):
            told.goes_on(day * DAY_MS)


def test_precision_and_recall_by_hand() -> None:
    told = book(
        ("alert", "p-1", "a", 1),
        ("alert", "p-2", "a", 1),
        ("alert", "p-3", "a", 5),
        ("label", "p-1", True, 2),
        ("label", "p-2", False, 2),
        ("label", "p-9", True, 2),
    )
    found = told.rules()["a"]
    assert (found.alerts, found.confirmed, found.refuted, found.frauds) == (3, 1, 1, 2)
    assert (found.precision, found.recall) == (0.5, 0.5)
    told.goes_on(5 * DAY_MS + LABEL_DELAY_MS + 1)  # nobody has called p-3 fraud in time
    assert told.rules()["a"].refuted == 2
    told.labelled("p-3", fraud=True, time_ms=13 * DAY_MS)  # and then somebody does
    found = told.rules()["a"]
    assert (found.confirmed, found.refuted, found.frauds) == (2, 1, 3)


def test_without_labels_nothing_is_known() -> None:
    found = book(("alert", "p-1", "a", 1)).rules()["a"]
    assert (found.precision, found.recall) == (None, None)


SAYINGS = st.lists(
    st.one_of(
        st.tuples(
            st.just("alert"),
            st.sampled_from(["p-1", "p-2", "p-3", "p-4"]),
            st.sampled_from(RULES),
        ),
        st.tuples(st.just("label"), st.sampled_from(["p-1", "p-2", "p-3", "p-5"]), st.booleans()),
        st.just(("time",)),
    ),
    max_size=30,
)


@given(SAYINGS, st.lists(st.integers(0, 20), min_size=30, max_size=30), st.integers(0, 30))
def test_counts_are_those_of_all_that_was_said(
    sayings: list[tuple[object, ...]], steps: list[int], cut: int
) -> None:
    """Each payment is alerted at one time; labels and time come in order, as in the log."""
    day, said, told = 0, [], QualityBook()
    days: dict[object, int] = {}
    for number, (one, step) in enumerate(zip(sayings, steps, strict=False)):
        if one[0] == "alert":
            day_of = days.setdefault(one[1], day)
            if day_of < day:
                continue
            one = (*one, day_of)  # noqa: PLW2901 - with its day
        else:
            day += step if one[0] == "time" else 0
            one = (*one, day)  # noqa: PLW2901 - with its day
        said.append(one)
        tell(told, one)
        if number == cut:
            told = restored(told)
    assert told.rules() == counted(said, day)


def restored(told: QualityBook) -> QualityBook:
    other = QualityBook()
    for piece in told.snapshot():
        other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(piece)))
    return other


def counted(said: list[tuple[object, ...]], now: int) -> dict[str, RuleQuality]:
    """Count it all again, from what was said and the day it is at the end.

    A label that lay before the window when its payment was alerted tells nothing of it.
    """
    window = WINDOW_MS // DAY_MS
    since = now - window
    labels: dict[object, tuple[object, int]] = {}
    for one in said:
        if one[0] == "label":
            labels[one[1]] = (one[2], int(str(one[3])))
    frauds = sum(bool(fraud) for fraud, day in labels.values() if day >= since)
    found: dict[str, RuleQuality] = {}
    for rule in RULES:
        payments = {
            one[1]: int(str(one[3])) for one in said if one[0] == "alert" and one[2] == rule
        }
        payments = {key: day for key, day in payments.items() if day >= since}
        if not payments:
            continue
        quality = found[rule] = RuleQuality(alerts=len(payments), frauds=frauds)
        for key, day in payments.items():
            known, labelled = labels.get(key, (None, 0))
            known = known if labelled >= day - window else None
            if known:
                quality.confirmed += 1
            elif known is False or day < now - LABEL_DELAY_MS // DAY_MS:
                quality.refuted += 1
    return found
