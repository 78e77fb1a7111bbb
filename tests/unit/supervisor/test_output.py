"""Every line reaches the screen whole, with the name of its child."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from shared.supervisor.output import Lines, Screen


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), st.data())
def test_lines_do_not_depend_on_how_the_bytes_arrive(texts: list[str], data: st.DataObject) -> None:
    whole = "".join(f"{text}\n" for text in texts).encode()
    cut = data.draw(st.integers(0, len(whole)))
    lines = Lines()
    assert [*lines.feed(whole[:cut]), *lines.feed(whole[cut:]), *lines.end()] == texts


def test_the_last_words_without_an_end_of_line_are_kept() -> None:
    lines = Lines()
    assert list(lines.feed(b"one\r\ntwo")) == ["one"]
    assert list(lines.end()) == ["two"]
    assert list(lines.end()) == []


def test_a_line_without_end_comes_in_pieces() -> None:
    lines = Lines()
    pieces = [piece for _ in range(40) for piece in lines.feed(b"x" * 100_000)]
    assert sum(map(len, [*pieces, *lines.end()])) == 4_000_000
    assert len(pieces) > 1


def test_names_stand_in_one_column_without_colours_off_a_terminal() -> None:
    stream = io.StringIO()
    screen = Screen(stream, ["a", "longer"], coloured=False)
    screen.line("a", "x")
    screen.line("longer", "y")
    assert stream.getvalue() == "a      | x\nlonger | y\n"


def test_every_name_has_a_colour_of_its_own() -> None:
    stream = io.StringIO()
    screen = Screen(stream, ["a", "b"], coloured=True)
    screen.line("a", "")
    screen.line("b", "")
    first, second = stream.getvalue().splitlines()
    assert first.startswith("\x1b[")
    assert first.split("m")[0] != second.split("m")[0]
