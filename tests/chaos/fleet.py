"""The members of all three services, as processes: two of each, started again as they die."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from tests.chaos.traffic import Rates
from tests.processes import Process, all_stopped, end_all

Service = Literal["invoice_worker", "metrics_aggregator", "fraud_detector"]
SERVICES: tuple[Service, ...] = ("invoice_worker", "metrics_aggregator", "fraud_detector")
LEASE_SECONDS = 2
ACK_WAIT_SECONDS = 3
PARTITIONS = {"METRICS_PARTITIONS": "4", "FRAUD_PARTITIONS": "4"}
"""Few, so that two crowded cores measure the harm and not the number of partitions."""

MEMBERS = 2

_QUICK = PARTITIONS | {
    "INVOICE_ACK_WAIT_SECONDS": str(ACK_WAIT_SECONDS),
    "INVOICE_RENDER_PROCESSES": "1",
    "INVOICE_RETRY_FIRST_SECONDS": "0.5",
    "METRICS_LEASE_SECONDS": str(LEASE_SECONDS),
    "METRICS_IDLE_SECONDS": "1",
    "METRICS_SNAPSHOT_EVENTS": "200",
    "FRAUD_LEASE_SECONDS": str(LEASE_SECONDS),
    "FRAUD_SNAPSHOT_EVENTS": "200",
}

_RULES = """
- id: latency
  match: '{__name__=~"latency.*"}'
  interval: 10s
  by: [host]
  allowed_lateness: 20s
  outputs: [avg, count_samples, last, "quantiles(0.5, 0.99)"]
- id: counters
  match: '{__name__=~".+_total"}'
  interval: 10s
  grace: 3s
  staleness_interval: 1m
  without: [host]
  outputs: [increase, rate_sum, total]
- id: revenue
  from:
    stream: INVOICES
    subject: invoices.issued.>
    name: revenue
    value: totals.gross
    time: issued_at
    labels: {currency: currency, seller: seller}
  interval: 10s
  by: [currency]
  outputs: [sum_samples, count_samples]
"""


class Setup(Struct, frozen=True):
    """Where the services run, and under what load.

    `first_url` and `first_variables`, where given, are those of the first member of each.
    """

    url: str
    folder: Path
    rates: Rates = Rates()
    variables: Mapping[str, str] = {}
    first_url: Mapping[Service, str] = {}
    first_variables: Mapping[str, str] = {}


def rules_file(folder: Path) -> str:
    """Write the aggregator's rules, one of which reads the invoices; return the path."""
    path = folder / "rules.yaml"
    path.write_text(_RULES, "utf-8")
    return str(path)


class Fleet:
    """Runs the members; whoever is killed is replaced by one that starts at once."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._variables = (
            _QUICK | {"METRICS_RULES": rules_file(setup.folder)} | dict(setup.variables)
        )
        self._ended: list[Process] = []
        self.members: dict[Service, list[Process]] = {
            service: [self._first(service), *(self._start(service) for _ in range(MEMBERS - 1))]
            for service in SERVICES
        }

    @property
    def everyone(self) -> list[Process]:
        """All that run now."""
        return [member for members in self.members.values() for member in members]

    @property
    def firsts(self) -> list[Process]:
        """The first member of each service."""
        return [members[0] for members in self.members.values()]

    async def started(self) -> None:
        """Wait until all take work."""
        for member in self.everyone:
            await member.started(90)

    def kill(self, service: Service, place: int = 0) -> None:
        """Kill a member; another one starts in its place, as a supervisor would have it."""
        members = self.members[service]
        members[place].kill()
        self._ended.append(members[place])
        members[place] = self._start(service)

    async def stopped(self) -> None:
        """Stop all softly: each ends with 0, and none of all that ever ran had broken."""
        await all_stopped(self.everyone)
        for member in self.everyone + self._ended:
            for wrong in ("partition broken", "service failed"):
                assert member.events(wrong) == [], wrong

    def end(self) -> None:
        """End all that ever ran, at once."""
        end_all(self.everyone + self._ended)

    def _first(self, service: Service) -> Process:
        url = self._setup.first_url.get(service, self._setup.url)
        variables = self._variables | dict(self._setup.first_variables)
        return Process(f"services.{service}", url, **variables)

    def _start(self, service: Service) -> Process:
        return Process(f"services.{service}", self._setup.url, **self._variables)
