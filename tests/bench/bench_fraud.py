"""The fraud detector: payments a second, latency of alerts, cost of many cards, a back-test.

Run as `python -m tests.bench fraud`. The service is the real one, a process of its own with the
starter rules; payments lie on `PAYMENTS` before it starts, alerts are committed to `FRAUD`.
Measured is from its start until every stage has been given every payment and has fallen idle, so
all outputs are stored.
Each card pays once in 83 minutes on the average, so few payments break a rule: what breaks one
costs about as much again.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.fraud_detector.domain.starter import starter_rules
from services.fraud_detector.entry import ENTRY
from services.fraud_detector.fold import FraudFold
from services.fraud_detector.rule_book import Change, Entry, encoded
from services.fraud_detector.scope import CARDS as CARDS_STAGE
from services.fraud_detector.scope import KEYED, MODEL, Scope
from shared import jetstream, logs
from shared.log_stream.fold import Event
from shared.settings import LogSettings
from tests.bench.__main__ import say
from tests.bench.log_stage import client_of, stored
from tests.bench.rig import cpu_of, require_below, require_rate
from tests.eventually import eventually
from tests.fraud_rig import fraud_detector, made
from tests.headrace import headrace
from tests.server import Server

PAYMENTS = 300_000
PAYMENTS_SCORED = 150_000
CARDS = 50_000
LATENCY_CARDS = 2_500
"""Few, so that within the seconds there are alerts at all."""
LEAST_RATE = 80_000
LEAST_RATE_SCORED = 30_000
MOST_COST = 1.5
A_SECOND = 5_000
SECONDS = 5
MOST_P99_MS = 20.0
_IN_FLIGHT = 2_000
_LEAST_WAIT_SECONDS = 0.001
_BEGIN_S = 1_795_300_000
_PACE_S = 5_000
"""From one payment of a card to its next, on the average, in event time."""
_LONGEST_SECONDS = 300
_IDLE_SECONDS = 0.4
_IDLE_SHARE = 0.1
_MEASURED = 200_000


async def main() -> None:
    """Print rates, percentiles, ratios; raise on a missed target."""
    logs.configure(LogSettings(level="warning"))
    missed = [
        await _rate("without scores", PAYMENTS, LEAST_RATE),
        await _rate("with scores", PAYMENTS_SCORED, LEAST_RATE_SCORED),
        await _latency(),
        _cost_of_cards(),
    ]
    for scope in (CARDS_STAGE, KEYED, MODEL):
        each = _cpu_each(CARDS, CARDS, scope)
        say(f"  fold of stage {scope.whole or 'cards':<6} alone {each * 1e6:6.1f} us a payment")
    if any(missed):
        raise AssertionError("; ".join(filter(None, missed)))


async def _rate(what: str, count: int, least: float) -> str:
    scored = what == "with scores"
    variables = {"FRAUD_SCORES": str(scored).lower(), "FRAUD_LEASE_SECONDS": "10"}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        await made(server.url, **variables)
        async with client_of(server.url) as client:
            await _fill(client, count, CARDS)
            with fraud_detector(server.url, **variables) as member:
                await member.started()
                began, cpu = time.perf_counter(), cpu_of(member.pid)
                server_cpu = cpu_of(server.pid)
                await eventually(
                    lambda: _all_done(client, member.pid, scored=scored), _LONGEST_SECONDS
                )
                seconds, used = time.perf_counter() - began, cpu_of(member.pid) - cpu
                server_used = cpu_of(server.pid) - server_cpu
            alerts = await stored(client, "FRAUD", "fraud.alerts.>")
            assert not scored or await stored(client, "FRAUD", "fraud.scores.>") == count
            began = time.perf_counter()
            rule = Path(folder) / "rule.json"
            rule.write_text(starter_rules()["velocity-1h"], "utf-8")
            tested = await headrace("backtest", str(rule), url=server.url, seconds=120)
            assert tested.code == 0, tested
            back = count / (time.perf_counter() - began)
    say(
        f"  {what:<15} {count / seconds:>9,.0f}/s   CPU s per 100k: own {used / count * 1e5:.2f}"
        f"   server {server_used / count * 1e5:.2f}   {alerts} alerts"
        f"   back-test of one rule, its start included, {back:,.0f}/s"
    )
    # Two cores, shared: what a core of its own would do is said by the CPU that it took.
    return require_rate(f"payments a CPU second, {what}", count / used, least)


async def _all_done(client: Client, member: int, *, scored: bool) -> bool:
    """Tell whether every running stage has been given all there is, and has nothing left to do."""
    for entry in ENTRY.stages():
        stage = entry.stage
        if stage.whole == MODEL.whole and not scored:
            continue
        for number in range(stage.source.partitions):
            try:
                info = await jetstream.call(
                    client, f"CONSUMER.INFO.{stage.source.name}.{stage.durable(number)}"
                )
            except jetstream.JetStreamError as error:
                if error.err_code not in jetstream.NOT_FOUND:
                    raise
                return False  # the partition is about to be claimed
            if info["num_pending"]:
                return False
    before = cpu_of(member)  # what was delivered may still be folded, and outputs be committed
    await asyncio.sleep(_IDLE_SECONDS)
    return cpu_of(member) - before < _IDLE_SECONDS * _IDLE_SHARE


async def _latency() -> str:
    variables = {"FRAUD_SCORES": "false", "FRAUD_LEASE_SECONDS": "10"}
    sent: dict[str, float] = {}
    seconds: list[float] = []
    decode = msgspec.json.Decoder(dict[str, object]).decode
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder)) as server,
        fraud_detector(server.url, **variables) as member,
    ):
        await member.started()
        async with client_of(server.url) as client, client_of(server.url) as listener:

            async def note(msg: Msg) -> None:
                seconds.append(time.perf_counter() - sent[str(decode(msg.data)["payment_id"])])

            await listener.subscribe("fraud.alerts.>", cb=note)
            await listener.flush()
            start = time.perf_counter()
            payments = _payments(A_SECOND * SECONDS, LATENCY_CARDS, random.Random(2))
            for number, (subject, data, identity) in enumerate(payments):
                if (wait := start + number / A_SECOND - time.perf_counter()) > _LEAST_WAIT_SECONDS:
                    await asyncio.sleep(wait)
                sent[identity] = time.perf_counter()
                await client.publish(subject, data)
            await client.flush()
            await eventually(lambda: _all_done(client, member.pid, scored=False), 60)
            count = await eventually(lambda: _settled(client, seconds), 30)
    seconds.sort()
    p50, p99 = (seconds[int(count * share)] * 1000 for share in (0.5, 0.99))
    say(f"  {count} alerts at {A_SECOND:,} payments a second: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return require_below("p99 from publish to alert, ms", p99, MOST_P99_MS)


async def _settled(client: Client, seconds: list[float]) -> int:
    # A plain subscriber also hears what is sent again after a lost answer.
    return len(seconds) if len(seconds) >= await stored(client, "FRAUD", "fraud.alerts.>") else 0


def _cost_of_cards() -> str:
    few, many = (_cpu_each(cards, _MEASURED, CARDS_STAGE) for cards in (1_000, 1_000_000))
    say(f"  fold alone: {few * 1e6:.1f} us a payment of 1,000 cards, {many * 1e6:.1f} of 1,000,000")
    return require_below("cost of a payment, 1,000,000 cards to 1,000", many / few, MOST_COST)


def _cpu_each(cards: int, measured: int, scope: Scope) -> float:
    """Return CPU seconds a payment, each card's second one on the average.

    With few cards many folds are filled, one after another: each has the same history a card.
    """
    rules = (Entry(key, n, text) for n, (key, text) in enumerate(starter_rules().items(), 1))
    seed = encoded(Change(tuple(rules), bucket=1)).decode()
    used, count = 0.0, 0
    while count < measured:
        more = min(cards, measured)
        fold = FraudFold(seed, scope)
        events = _events(cards + more, cards, scope)
        for event in itertools.islice(events, cards):
            fold.apply(event)
        rest = list(events)
        gc.collect()
        began = time.process_time()
        for event in rest:
            fold.apply(event)
        used += time.process_time() - began
        count += more
    return used / count


def _events(count: int, cards: int, scope: Scope) -> Iterator[Event]:
    place = "0." if scope.whole else ""
    for number, (subject, data, _) in enumerate(_payments(count, cards, random.Random(1)), 1):
        when = int((_BEGIN_S + number * _PACE_S / cards + 1) * 1e9)
        card = subject.rpartition(".")[2]
        yield Event(number, when, f"{place}event.made.{card}", data, None)


async def _fill(client: Client, count: int, cards: int) -> None:
    for number, (subject, data, _) in enumerate(_payments(count, cards, random.Random(1)), 1):
        if number % _IN_FLIGHT:
            await client.publish(subject, data)
        else:
            await jetstream.publish(client, subject, data)
    await client.flush()
    await eventually(lambda: _stored_all(client, count), 60)


async def _stored_all(client: Client, count: int) -> bool:
    return await stored(client, "PAYMENTS") >= count


def _payments(count: int, cards: int, chance: random.Random) -> Iterator[tuple[str, bytes, str]]:
    """Yield subject, body and id of payments."""
    for number in range(count):
        identity = f"p-{number}"
        body = {
            "payment_id": identity,
            "amount": f"{chance.lognormvariate(3, 1):.2f}",
            "currency": "EUR",
            "time": _BEGIN_S + number * _PACE_S / cards,
            "terminal": f"t-{chance.randrange(cards)}",
            "merchant": f"m-{chance.randrange(500)}",
            "mcc": "5411",
            "country": "DE" if chance.random() < 0.97 else "FR",
            "latitude": 52.5,
            "longitude": 13.4,
            "channel": "ecom" if chance.random() < 0.3 else "pos",
            "declined": chance.random() < 0.02,
        }
        data = json.dumps(body).encode()
        yield f"payments.made.card-{chance.randrange(cards)}", data, identity
