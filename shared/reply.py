"""What the reply subject of a delivered message says: nine tokens, as ADR-15 names them.

    $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>

With a domain there are two more before the stream, and a random one at the end.
"""

from __future__ import annotations

from typing import Final

from nats.aio.msg import Msg

STREAM: Final = 2
DELIVERED: Final = 4
SEQUENCE: Final = 5
CONSUMER_SEQUENCE: Final = 6
TIME_NS: Final = 7
PENDING: Final = 8

_PREFIX: Final = "$JS.ACK"
_WITH_DOMAIN: Final = 11
_DOTS: Final = 8


def tokens_of(reply: str) -> list[str]:
    """Return the tokens, those of a domain left out, so that the numbers above hold."""
    tokens = reply.split(".")
    return tokens if len(tokens) < _WITH_DOMAIN else tokens[2:_WITH_DOMAIN]


def last_tokens_of(reply: str) -> list[str]:
    """Return the four last tokens, from the sequence on, after one that says nothing; quickly."""
    if reply.count(".") == _DOTS:
        return reply.rsplit(".", 4)
    return tokens_of(reply)[DELIVERED:]


def status_of(msg: Msg) -> dict[str, str] | None:
    """Return the headers of a status of the server; None if this is a stored message.

    A stored message may have a header `Status` of its publisher's; its reply tells it apart.
    """
    given = msg.headers
    if given is None or "Status" not in given or msg.reply.startswith(_PREFIX):
        return None
    return given
