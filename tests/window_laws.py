"""Laws of windows, for any events: the unit tests try a few dozen cases, the integration tier many.

The aggregate is a bag of event numbers: what a result counted can be read from it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from shared.log_stream.clock import FOREVER, Watermark
from shared.log_stream.windowed import Closed, Windowed, windowed
from shared.log_stream.windows import Hopping, Session, Tumbling, Windower

Bag = list[int]


class Event(NamedTuple):
    number: int
    key: str
    time_ms: int


class Bags:
    """Aggregate that keeps which events it was given, sorted."""

    def new(self) -> Bag:
        return []

    def add(self, state: Bag, value: int) -> Bag:
        insort(state, value)
        return state

    def merge(self, left: Bag, right: Bag) -> Bag:
        return sorted(left + right)


class Case(NamedTuple):
    windower: Windower
    grace_ms: int
    allowed_ms: int
    events: list[Event]
    """In the order of arrival."""


class Missed(NamedTuple):
    event: Event
    windows: int


Output = tuple[str, int, int, Bag, int, bool]
"""Key, start, end, bag, revision, final."""


class Run:
    """One partition: its clock, its windows, and all that came out of them so far."""

    def __init__(self, case: Case) -> None:
        self.watermark = Watermark(case.grace_ms)
        self.windows: Windowed[Bag, int] = windowed(case.windower, Bags(), case.allowed_ms)
        self.outputs: list[Output] = []
        self.missed: list[Missed] = []
        self.late: list[Event] = []
        self.uncounted: list[Event] = []

    def take(self, event: Event) -> None:
        self.watermark.observe(event.time_ms, event.time_ms * 1_000_000)
        self.close(self.watermark.value_ms)
        emission = self.windows.add(event.key, event.time_ms, event.number, self.watermark.value_ms)
        if emission is None:
            return
        self._emit(emission.corrected)
        if emission.missed:
            self.missed.append(Missed(event, emission.missed))
        assert emission.counted or emission.late
        if not emission.counted:
            self.uncounted.append(event)
        if emission.late:
            assert self.watermark.is_closed(emission.end_ms)
            self.late.append(event)

    def close(self, watermark_ms: int) -> None:
        if watermark_ms >= self.windows.due_ms:
            self._emit(self.windows.close(watermark_ms))

    def carried_over(self, case: Case, chunk_windows: int) -> Run:
        """Return this run as another process would continue it from a snapshot."""
        encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
        other = Run(case)
        other.watermark.restore(decode(encode(self.watermark.snapshot())))
        for chunk in self.windows.snapshot(chunk_windows):
            other.windows.restore(decode(encode(chunk)))
        assert other.windows.open_windows == self.windows.open_windows
        other.outputs, other.missed = self.outputs, self.missed
        other.late, other.uncounted = self.late, self.uncounted
        return other

    def _emit(self, results: Iterable[Closed[Bag]]) -> None:
        self.outputs += [
            (r.key, r.start_ms, r.end_ms, list(r.state), r.revision, r.final) for r in results
        ]


def run(case: Case) -> Run:
    """Take all events, then close all."""
    whole = Run(case)
    for event in case.events:
        whole.take(event)
    whole.close(FOREVER - 1)
    assert whole.windows.open_windows == 0
    assert not list(whole.windows.snapshot()), "everything was closed and dropped"
    return whole


def windowers() -> st.SearchStrategy[Windower]:
    """Windows of a few milliseconds, so that small numbers meet at their edges."""
    sizes = st.integers(1, 12)
    hopping = st.builds(
        lambda every, more, offset: Hopping(every + more, every, offset % every),
        st.integers(1, 6),
        st.integers(0, 12),
        st.integers(0, 5),
    )
    tumbling = st.builds(lambda size, offset: Tumbling(size, offset % size), sizes, sizes)
    return st.one_of(tumbling, hopping, st.builds(Session, sizes))


@st.composite
def cases(draw: st.DrawFn, *, most: int = 25) -> Case:
    """Events in any order, some of them late."""
    moments = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 60)), max_size=most))
    events = [Event(number, key, time_ms) for number, (key, time_ms) in enumerate(moments)]
    grace_ms, allowed_ms = draw(st.tuples(st.integers(0, 15), st.integers(0, 15)))
    return Case(draw(windowers()), grace_ms, allowed_ms, events)


@st.composite
def cases_within_grace(draw: st.DrawFn, *, most: int = 25) -> Case:
    """Events none of which comes more than grace behind one that it should have preceded."""
    case = draw(cases(most=most))
    delays = draw(
        st.lists(
            st.integers(0, case.grace_ms), min_size=len(case.events), max_size=len(case.events)
        )
    )
    arrivals = {
        event: event.time_ms + delay for event, delay in zip(case.events, delays, strict=True)
    }
    return case._replace(events=sorted(case.events, key=arrivals.__getitem__))


def brute_force(case: Case) -> list[Output]:
    """Return what the results must be, by looking at all events at once."""
    bags: dict[tuple[int, int, str], Bag] = {}
    ordered = sorted(case.events, key=lambda event: event.time_ms)
    if isinstance(case.windower, Session):
        for key in {event.key for event in ordered}:
            for session in _split([e for e in ordered if e.key == key], case.windower.gap_ms):
                place = (session[-1].time_ms + case.windower.gap_ms, session[0].time_ms, key)
                bags[place] = sorted(event.number for event in session)
    else:
        size_ms, every_ms = case.windower.size_ms, case.windower.every_ms
        for start_ms in range(-40, 80):
            if (start_ms - case.windower.offset_ms) % every_ms:
                continue
            for number, key, time_ms in case.events:
                if start_ms <= time_ms < start_ms + size_ms:
                    bags.setdefault((start_ms + size_ms, start_ms, key), []).append(number)
    return [
        (key, start_ms, end_ms, sorted(bag), 0, True)
        for (end_ms, start_ms, key), bag in sorted(bags.items())
    ]


def _split(events: Sequence[Event], gap_ms: int) -> list[list[Event]]:
    sessions: list[list[Event]] = []
    for event in events:
        if sessions and event.time_ms - sessions[-1][-1].time_ms < gap_ms:
            sessions[-1].append(event)
        else:
            sessions.append([event])
    return sessions


def any_order_within_grace_gives_the_same_results(case: Case) -> None:
    done = run(case)
    assert done.outputs == brute_force(case)
    assert not done.late
    assert not done.missed


def each_event_is_counted_or_missed_never_both(case: Case) -> None:
    done = run(case)
    standing: dict[tuple[str, int, int], Bag] = {}
    for key, start_ms, end_ms, bag, _, _ in done.outputs:
        if isinstance(case.windower, Session):  # a result replaces those that it overlaps
            for place in [p for p in standing if p[0] == key and p[1] < end_ms and start_ms < p[2]]:
                assert set(standing.pop(place)) <= set(bag)
        standing[key, start_ms, end_ms] = bag
    missed = {event.number: windows for event, windows in done.missed}
    assert len(missed) == len(done.missed)
    for event in case.events:
        taken = sum(bag.count(event.number) for bag in standing.values())
        assert taken + missed.get(event.number, 0) == len(case.windower.spans(event.time_ms))
        assert (taken == 0) == (event in done.uncounted)
    for (key, start_ms, end_ms), bag in standing.items():
        for number in bag:
            assert case.events[number].key == key
            assert start_ms <= case.events[number].time_ms < end_ms


def a_closed_window_changes_by_revisions_only(case: Case) -> None:
    newest: dict[tuple[str, int, int], Output] = {}
    for output in run(case).outputs:
        key, start_ms, end_ms, bag, revision, final = output
        before = [
            newest[place]
            for place in newest
            if place == (key, start_ms, end_ms)
            or (
                isinstance(case.windower, Session)
                and place[0] == key
                and place[1] < end_ms
                and start_ms < place[2]
            )
        ]
        assert revision == max((other[4] for other in before), default=-1) + 1
        for other in before:
            assert set(other[3]) < set(bag) or not other[5]
        assert revision == 0 or case.allowed_ms > 0
        assert final or revision > 0
        newest[key, start_ms, end_ms] = output
    assert all(final for *_, final in newest.values())


def restored_anywhere_the_run_is_the_same(case: Case, cut: int, chunk_windows: int) -> None:
    straight = run(case)
    cut %= len(case.events) + 1
    pieces = Run(case)
    for number, event in enumerate(case.events):
        if number == cut:
            pieces = pieces.carried_over(case, chunk_windows)
        pieces.take(event)
    if cut == len(case.events):
        pieces = pieces.carried_over(case, chunk_windows)
    pieces.close(FOREVER)
    assert pieces.outputs == straight.outputs
    assert pieces.missed == straight.missed
    assert pieces.late == straight.late
    assert pieces.uncounted == straight.uncounted


def hopping_is_the_sum_of_tumbling_pieces(case: Case, hops: int, every_ms: int) -> None:
    whole = run(case._replace(windower=Hopping(hops * every_ms, every_ms)))
    pieces = run(case._replace(windower=Tumbling(every_ms)))
    merge: Callable[[Bag, Bag], Bag] = Bags().merge
    sums: dict[tuple[str, int], Bag] = {}
    for key, start_ms, _, bag, _, _ in pieces.outputs:
        for back in range(hops):
            place = (key, start_ms - back * every_ms)
            sums[place] = merge(sums.get(place, []), bag)
    assert {(key, start): bag for key, start, _, bag, _, _ in whole.outputs} == sums
