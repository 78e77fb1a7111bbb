"""Laws of tumbling, hopping and session windows; `tests/integration` tries them longer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.log_stream.windowed import windowed
from shared.log_stream.windows import Hopping, Session, Sliding, Span, Tumbling
from tests import window_laws as laws
from tests.window_laws import Bags, Case, Event, Run, cases, cases_within_grace, run

few = settings(max_examples=15, deadline=None)


@few
@given(cases_within_grace(most=12))
def test_any_order_within_grace_gives_the_same_results(case: Case) -> None:
    laws.any_order_within_grace_gives_the_same_results(case)


@few
@given(cases(most=12))
def test_each_event_is_counted_or_missed_never_both(case: Case) -> None:
    laws.each_event_is_counted_or_missed_never_both(case)


@pytest.mark.parametrize(
    ("gap_ms", "grace_ms", "allowed_ms", "times"),
    [(8, 9, 0, (0, 9, 25, 2)), (7, 4, 15, (0, 8, 33, 2)), (12, 0, 1, (0, 25, 13, 2))],
)
def test_no_event_joins_over_a_closed_session(
    gap_ms: int, grace_ms: int, allowed_ms: int, times: tuple[int, ...]
) -> None:
    events = [Event(number, "a", time_ms) for number, time_ms in enumerate(times)]
    case = Case(Session(gap_ms), grace_ms, allowed_ms, events)
    laws.a_closed_window_changes_by_revisions_only(case)


@few
@given(cases(most=12))
def test_a_closed_window_changes_by_revisions_only(case: Case) -> None:
    laws.a_closed_window_changes_by_revisions_only(case)


@few
@given(cases(most=12), st.integers(0, 12), st.integers(1, 3))
def test_restored_anywhere_the_run_is_the_same(case: Case, cut: int, chunk_windows: int) -> None:
    laws.restored_anywhere_the_run_is_the_same(case, cut, chunk_windows)


@few
@given(cases_within_grace(most=12), st.integers(1, 4), st.integers(1, 5))
def test_hopping_is_the_sum_of_tumbling_pieces(case: Case, hops: int, every_ms: int) -> None:
    laws.hopping_is_the_sum_of_tumbling_pieces(case, hops, every_ms)


def test_a_late_event_corrects_a_window_for_so_long_as_lateness_is_allowed() -> None:
    late = Run(Case(Tumbling(10), grace_ms=0, allowed_ms=5, events=[]))
    for number, time_ms in enumerate([3, 10, 4, 14, 5, 15, 6]):
        late.take(Event(number, "a", time_ms))
    assert late.outputs == [
        ("a", 0, 10, [0], 0, True),
        ("a", 0, 10, [0, 2], 1, True),
        ("a", 0, 10, [0, 2, 4], 2, True),
    ]
    assert [event.time_ms for event in late.late] == [4, 5, 6]
    assert [missed.event.time_ms for missed in late.missed] == [6]


def test_a_late_event_bridges_two_closed_sessions_into_one_that_replaces_both() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([0, 15, 40, 7])]
    done = run(Case(Session(10), grace_ms=0, allowed_ms=100, events=events))
    assert done.outputs == [
        ("a", 0, 10, [0], 0, True),
        ("a", 15, 25, [1], 0, True),
        ("a", 0, 25, [0, 1, 3], 1, True),
        ("a", 40, 50, [2], 0, True),
    ]


def test_a_late_event_opens_a_closed_session_again() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([0, 12, 8])]
    done = run(Case(Session(10), grace_ms=0, allowed_ms=100, events=events))
    assert done.outputs == [
        ("a", 0, 10, [0], 0, True),
        ("a", 0, 22, [0, 1, 2], 1, False),
        ("a", 0, 22, [0, 1, 2], 2, True),
    ]
    assert not done.late


def test_what_touches_a_session_closed_for_good_does_not_join_the_next_one() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([0, 12, 8])]
    done = run(Case(Session(10), grace_ms=0, allowed_ms=0, events=events))
    assert done.outputs == [("a", 0, 10, [0], 0, True), ("a", 12, 22, [1], 0, True)]
    assert [event.time_ms for event in done.late] == [8]


@pytest.mark.parametrize("times", [[0, 10], [10, 0]])
def test_events_one_gap_apart_are_two_sessions(times: list[int]) -> None:
    events = [Event(time_ms, "a", time_ms) for time_ms in times]
    done = run(Case(Session(10), grace_ms=10, allowed_ms=0, events=events))
    assert done.outputs == [("a", 0, 10, [0], 0, True), ("a", 10, 20, [10], 0, True)]


def test_an_event_out_of_order_does_not_shorten_its_session() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([0, 5, 2])]
    done = run(Case(Session(10), grace_ms=10, allowed_ms=0, events=events))
    assert done.outputs == [("a", 0, 15, [0, 1, 2], 0, True)]


def test_a_late_event_within_a_closed_session_corrects_it() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([0, 5])]
    other = Event(2, "b", 20)
    late = Event(3, "a", 3)
    done = run(Case(Session(10), grace_ms=0, allowed_ms=10, events=[*events, other, late]))
    assert done.outputs[:2] == [("a", 0, 15, [0, 1], 0, True), ("a", 0, 15, [0, 1, 3], 1, True)]
    assert done.late == [late]


def test_a_closed_session_is_remembered_for_as_long_as_an_event_can_touch_it() -> None:
    events = [Event(n, "a", t) for n, t in enumerate([1, 10, 30, 19])]
    done = run(Case(Session(10), grace_ms=0, allowed_ms=5, events=events))
    assert done.outputs == [("a", 1, 20, [0, 1], 0, True), ("a", 30, 40, [2], 0, True)]
    assert [missed.event.time_ms for missed in done.missed] == [19]


@pytest.mark.parametrize("windower", [Tumbling(10), Session(4)])
def test_revisions_go_on_after_a_restore(windower: Tumbling | Session) -> None:
    case = Case(windower, grace_ms=0, allowed_ms=50, events=[])
    late = Run(case)
    for number, time_ms in enumerate([1, 20, 2]):
        late.take(Event(number, "a", time_ms))
    late = late.carried_over(case, 1)
    late.take(Event(3, "a", 3))
    assert [(bag, revision) for _, _, _, bag, revision, _ in late.outputs] == [
        ([0], 0),
        ([0, 2], 1),
        ([0, 2, 3], 2),
    ]


def test_restored_sessions_close_on_time_beside_those_that_are_kept() -> None:
    case = Case(Session(10), grace_ms=0, allowed_ms=50, events=[])
    late = Run(case)
    late.take(Event(0, "a", 0))
    late.take(Event(1, "a", 20))
    late = late.carried_over(case, 1)
    late.take(Event(2, "b", 31))
    assert late.outputs == [("a", 0, 10, [0], 0, True), ("a", 20, 30, [1], 0, True)]


@pytest.mark.parametrize("windower", [Tumbling(10), Hopping(10, 5), Session(10)])
def test_an_overdue_close_is_an_error_and_no_silent_difference(
    windower: Tumbling | Hopping | Session,
) -> None:
    windows = windowed(windower, Bags())
    windows.add("a", 1, 0, 0)
    with pytest.raises(RuntimeError, match="overdue"):
        windows.add("a", 1, 0, 20)


def test_a_window_that_only_late_events_are_in_is_dropped_when_its_lateness_is_over() -> None:
    windows = windowed(Tumbling(10), Bags(), 5)
    emission = windows.add("a", 1, 0, 12)
    assert emission is not None
    assert [closed.revision for closed in emission.corrected] == [0]
    assert windows.due_ms == 15
    assert not windows.close(15)
    assert not list(windows.snapshot())


def test_a_snapshot_comes_in_slices() -> None:
    windows = windowed(Tumbling(10), Bags())
    for number in range(25):
        windows.add(f"k{number}", number % 2 * 10, number, 0)
    sizes = [sum(len(row[1]) for row in chunk) for chunk in windows.snapshot(4)]
    assert sizes == [4, 4, 4, 4, 4, 4, 1]


@given(laws.windowers(), st.integers(-100, 100))
@few
def test_the_spans_of_an_event_contain_it(
    windower: Tumbling | Hopping | Session, time_ms: int
) -> None:
    spans = windower.spans(time_ms)
    assert spans == sorted(set(spans))
    assert all(span.start_ms <= time_ms < span.end_ms for span in spans)


def test_windows_are_half_open_and_aligned() -> None:
    assert Tumbling(10).spans(9) == [Span(0, 10)]
    assert Tumbling(10).spans(10) == [Span(10, 20)]
    assert Tumbling(10).spans(-1) == [Span(-10, 0)]
    assert Tumbling(10, 3).spans(2) == [Span(-7, 3)]
    assert Hopping(10, 4).spans(9) == [Span(0, 10), Span(4, 14), Span(8, 18)]
    assert Hopping(10, 4).spans(11) == [Span(4, 14), Span(8, 18)]
    assert Session(10).spans(7) == [Span(7, 17)]
    assert Sliding(10).spans(7) == [Span(-2, 8)]


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: Tumbling(0), "size_ms"),
        (lambda: Tumbling(10, 10), "offset_ms"),
        (lambda: Hopping(10, 11), "every_ms"),
        (lambda: Hopping(10, 5, 5), "offset_ms"),
        (lambda: Session(0), "gap_ms"),
        (lambda: Sliding(0), "size_ms"),
        (lambda: windowed(Tumbling(1), Bags(), -1), "allowed_lateness_ms"),
        (lambda: windowed(Session(1), Bags(), -1), "allowed_lateness_ms"),
    ],
)
def test_a_senseless_window_is_refused_by_name(build: object, named: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=named):
        build()
