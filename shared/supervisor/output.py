"""The output of many children on one screen: each line with the name of its child before it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import TextIO

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_LONGEST_LINE_BYTES = 1024 * 1024


class Screen:
    """Writes lines to `stream`; the names' column is as wide as the longest of `names`."""

    def __init__(self, stream: TextIO, names: Iterable[str], *, coloured: bool) -> None:
        self._stream = stream
        colours = dict(zip(names, itertools.cycle(_COLOURS), strict=False))
        width = max(map(len, colours), default=0)
        self._prefixes = {
            name: f"\x1b[{colour}m{name:{width}} |\x1b[0m " if coloured else f"{name:{width}} | "
            for name, colour in colours.items()
        }

    def line(self, name: str, text: str) -> None:
        """Write one line of the child `name`; nothing happens when nobody reads any more."""
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(f"{self._prefixes.get(name, '')}{text}\n")
            self._stream.flush()


class Lines:
    """Cuts a stream of bytes into lines of text; an endless line comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Take more bytes; yield the lines that are whole now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE_BYTES:
            whole.append(self._rest)
            self._rest = b""
        for line in whole:
            yield _text(line)

    def end(self) -> Iterator[str]:
        """Yield what is left when the stream ends without a line's end."""
        if self._rest:
            yield _text(self._rest)
        self._rest = b""


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", "replace")
