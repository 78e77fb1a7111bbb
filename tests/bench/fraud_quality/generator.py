"""Payments and frauds by the published simulator of the Fraud Detection Handbook.

Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud
Detection - Practical Handbook", 2022, section 3.2: customers and terminals on a grid of 100 by
100, customers pay at terminals closer than 5, and three scenarios of fraud. Written anew from
the text's parameters; chance is drawn in the order that the text gives, from the generators and
seeds that it names, so that seed 0 gives the very data set that the Handbook publishes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

START_MS: Final = 1_522_540_800_000
"""2018-04-01, the first day."""

DAY_S: Final = 86_400
_SEED_STEP: Final = 1_000_003
_LARGE_CENTS: Final = 22_000

Column = np.ndarray[Any, np.dtype[Any]]


class Size(NamedTuple):
    """How much to simulate; the defaults are the Handbook's."""

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    radius: float = 5.0


class Simulated(NamedTuple):
    """One column a field, by time: seconds since the first day, amount in cents, scenario or 0."""

    seconds: Column
    customer: Column
    terminal: Column
    cents: Column
    scenario: Column

    @property
    def day(self) -> Column:
        """Day of each payment, from 0."""
        return self.seconds // DAY_S

    @property
    def fraud(self) -> Column:
        """1 for each fraud, else 0."""
        return (self.scenario > 0).astype(np.int64)


def simulate(seed: int = 0, size: Size | None = None) -> Simulated:
    """Return all payments of a simulation, in order of time; seed 0 is the published data set."""
    size = size or Size()
    seeds = seed * _SEED_STEP
    rows = [row for customer in _customers(seeds, size) for row in _payments(customer, seeds, size)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    # By customer, then stable by time: the order of equal times is defined.
    table = table[np.argsort(table[:, 0], kind="stable")]
    whole = table[:, :3].astype(np.int64)
    cents = np.rint(np.round(table[:, 3], 2) * 100).astype(np.int64)
    payments = Simulated(whole[:, 0], whole[:, 1], whole[:, 2], cents, np.zeros_like(cents))
    _add_frauds(payments, seeds, size)
    return payments


class _Customer(NamedTuple):
    number: int
    mean_amount: float
    payments_a_day: float
    terminals: list[int]


def _customers(seeds: int, size: Size) -> Iterator[_Customer]:
    # x, y, mean amount and payments a day of one customer are drawn after one another.
    drawn = np.random.RandomState(seeds % 2**32).random_sample((size.customers, 4))
    places = np.random.RandomState((seeds + 1) % 2**32).random_sample((size.terminals, 2)) * 100
    for number, (x, y, mean, payments) in enumerate(drawn):
        squared = np.square(np.array([x * 100, y * 100]) - places)
        near = np.where(np.sqrt(np.sum(squared, axis=1)) < size.radius)[0]
        yield _Customer(number, 5 + 95 * float(mean), 4 * float(payments), near.tolist())


def _payments(customer: _Customer, seeds: int, size: Size) -> Iterator[tuple[float, ...]]:
    chance = np.random.RandomState((seeds + customer.number) % 2**32)
    chooser = random.Random(seeds + customer.number)
    mean = customer.mean_amount
    for day in range(size.days):
        for _ in range(chance.poisson(customer.payments_a_day)):
            second = int(chance.normal(DAY_S / 2, 20_000))
            if not 0 < second < DAY_S:
                continue
            amount = chance.normal(mean, mean / 2)
            if amount < 0:
                amount = chance.uniform(0, mean * 2)
            if customer.terminals:
                terminal = chooser.choice(customer.terminals)
                yield second + day * DAY_S, customer.number, terminal, amount


def _add_frauds(payments: Simulated, seeds: int, size: Size) -> None:
    """Mark frauds, scenario after scenario; a later one overwrites an earlier."""
    cents, scenario = payments.cents, payments.scenario
    scenario[cents > _LARGE_CENTS] = 1
    for first in range(size.days - 1):
        chance = np.random.RandomState((seeds + first) % 2**32)
        chosen = chance.choice(size.terminals, 2, replace=False)
        scenario[_places(payments.seconds, first, 28, (payments.terminal, chosen))] = 2
    for first in range(size.days - 1):
        chance = np.random.RandomState((seeds + first) % 2**32)
        chosen = chance.choice(size.customers, 3, replace=False)
        places = _places(payments.seconds, first, 14, (payments.customer, chosen)).tolist()
        stolen = random.Random(seeds + first).sample(places, len(places) // 3)
        cents[stolen] *= 5
        scenario[stolen] = 3


def _places(seconds: Column, first: int, days: int, wanted: tuple[Column, Column]) -> Column:
    """Return the places of payments of some days in whose column is one of the wanted numbers."""
    start, end = np.searchsorted(seconds, [first * DAY_S, (first + days) * DAY_S])
    column, numbers = wanted
    found: Column = np.nonzero(np.isin(column[start:end], numbers))[0] + start
    return found
