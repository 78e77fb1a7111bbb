"""A complete log service: the average price of each symbol over the last five minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from shared.log_service import LogService, serve_log
from shared.log_stream.fold import Event, Output
from shared.log_stream.look_back import SlidingWindow, total
from shared.log_stream.stage import Stage, StageEntry
from shared.registry import MessageType, ServiceEntry
from shared.service import load_settings
from shared.settings import ProcessSettings
from shared.topology import LEASES, Log, PartitionedLog, Topology

WINDOW_MS = 300_000


class Price(Struct, frozen=True):
    """The event, on `prices.<symbol>`."""

    price: float


class Average(Struct, frozen=True):
    """The result, on `averages.<symbol>`, at each event."""

    average: float
    count: int


PRICES = PartitionedLog(
    "PRICES", "prices.*", "price-log", "price.{{wildcard(1)}}", "Prices", partitions=8,
    key_tokens=(1,), max_age_days=7,
)  # fmt: skip
AVERAGES = Log("AVERAGES", ("averages.*", "averages-position.*"), "Averages", atomic=True)
SNAPSHOTS = Log("AVERAGES_SNAPSHOTS", ("averages-snapshot.>",), "Snapshots", atomic=True)
STAGE = Stage("averages", PRICES, AVERAGES, "averages-position", SNAPSHOTS, "averages-snapshot")

ENTRY = ServiceEntry(
    name="rolling_average",
    description="Average prices over five minutes",
    topology=lambda: Topology((PRICES, AVERAGES, SNAPSHOTS, LEASES)),
    messages=(
        MessageType("price", "prices.<symbol>", Price, "Event: a symbol has a price"),
        MessageType("average", "averages.<symbol>", Average, "Result: its average now"),
    ),
    stages=lambda: (StageEntry(STAGE, lambda *_: RollingAverage()),),
)


class RollingAverage:
    """State of one partition: the last five minutes of each symbol, by arrival."""

    schema = 1

    def __init__(self) -> None:
        self._symbols: dict[str, SlidingWindow[float]] = {}
        self._skipped = 0
        self._now_ms = 0

    def apply(self, event: Event) -> Sequence[Output]:
        """Take in one price; what is none is counted and left."""
        kind, _, symbol = event.subject.partition(".")
        if kind != "price":
            return ()
        try:
            price = msgspec.json.decode(event.data, type=Price).price
        except msgspec.DecodeError:
            self._skipped += 1
            return ()
        at_ms = self._now_ms = max(self._now_ms, event.arrival_ns // 1_000_000)
        window = self._symbols.setdefault(symbol, SlidingWindow(WINDOW_MS))
        window.insert(at_ms, price)
        window.evict(at_ms)
        count = window.count(at_ms)
        average = Average(total(window, at_ms) / count, count)
        return (Output(f"averages.{symbol}", msgspec.json.encode(average)),)

    def open_windows(self) -> int:
        """Nothing waits for time to go on."""
        return 0

    def keys(self) -> int:
        """Return how many prices are kept."""
        return sum(map(len, self._symbols.values()))

    def numbers(self) -> Mapping[str, float]:
        """Return what `/metrics` shows."""
        return {"symbols": len(self._symbols), "skipped_prices": self._skipped}

    def snapshot(self) -> Iterator[object]:
        """Yield the state, a symbol at a time."""
        yield ["", [self._skipped, self._now_ms]]
        for symbol, window in self._symbols.items():
            yield [symbol, window.snapshot()]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take in a snapshot."""
        for symbol, state in map(msgspec.msgpack.decode, pieces):
            if symbol:
                self._symbols[symbol] = SlidingWindow(WINDOW_MS)
                self._symbols[symbol].restore(state)
            else:
                self._skipped, self._now_ms = state


if __name__ == "__main__":
    service = LogService(entry=ENTRY, stage=STAGE, fold=RollingAverage)
    sys.exit(serve_log(service, load_settings(ProcessSettings)))
