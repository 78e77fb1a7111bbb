"""Users as text: configuration of `nats-server`, a table for `docs/security.md`, new passwords."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from shared.permissions import User, inbox_prefix

Auth = Literal["password", "nkey", "local"]

LOCAL = "local"
"""With `local`: the password of every user, and the user of whoever brings no login."""

_MADE = "# Made by `headrace permissions{how}`; change the topology, not this file."
_CLOSED = (
    "# It names no secret: the server takes each value from its environment, and does not",
    "# start without.",
)
_OPEN = (
    "# For a server that only its own machine reaches: every password is `local`, and who brings",
    "# no login is the user `local`, who may do everything.",
)
ACCOUNT = "HEADRACE"
"""The account that holds the streams."""

_API = "$JS.API."
_NO_WRITES = ("$JS.", "$SRV.", "headrace.")
"""What asks or answers, rather than to be stored."""
_READING = ("STREAM.MSG.GET.", "DIRECT.GET.", "CONSUMER.MSG.NEXT.")
_ANSWERS = 'allow_responses: {max: 1, expires: "1m"}'


def variable(user: User, auth: Auth) -> str:
    """Return the variable of the server's environment with a user's password or public key."""
    return f"NATS_{user.name.upper()}_{'NKEY' if auth == 'nkey' else 'PASSWORD'}"


def configuration(users: Sequence[User], auth: Auth) -> str:
    """Return the block `accounts` of a server's configuration file."""
    made = _MADE.format(how="" if auth == "password" else f" --auth {auth}")
    lines = [made, *(_OPEN if auth == LOCAL else _CLOSED), ""]
    if auth == LOCAL:
        lines += [f"no_auth_user: {LOCAL}", ""]
    lines.append("accounts {")
    lines += _streams_account(users, auth)
    for user in users:
        if user.outside:
            lines += _outside_account(user, auth)
    return "\n".join([*lines, "}", ""])


def new_passwords(users: Iterable[User]) -> str:
    """Return settings for `compose.yaml`: users that all need a login, and a new secret each.

    A secret has 192 random bits, and is a word to the parser of the server's configuration.
    """
    lines = (f"{variable(user, 'password')}=p{secrets.token_hex(24)}" for user in users)
    return "\n".join(["NATS_USERS=users", *lines, ""])


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


def _streams_account(users: Sequence[User], auth: Auth) -> Iterator[str]:
    """Yield the account of streams and services. Who is outside reaches it by exports only.

    In one account with the streams, anybody can have the answer to a request stored in any of
    them, by naming its subject as the one to answer on: the server asks no permission for that.
    An answer that goes to another account stays there.
    """
    outside = [user for user in users if user.outside]
    asked = dict.fromkeys(subject for user in outside for subject in user.publish)
    heard = dict.fromkeys(subject for user in outside for subject in _results_of(user))
    yield f"  {ACCOUNT}: {{"
    yield "    jetstream: enabled"
    yield "    exports: ["
    yield from (f'      {{service: "{subject}"{_responses(subject)}}}' for subject in asked)
    yield from (f'      {{stream: "{subject}"}}' for subject in heard)
    yield "    ]"
    anybody = [f"      {{user: {LOCAL}}}"] if auth == LOCAL else []
    yield from _users([user for user in users if not user.outside], auth, anybody)
    yield "  }"


def _outside_account(user: User, auth: Auth) -> Iterator[str]:
    yield f"  {user.name.upper()}: {{"
    yield "    imports: ["
    yield from (f"      {{service: {_of_streams(subject)}}}" for subject in user.publish)
    yield from (f"      {{stream: {_of_streams(subject)}}}" for subject in _results_of(user))
    yield "    ]"
    yield from _users([user], auth)
    yield "  }"


def _results_of(user: User) -> Iterator[str]:
    """Yield what a user outside hears, its inbox apart."""
    return (one for one in user.subscribe if not one.startswith(inbox_prefix(user.name)))


def _responses(subject: str) -> str:
    """Several instances of a service answer discovery, and for their state, each by itself."""
    every = subject.startswith(("$SRV.", "headrace.instances."))
    return ", response_type: stream" if every else ""


def _of_streams(subject: str) -> str:
    return f'{{account: {ACCOUNT}, subject: "{subject}"}}'


def _users(users: Iterable[User], auth: Auth, others: Iterable[str] = ()) -> Iterator[str]:
    yield "    users: ["
    yield from others
    for user in users:
        secret = LOCAL if auth == LOCAL else f"${variable(user, auth)}"
        yield f"      # {user.purpose}. NATS_INBOX_PREFIX={inbox_prefix(user.name)}"
        yield "      {"
        if auth != "nkey":
            yield f"        user: {user.name}"
            yield f"        password: {secret}"
        else:
            yield f"        nkey: {secret}"
        yield "        permissions: {"
        yield from _subjects("publish", user.publish)
        yield from _subjects("subscribe", user.subscribe)
        if user.answers:
            yield f"          {_ANSWERS}"
        yield "        }"
        yield "      }"
    yield "    ]"


def _subjects(verb: str, subjects: Iterable[str]) -> Iterator[str]:
    yield f"          {verb}: {{"
    yield "            allow: ["
    yield from (f'              "{subject}"' for subject in subjects)
    yield "            ]"
    yield "          }"


def _cell(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))
