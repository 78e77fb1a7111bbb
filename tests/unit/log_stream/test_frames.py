"""However a stream of frames is cut, nobody misses or sees anything else than by nats-py alone."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from shared.log_stream import frames
from shared.log_stream.frames import Frame, FrameParser, Headers

DIVERTED = 7
FOREIGN = 3

many = settings(max_examples=100, deadline=None)


class Seen(NamedTuple):
    """What the two kinds of subscriptions, and the connection itself, have been given."""

    stored: list[tuple[int, str, str, dict[str, str] | None, bytes]]
    other: list[tuple[Any, ...]]


class Connection(Client):
    """A client without a network: nats-py's own reading of headers, and notes of the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen([], [])
        self.diverted = True

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        given = await self._process_headers(headers)
        message = (sid, subject.decode(), reply.decode(), given, data)
        (self.seen.stored if sid == DIVERTED and reply else self.seen.other).append(message)

    async def _process_ping(self) -> None:
        self.seen.other.append(("ping",))

    async def _process_pong(self) -> None:
        self.seen.other.append(("pong",))

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - as nats-py has it
        self.seen.other.append(("info", info))

    async def _process_err(self, err_msg: str) -> None:
        self.seen.other.append(("error", err_msg))

    def take(self, taken: list[Frame]) -> None:
        assert self.diverted
        for subject, reply, headers, data in taken:
            given = None if headers is None else dict(headers)
            self.seen.stored.append((DIVERTED, subject, reply, given, data))


def subscription(client: Client, number: int = DIVERTED) -> Subscription:
    return Subscription(client, number, "inbox")


token = st.text("abcxyz019-_é", min_size=1, max_size=8)
subject = st.lists(token, min_size=1, max_size=4).map(".".join)
body = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\r\n", b"MSG a 7 b 3\r\nabc\r\n", b"PING\r\n", b"x" * 3000]),
)
names = st.sampled_from(["Nats-Msg-Id", "Status", "Content-Type", "x"])
values = st.text("ab:é %1", max_size=6)
header_lines = st.lists(st.tuples(names, values), max_size=3)
status_lines = st.sampled_from(
    [
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 12\r\nNats-Last-Stream: 50\r\n\r\n",
        b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n",
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 0\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
    ]
)


def plain(number: int, about: str, reply: str, data: bytes) -> bytes:
    words = f"MSG {about} {number} {reply + ' ' if reply else ''}{len(data)}"
    return words.encode() + b"\r\n" + data + b"\r\n"


def with_headers(number: int, about: str, reply: str, block: bytes, data: bytes) -> bytes:
    sizes = f"{len(block)} {len(block) + len(data)}"
    words = f"HMSG {about} {number} {reply + ' ' if reply else ''}{sizes}"
    return words.encode() + b"\r\n" + block + data + b"\r\n"


def block_of(lines: Iterable[tuple[str, str]]) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(f"{n}: {v}\r\n".encode() for n, v in lines) + b"\r\n"


number = st.sampled_from([DIVERTED, DIVERTED, DIVERTED, FOREIGN])
frame = st.one_of(
    st.builds(plain, number, subject, subject, body),
    st.builds(with_headers, number, subject, subject, header_lines.map(block_of), body),
    st.builds(plain, number, subject, st.just(""), body),
    st.builds(with_headers, number, subject, st.just(""), status_lines, st.just(b"")),
    st.sampled_from(
        [b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'Slow'\r\n", b'INFO {"a": 1}\r\n']
    ),
)
streams = st.lists(frame, max_size=12).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    whole = draw(streams)
    cuts = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    edges = [0, *cuts, len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def by_nats_py(chunks: Sequence[bytes]) -> Seen:
    client = Connection()
    _feed(client._ps, chunks)  # noqa: SLF001
    return client.seen


def _feed(parser: Parser | FrameParser, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        _run(parser.parse(chunk))


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never has to wait; an event loop an example would cost more than all the rest."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def _diverted(client: Connection) -> FrameParser:
    frames.divert(client, subscription(client), client.take)
    return cast(FrameParser, client._ps)  # noqa: SLF001


@many
@given(cut_streams())
def test_however_cut_the_same_is_seen_as_by_nats_py_alone(chunks: list[bytes]) -> None:
    client = Connection()
    _feed(_diverted(client), chunks)
    assert client.seen == by_nats_py(chunks)


@many
@given(cut_streams(), st.integers(0, 8))
def test_diverting_may_begin_in_the_middle_of_a_frame(chunks: list[bytes], begun: int) -> None:
    client = Connection()
    _feed(client._ps, chunks[:begun])  # noqa: SLF001
    _feed(_diverted(client), chunks[begun:])
    assert client.seen == by_nats_py(chunks)


@many
@given(cut_streams(), st.integers(0, 8))
def test_diverting_may_end_in_the_middle_of_a_frame(chunks: list[bytes], ended: int) -> None:
    client = Connection()
    end = frames.divert(client, subscription(client), client.take)
    parser = cast(FrameParser, client._ps)  # noqa: SLF001
    _feed(parser, chunks[:ended])
    end()
    client.diverted = False
    _feed(parser, chunks[ended:])
    assert client.seen == by_nats_py(chunks)


@many
@given(streams, streams, st.integers(0, 2000))
def test_a_connection_that_breaks_in_the_middle_leaves_nothing_to_the_next(
    first: bytes, second: bytes, broken_at: int
) -> None:
    client = Connection()
    parser = _diverted(client)
    _feed(parser, [first[:broken_at]])
    parser.reset()
    client.seen = Seen([], [])
    _feed(parser, [second])
    assert client.seen == by_nats_py([second])


def test_what_comes_of_a_connection_that_is_given_up_is_left() -> None:
    client = Connection()
    parser = _diverted(client)
    client._status = Client.RECONNECTING  # noqa: SLF001
    _feed(parser, [plain(DIVERTED, "a", "b", b"late")[4:]])
    client._status = Client.CONNECTED  # noqa: SLF001
    _feed(parser, [plain(DIVERTED, "a", "b", b"new")])
    assert client.seen == Seen([(DIVERTED, "a", "b", None, b"new")], [])


def test_a_connection_given_up_while_a_frame_is_handled_takes_the_rest_with_it() -> None:
    class GivesUp(Connection):
        async def _process_ping(self) -> None:
            self._ps.reset()

    client = GivesUp()
    parser = _diverted(client)
    _feed(parser, [b"PING\r\n" + plain(DIVERTED, "a", "b", b"old") + b"MSG a 7"])
    _feed(parser, [plain(DIVERTED, "a", "b", b"new")])
    assert client.seen.stored == [(DIVERTED, "a", "b", None, b"new")]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"NONSENSE\r\n",
        b"MSG a 7 b x\r\n",
        b"HMSG a 7 b 12 x\r\n",
        b"HMSG a 7 b x 3\r\nabc\r\n",
        b"MSG a 7 b -5\r\n",
        b"\r\n",
    ],
)
def test_what_is_no_protocol_is_refused_as_by_nats_py(nonsense: bytes) -> None:
    good = plain(DIVERTED, "a", "b", b"good")
    client = Connection()
    with pytest.raises(ProtocolError):
        _feed(client._ps, [nonsense])  # noqa: SLF001
    client = Connection()
    with pytest.raises(ProtocolError):
        _feed(_diverted(client), [good + nonsense])
    assert client.seen.stored == [(DIVERTED, "a", "b", None, b"good")]


def test_a_subject_that_is_no_text_stops_nobody() -> None:
    client = Connection()
    _feed(_diverted(client), [b"MSG a.\xff 7 b 1\r\nx\r\n"])
    assert client.seen.stored == [(DIVERTED, "a.�", "b", None, b"x")]


@many
@given(header_lines)
def test_headers_are_those_of_nats_py(lines: list[tuple[str, str]]) -> None:
    block = block_of(lines)
    wanted = _run(Client()._process_headers(block)) or {}  # noqa: SLF001
    assert dict(Headers(block)) == wanted
    lazy = Headers(block)
    for name in ["Nats-Msg-Id", "Status", "nats-msg-id", "é"]:
        assert (name in lazy, lazy.get(name)) == (name in wanted, wanted.get(name))
    assert (len(lazy), bool(lazy)) == (len(wanted), bool(wanted))


def test_another_nats_py_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Connection()
    assert frames.unusable(client) == ""
    monkeypatch.setattr(frames, "VERSION", "2.99.0")
    assert frames.unusable(client) == "nats-py is 2.16.0, known is 2.99.0"
    with pytest.raises(RuntimeError, match=r"known is 2\.99\.0"):
        frames.divert(client, subscription(client), client.take)
    assert type(client._ps) is Parser  # noqa: SLF001


def test_a_nats_py_without_its_privates_is_not_touched() -> None:
    class Other(Parser):
        """A parser that we do not know."""

    client = Connection()
    client._ps = Other(client)  # noqa: SLF001
    assert frames.unusable(client) == "nats-py's parser is a Other"
    client._ps = Parser(client)  # noqa: SLF001
    del client._ps.needed  # noqa: SLF001
    assert frames.unusable(client) == "nats-py lacks needed"
