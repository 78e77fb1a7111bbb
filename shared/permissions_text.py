"""Users as text: configuration of `nats-server`, and a table for `docs/security.md`. No secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from shared.permissions import User, inbox_prefix

Auth = Literal["password", "nkey"]

_HEAD = """\
# Made by `headrace permissions`; change the topology, not this file.
# It names no secret: the server takes each value from its environment, and does not start without.
"""
_API = "$JS.API."
_NO_WRITES = ("$JS.", "$SRV.", "headrace.")
"""What asks or answers, rather than to be stored."""
_READING = ("STREAM.MSG.GET.", "DIRECT.GET.", "CONSUMER.MSG.NEXT.")
_ANSWERS = 'allow_responses: {max: 1, expires: "1m"}'


def variable(user: User, auth: Auth) -> str:
    """Return the variable of the server's environment with a user's password or public key."""
    return f"NATS_{user.name.upper()}_{'PASSWORD' if auth == 'password' else 'NKEY'}"


def configuration(users: Iterable[User], auth: Auth) -> str:
    """Return the block `authorization` of a server's configuration file."""
    return "\n".join(
        [_HEAD, "authorization {", "  users: [", *_blocks(users, auth), "  ]", "}", ""]
    )


def table(users: Sequence[User]) -> str:
    """Return a table in Markdown of what each user may do, without the details of the API."""
    head = ["| user | writes | reads | purges | hears |", "|---|---|---|---|---|"]
    return "\n".join([*head, *map(_row, users), ""])


def _row(user: User) -> str:
    asked = [one.removeprefix(_API) for one in user.publish if one.startswith(_API)]
    writes = [one for one in user.publish if not one.startswith(_NO_WRITES)]
    hears = [one for one in user.subscribe if not one.startswith(_NO_WRITES)]
    reads = [one for verb in _READING for one in _after(verb, asked)]
    cells = (writes, reads, _after("STREAM.PURGE.", asked), hears)
    everything = (writes, ["all"], ["all"], hears)
    columns = everything if ">" in asked else cells
    return f"| `{user.name}` | {' | '.join(map(_cell, columns))} |"


def _after(verb: str, asked: Iterable[str]) -> list[str]:
    return [one.removeprefix(verb) for one in asked if one.startswith(verb)]


def _blocks(users: Iterable[User], auth: Auth) -> Iterator[str]:
    for user in users:
        secret = f"${variable(user, auth)}"
        yield f"    # {user.purpose}. NATS_INBOX_PREFIX={inbox_prefix(user.name)}"
        yield "    {"
        if auth == "password":
            yield f"      user: {user.name}"
            yield f"      password: {secret}"
        else:
            yield f"      nkey: {secret}"
        yield "      permissions: {"
        yield from _subjects("publish", user.publish)
        yield from _subjects("subscribe", user.subscribe)
        if user.answers:
            yield f"        {_ANSWERS}"
        yield "      }"
        yield "    }"


def _subjects(verb: str, subjects: Iterable[str]) -> Iterator[str]:
    yield f"        {verb}: {{"
    yield "          allow: ["
    yield from (f'            "{subject}"' for subject in subjects)
    yield "          ]"
    yield "        }"


def _cell(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))
