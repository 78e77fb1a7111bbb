"""Make the server match a topology: create, update in place, or refuse with the way to mend.

Three steps, each of its own: `plan` compares, `render` says it in words, `apply` does it.
Fields that a topology does not mention are the operator's and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from nats.aio.client import Client

from shared import jetstream
from shared.logs import logger
from shared.settings import StreamSettings
from shared.topology import Durable, Log, PartitionedLog, Stream, Topology

_log = logger("provision")

_FIXED_STREAM_FIELDS = frozenset({"retention", "storage", "subject_transform"})
_FIXED_DURABLE_FIELDS = frozenset({"deliver_policy", "ack_policy", "max_waiting"})
_ZERO_MEANS_UNLIMITED = frozenset(
    {"max_msgs", "max_bytes", "max_msg_size", "max_msgs_per_subject", "max_deliver"}
)

Kind = Literal["stream", "durable"]


class ProvisionRefusedError(Exception):
    """The server holds something that cannot become what the topology says; says what to do."""


class LeftToOperatorError(Exception):
    """The server differs from the topology, and only an operator may change it; says how."""


class _CreatedMeanwhileError(ProvisionRefusedError):
    """Another service that starts now was faster, and wants it otherwise: compare again."""


class Difference(Struct, frozen=True):
    """One field that differs: `have` on the server, `want` in the topology."""

    field: str
    have: Any
    want: Any


class Change(Struct, frozen=True):
    """What to do to one stream or durable."""

    kind: Kind
    stream: str
    name: str
    config: dict[str, Any]
    action: Literal["create", "update", "none", "refuse"]
    differences: tuple[Difference, ...] = ()
    mend: str = ""


async def provision(client: Client, topology: Topology, settings: StreamSettings) -> list[Change]:
    """Compare and apply; return what was done.

    Raises `ProvisionRefusedError`; with `settings.provision` "check" nothing is changed, and
    `LeftToOperatorError` says what would have been.
    """
    while True:
        changes = await plan(client, topology, settings)
        if settings.provision == "check":
            _see_that_nothing_differs(changes)
            return changes
        try:
            await apply(client, changes)
        except _CreatedMeanwhileError:
            continue
        return changes


def _see_that_nothing_differs(changes: list[Change]) -> None:
    differing = [change for change in changes if change.action != "none"]
    if any(change.action == "refuse" for change in differing):
        raise ProvisionRefusedError("\n".join(render(differing)))
    if differing:
        raise LeftToOperatorError("\n".join(render(differing)))


async def plan(client: Client, topology: Topology, settings: StreamSettings) -> list[Change]:
    """Compare the topology with the server."""
    streams = [await _plan_stream(client, stream, settings) for stream in topology.streams]
    created = {change.name for change in streams if change.action == "create"}
    durables = [
        await _plan_durable(client, durable, new_stream=durable.stream in created)
        for durable in topology.durables
    ]
    return streams + durables


def render(changes: Iterable[Change]) -> list[str]:
    """Return the changes in words, a line each and one more for every differing field."""
    lines: list[str] = []
    for change in changes:
        verb = {"none": "unchanged", "create": "create", "update": "update", "refuse": "REFUSED"}
        where = f"{change.stream} > {change.name}" if change.kind == "durable" else change.name
        lines.append(f"{verb[change.action]:9} {change.kind} {where}")
        lines += [f"          {d.field}: {d.have!r} -> {d.want!r}" for d in change.differences]
        if change.mend:
            lines.append(f"          {change.mend}")
    return lines


async def apply(client: Client, changes: list[Change]) -> None:
    """Create and update. Raises `ProvisionRefusedError` before anything is touched."""
    refused = [change for change in changes if change.action == "refuse"]
    if refused:
        raise ProvisionRefusedError("\n".join(render(refused)))
    for change in changes:
        if change.action == "none":
            continue
        await _apply_one(client, change)
        changed = {d.field: d.want for d in change.differences}
        _log.info(
            f"{change.kind} {change.action}d", stream=change.stream, name=change.name, **changed
        )


async def _apply_one(client: Client, change: Change) -> None:
    if change.kind == "durable":
        body = {"stream_name": change.stream, "config": change.config, "action": change.action}
        subject = f"CONSUMER.CREATE.{change.stream}.{change.name}"
    else:
        body = change.config
        subject = f"STREAM.{change.action.upper()}.{change.name}"
    try:
        await jetstream.call(client, subject, body)
    except jetstream.JetStreamError as error:
        words = f"the server refuses to {change.action} {change.kind} {change.name}: {error}"
        if change.action == "create":
            # Two that start together both create; the second one finds it there.
            have = await _current(client, change.kind, change.stream, change.name)
            if have is not None and not _compare(have, change.config):
                return
            if have is not None:
                raise _CreatedMeanwhileError(words) from error
        raise ProvisionRefusedError(words) from error


async def _plan_stream(client: Client, stream: Stream, settings: StreamSettings) -> Change:
    want = stream.config() | {"num_replicas": settings.replicas}
    aged = isinstance(stream, Log | PartitionedLog) and not stream.keep
    if aged and settings.max_age_days is not None:
        want["max_age"] = int(settings.max_age_days * 86_400 * jetstream.NANOSECONDS)
    if 0 < want["max_age"] < want.get("duplicate_window", 0):
        want["duplicate_window"] = want["max_age"]
    name = want["name"]
    # JetStream could change a transform, but messages of one key would lie in two partitions.
    mend = (
        f"This cannot be changed in place. Back up and remove the stream: "
        f"`nats stream backup {name} ./{name}.backup && nats stream rm {name}`, "
        f"then `headrace provision`."
    )
    have = await _current(client, "stream", name, name)
    if have is not None and isinstance(stream, Log):
        want["sources"] = _with_others(have.get("sources"), want["sources"])
    return _decide(
        "stream", name, name, have=have, want=want, fixed=_FIXED_STREAM_FIELDS, mend=mend
    )


def _with_others(have: list[Any] | None, want: list[Any] | None) -> list[Any] | None:
    """Return the sources that a log has, and those that this service wants."""
    names = {source["name"] for source in want or []}
    return [source for source in have or [] if source["name"] not in names] + (want or []) or None


async def _plan_durable(client: Client, durable: Durable, *, new_stream: bool) -> Change:
    stream, name, want = durable.stream, durable.name, durable.config()
    mend = (
        f"JetStream cannot change this in place. Remove the durable: `nats consumer rm {stream} "
        f"{name}`, then `headrace provision`; what was acked on a log is delivered again."
    )
    have = None if new_stream else await _current(client, "durable", stream, name)
    return _decide(
        "durable", stream, name, have=have, want=want, fixed=_FIXED_DURABLE_FIELDS, mend=mend
    )


def _decide(
    kind: Kind,
    stream: str,
    name: str,
    *,
    have: dict[str, Any] | None,
    want: dict[str, Any],
    fixed: frozenset[str],
    mend: str,
) -> Change:
    if have is None:
        return Change(kind, stream, name, want, "create")
    differences = _compare(have, want)
    if not differences:
        return Change(kind, stream, name, want, "none")
    config = have | want
    if any(difference.field in fixed for difference in differences):
        return Change(kind, stream, name, config, "refuse", differences, mend)
    return Change(kind, stream, name, config, "update", differences)


async def _current(client: Client, kind: Kind, stream: str, name: str) -> dict[str, Any] | None:
    subject = f"STREAM.INFO.{name}" if kind == "stream" else f"CONSUMER.INFO.{stream}.{name}"
    try:
        answer = await jetstream.call(client, subject)
    except jetstream.JetStreamError as error:
        if error.err_code in jetstream.NOT_FOUND:
            return None
        raise
    config: dict[str, Any] = answer["config"]
    return config


def _compare(have: dict[str, Any], want: dict[str, Any]) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, have.get(name), value)
        for name, value in want.items()
        if _normal(name, have.get(name)) != _normal(name, value)
    )


def _normal(name: str, value: object) -> object:
    if name in _ZERO_MEANS_UNLIMITED and value in {None, 0, -1}:
        return -1
    if isinstance(value, list):
        return sorted(value, key=str) or None
    return value or None
