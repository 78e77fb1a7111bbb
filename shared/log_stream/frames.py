"""Stored messages from nats-py's connection in whole lists, past its queue and task a message.

nats-py reads a chunk from the socket and awaits its parser, which makes an object of each
message and puts it into a queue, where the subscription's task finds it. Here a parser of ours
stands in front: of the inboxes that were diverted to it, it takes the stored messages itself, a
chunk's at once. Everything else goes to nats-py's parser as it came, in whole frames: other
subscriptions, pings, errors, and the statuses of diverted inboxes too (they have no reply
subject, and nats-py reads them well).

Rests on these parts of nats-py 2.16.0 that are not its public API; `unusable` looks whether
they are there, and who gets a "no" reads by callback as the documentation has it:

- `Client._ps`: the parser. The read loop awaits `parse(chunk)`, one chunk at a time; whoever
  gives a connection up calls `reset()`.
- `nats.protocol.parser.Parser`: `buf`, `state`, `needed` tell what it still waits for; `nc` is
  the client.
- `Subscription._id`: the number that the server sends with each of its messages.
- `Client._parse_header_lines`: the lines of a header block as a dict.

What is taken here is not counted in `Client.stats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final, cast

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

Frame = tuple[str, str, Mapping[str, str] | None, bytes]
"""Subject, reply subject, headers and body of a message."""

Take = Callable[[list[Frame]], None]
"""Is called from the read loop: it must be quick and must not raise."""

VERSION: Final = "2.16.0"

_LINE_END: Final = b"\r\n"
_LINE_END_SIZE: Final = 2
_WITH_HEADERS: Final = 6
_STORED: Final = {5: "MSG", _WITH_HEADERS: "HMSG"}
"""A message with a reply subject, by the number of words in its first line."""
_MESSAGES: Final = frozenset({b"MSG", b"HMSG"})
_EMPTY_HEADERS: Final = len(b"NATS/1.0\r\n\r\n")


class Headers(Mapping[str, str]):
    """Headers that are parsed when somebody asks for one that may be there."""

    __slots__ = ("_parsed", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._parsed: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as Mapping has it
        """Return the header's value; where it cannot be in the block, without parsing that."""
        if self._parsed is None and name.encode() not in self._raw:
            return default
        return self._all().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> dict[str, str]:
        if self._parsed is None:
            _, _, lines = self._raw.partition(_LINE_END)
            self._parsed = Client._parse_header_lines(lines)  # noqa: SLF001 - see the module's docstring
        return self._parsed


def divert(client: Client, subscription: Subscription, take: Take) -> Callable[[], None]:
    """Give the stored messages of a subscription to `take`; return what ends that.

    Other messages still go to the subscription. Raises `RuntimeError` if `unusable`.
    """
    if why := unusable(client):
        raise RuntimeError(why)
    private: Any = client
    parser = private._ps  # noqa: SLF001 - see the module's docstring
    if not isinstance(parser, FrameParser):
        parser = FrameParser(parser)
        private._ps = parser  # noqa: SLF001 - likewise
    takers: dict[str, Take] = parser.takers
    number = str(cast(Any, subscription)._id)  # noqa: SLF001 - likewise
    takers[number] = take

    def end() -> None:
        takers.pop(number, None)

    return end


def unusable(client: Client) -> str:
    """Say why messages of this client cannot be diverted; nothing if they can."""
    installed = version("nats-py")
    if installed != VERSION:
        return f"nats-py is {installed}, known is {VERSION}"
    parser = getattr(client, "_ps", None)
    if isinstance(parser, FrameParser):
        return ""
    if type(parser) is not Parser:
        return f"nats-py's parser is a {type(parser).__name__}"
    lacking = [name for name in ("buf", "state", "needed", "nc") if not hasattr(parser, name)]
    lacking += [] if hasattr(client, "_parse_header_lines") else ["_parse_header_lines"]
    return f"nats-py lacks {', '.join(lacking)}" if lacking else ""


class FrameParser:
    """Stands in front of nats-py's parser, with the two methods that nats-py calls."""

    def __init__(self, stock: Parser) -> None:
        self.takers: dict[str, Take] = {}
        """By the number of the subscription."""
        self._stock = stock
        self._rest = bytearray()
        """The beginning of a frame."""
        self._missing = 0
        """At least so many bytes of it are still to come."""
        self._resets = 0

    def reset(self) -> None:
        """Forget what has come of a connection that is given up."""
        self._stock.reset()
        self._rest = bytearray()
        self._missing = 0
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Take in what has come. Raises nats-py's `ProtocolError`."""
        if self._stock.nc.is_reconnecting:
            return  # the last words of a connection that was given up, perhaps begun in the middle
        resets = self._resets
        data = await self._finish_stock(data)
        if len(data) < self._missing:
            self._missing -= len(data)
            self._rest += data
            return
        if self._rest:
            data = bytes(self._rest + data)
            self._rest = bytearray()
        position = 0
        while self._resets == resets:
            position = self._take(data, position)
            end = self._end_of_frame(data, position)
            if end == position:
                self._rest = bytearray(data[position:])
                return
            # This may wait, and meanwhile the connection may be given up, and `data` with it.
            await self._stock.parse(data[position:end])
            position = end

    async def _finish_stock(self, data: bytes) -> bytes:
        """Let nats-py's parser finish what it began before us; return what is left for us."""
        stock = self._stock
        if stock.state == AWAITING_CONTROL_LINE:
            if stock.buf:
                data = bytes(stock.buf) + data
                stock.buf = bytearray()
            return data
        wanted = stock.needed + _LINE_END_SIZE - len(stock.buf)
        await stock.parse(data[:wanted])
        return data[wanted:]

    def _take(self, data: bytes, position: int) -> int:
        """Take diverted messages from `position` on; return where something else begins."""
        taken: dict[str, list[Frame]] = {number: [] for number in self.takers}
        find = data.find
        size = len(data)
        while (line_end := find(_LINE_END, position)) >= 0:
            words = data[position:line_end].decode("utf-8", "replace").split(" ")
            count = len(words)
            if words[0] != _STORED.get(count):
                break
            frames = taken.get(words[2])
            if frames is None:
                break
            begin = body = line_end + _LINE_END_SIZE
            headers: Headers | None = None
            try:
                end = begin + int(words[-1])
                if count == _WITH_HEADERS:
                    body += int(words[4])
            except ValueError:
                break
            if end < begin or end + _LINE_END_SIZE > size:
                break
            if body > begin + _EMPTY_HEADERS:
                headers = Headers(data[begin:body])
            frames.append((words[1], words[3], headers, data[body:end]))
            position = end + _LINE_END_SIZE
        for number, frames in taken.items():
            if frames:
                self.takers[number](frames)
        return position

    def _end_of_frame(self, data: bytes, position: int) -> int:
        """Return the end of the frame at `position`; `position` itself if some of it is missing."""
        line_end = data.find(_LINE_END, position)
        if line_end < 0:
            self._missing = 1
            return position
        end = line_end + _LINE_END_SIZE
        words = data[position:line_end].split()
        if words and words[0] in _MESSAGES and words[-1].isdigit():
            end += int(words[-1]) + _LINE_END_SIZE
        self._missing = max(0, end - len(data))
        return position if self._missing else end
