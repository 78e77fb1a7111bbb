"""The features are those of a batch computation in SQL over the same log; memory is bounded."""

from __future__ import annotations

import duckdb
import pytest

from services.fraud_detector.domain.features import FEATURES, NEVER_HOURS, FeatureStore
from services.fraud_detector.domain.payment import Payment
from tests.unit.fraud_detector.payment_samples import DAY_MS, START_MS, log, payment

_DELAY_MS = 7 * DAY_MS
_MOST_MICROS = 10**18

# One row a payment p: what lies before it in the log (q), by the buckets that docs/fraud-model.md
# defines. A payment is a fraud to p if the last label of it before p says so.
_BATCH = """
with p as (
    select *, time_ms // 3600000 as hour, time_ms // 600000 as ten,
           max(time_ms // 3600000) over (order by place) - 37 * 24 as lowest
    from payments
),
windows as (select * from (values (1), (7), (30)) as t(days)),
card as (
    select p.place, days, count(*) as number, sum(q.micros) as total
    from p, windows, p as q
    where q.card = p.card and q.place <= p.place and q.ten <= p.ten
      and q.ten > greatest(p.ten - days * 144, p.lowest * 6 + 5)
    group by all
),
known as (
    select p.place, p.hour, q.hour as q_hour, q.place as q_place,
           coalesce((select l.fraud from labels l where l.payment = q.place and l.place < p.place
                     order by l.place desc limit 1), false) as fraud
    from p, p as q
    where q.terminal = p.terminal and q.place <= p.place and q.hour <= p.hour - 168
      and q.hour > greatest(p.hour - 168 - 720, p.lowest) and p.hour > p.lowest
),
terminal as (
    select place, days, count(*) as number, count(*) filter (fraud) as frauds
    from known, windows where q_hour > hour - 168 - days * 24 group by all
),
genuine as (select place, max(q_hour) as last from known where not fraud group by place),
run as (
    select known.place, count(*) as frauds, min(q_hour) as first
    from known left join genuine using (place)
    where last is null or q_hour > last group by all
)
select p.place, p.hour, p.micros, dayofweek(make_timestamp(time_ms * 1000)),
       hour(make_timestamp(time_ms * 1000)),
       (select list([number, total] order by days) from card where card.place = p.place),
       (select list([days, number, frauds] order by days) from terminal
        where terminal.place = p.place),
       (select last from genuine where genuine.place = p.place),
       (select [frauds, first] from run where run.place = p.place)
from p order by p.place
"""


def _batch(messages: list[Payment | object]) -> list[list[float]]:
    database = duckdb.connect()
    database.execute(
        "create table payments"
        " (place bigint, card text, terminal text, time_ms bigint, micros hugeint)"
    )
    database.execute("create table labels (place bigint, payment bigint, fraud boolean)")
    placed: dict[str, int] = {}
    payments: list[tuple[object, ...]] = []
    labels: list[tuple[object, ...]] = []
    for place, message in enumerate(messages):
        if isinstance(message, Payment):
            placed[message.payment_id] = place
            micros = min(message.micros, _MOST_MICROS)
            payments.append((place, message.card, message.terminal, message.time_ms, micros))
        elif message.payment_id in placed:  # type: ignore[attr-defined]
            labels.append((place, placed[message.payment_id], message.fraud))  # type: ignore[attr-defined]
    database.executemany("insert into payments values (?, ?, ?, ?, ?)", payments)
    database.executemany("insert into labels values (?, ?, ?)", labels)
    return [_features(row) for row in database.execute(_BATCH).fetchall()]


def _features(row: tuple[object, ...]) -> list[float]:
    """Quotients of the batch's whole numbers; no history at all stands for 1 payment, ratio 1."""
    _, hour, micros, weekday, of_day, card, terminal, genuine, run = row
    assert isinstance(hour, int)
    assert isinstance(micros, int)
    windows = card if isinstance(card, list) else [[1, micros]] * 3
    _, week, month = windows
    features: list[float] = [micros / 10**6, float(weekday in {0, 6}), float(int(str(of_day)) <= 6)]
    for number, total in windows:
        features += [number, total / (number * 10**6)]
    by_days = {days: values for days, *values in terminal} if isinstance(terminal, list) else {}
    for days in (1, 7, 30):
        number, frauds = by_days.get(days, [0, 0])
        features += [number, frauds / number if number else 0.0]
    before, earlier = month[1] - micros, month[1] - week[1]
    features.append(micros * (month[0] - 1) / before if before else 1.0)
    features.append(micros * (month[0] - week[0]) / earlier if earlier else 1.0)
    frauds, first = run if isinstance(run, list) else (0, hour)
    features += [frauds, hour - genuine if isinstance(genuine, int) else NEVER_HOURS, hour - first]
    return features


@pytest.mark.parametrize("seed", range(3))
def test_online_features_equal_a_batch_over_the_same_log(seed: int) -> None:
    messages = log(seed, payments=2_000, days=70)
    store = FeatureStore(_DELAY_MS)
    made: dict[str, Payment] = {}
    fraud: dict[str, bool] = {}
    online = []
    for message in messages:
        if isinstance(message, Payment):
            made[message.payment_id] = message
            online.append(store.features(message))
            continue
        of = made.get(message.payment_id)
        if of is None or of.terminal is None or fraud.get(of.payment_id, False) == message.fraud:
            continue
        fraud[of.payment_id] = message.fraud
        store.fraud(of.terminal, of.time_ms, 1 if message.fraud else -1)
    batch = _batch(list(messages))
    assert len(online) == len(batch) == 2_000
    for ours, theirs in zip(online, batch, strict=True):
        assert dict(zip(FEATURES, ours, strict=True)) == dict(zip(FEATURES, theirs, strict=True))
    # Each feature was put to the test: it took several values.
    assert all(len(set(column)) > 1 for column in zip(*batch, strict=True))
    assert max(row[FEATURES.index("terminal_fraud_run")] for row in batch) > 1


def test_a_key_that_pays_all_the_time_has_a_bounded_history() -> None:
    store = FeatureStore(_DELAY_MS)
    for minute in range(60 * 24 * 60):
        store.features(payment(minute, START_MS + minute * 60_000))
    # 37 days of ten minutes at the card, of hours at the terminal, and some that wait to go.
    assert store.entries() <= 37 * 24 * 6 + 37 * 24 + 2 * 18
    assert store.keys() == 2


def test_keys_that_are_idle_are_dropped() -> None:
    store = FeatureStore(_DELAY_MS)
    for number in range(500):
        store.features(payment(number, START_MS + number, card=f"c{number}", terminal=f"t{number}"))
    assert store.keys() == 1_000
    later = START_MS + 37 * DAY_MS + 3_600_000
    for number in range(500):
        store.features(payment(number, later + number))
    assert store.keys() == 2
