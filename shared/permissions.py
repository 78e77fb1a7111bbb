"""Who may do what on the server, worked out from the topology: one user a service, three more.

A service may write where its outputs go and read what it folds or works on, and nothing else: it
makes, changes and deletes no stream, since the operator provisions (`STREAM_PROVISION=check`).
Three rules keep users apart:

- A stream that the service alone declares is its own: it reads it whole. Of another service's log,
  which a feed folds, it reads through that feed's durable.
- Dead letters, attempts and leases are everyone's: of these it writes its own subjects.
- Replies go to an inbox of the user's own, `_INBOX_<user>.>`, so that nobody hears another's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from shared.buckets import KeyValueBucket
from shared.log_stream.generation import prefix_of
from shared.queue_streams import Schedules, WorkQueue
from shared.service_grants import API, ServiceNeeds, granted
from shared.topology import Log, PartitionedLog, Stream

PUBLISHER = "publisher"
OPERATOR = "operator"
DASHBOARD = "dashboard"

_DISCOVERY = ("PING", "INFO", "STATS")


class User(Struct, frozen=True):
    """One user of the server: the subjects on which it may publish and subscribe."""

    name: str
    purpose: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False
    """Whether it may answer a request that reached it, once and within a minute."""
    outside: bool = False
    """Whether it has an account of its own, apart from that of the streams."""


def inbox_prefix(user: str) -> str:
    """Return what a user's inboxes begin with; its processes are told by `NATS_INBOX_PREFIX`."""
    return f"_INBOX_{user}"


def users(services: Sequence[ServiceNeeds]) -> tuple[User, ...]:
    """Return all users of a deployment of these services."""
    others = (publisher(services), operator(services), dashboard(services))
    return (*map(service_user, services), *others)


def service_user(needs: ServiceNeeds) -> User:
    """Return the user of one service."""
    return User(
        name=needs.name,
        purpose=needs.description,
        publish=_once(granted(needs)),
        subscribe=(
            _inbox(needs.name),
            *(subject for verb in _DISCOVERY for subject in _discovered(verb, needs.name)),
            f"headrace.status.{needs.name}",
            f"headrace.instances.{needs.name}",
        ),
        answers=True,
    )


def publisher(services: Iterable[ServiceNeeds]) -> User:
    """Return the user of those who send jobs, samples and payments; it reads nothing."""
    return User(
        name=PUBLISHER,
        purpose="Sends jobs, samples and payments",
        publish=_once(_published(services)),
        subscribe=(_inbox(PUBLISHER),),
        outside=True,
    )


def operator(services: Sequence[ServiceNeeds]) -> User:
    """Return the user of `headrace` and the nats CLI: streams, redrive, replay, rules.

    It may do all of JetStream's API, so it is to be trusted with all that is stored.
    """
    buckets = [s.subject(">") for s in _streams(services) if isinstance(s, KeyValueBucket)]
    stages = [stage for needs in services for stage in needs.stages]
    return User(
        name=OPERATOR,
        purpose="Provisions, redrives, replays, changes rules",
        publish=_once(
            [
                f"{API}.>",
                "$JS.ACK.>",
                *buckets,
                *_published(services),
                *(f"{stage.positions}.*" for stage in stages),
                *(f"{stage.snapshot_prefix}.>" for stage in stages),
                prefix_of("*").replace("*.", ">"),
                *_asked(),
            ]
        ),
        subscribe=_once(
            [
                _inbox(OPERATOR),
                "$JS.EVENT.ADVISORY.>",
                *(subject for _, subject in _results(services)),
            ]
        ),
    )


def dashboard(services: Sequence[ServiceNeeds]) -> User:
    """Return the user of those who look on: the state of all, and the results of the logs.

    It reads results as they come, and the newest of a subject; it makes no consumer.
    """
    looks = ("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.*")
    consumers = ("CONSUMER.NAMES.*", "CONSUMER.LIST.*", "CONSUMER.INFO.*.*")
    results = tuple(_results(services))
    newest = (f"{API}.DIRECT.GET.{stream}.{subject}" for stream, subject in results)
    return User(
        name=DASHBOARD,
        purpose="Looks on: lag, states, results",
        publish=_once([*(f"{API}.{look}" for look in (*looks, *consumers)), *newest, *_asked()]),
        subscribe=_once([_inbox(DASHBOARD), *(subject for _, subject in results)]),
        outside=True,
    )


def _published(services: Iterable[ServiceNeeds]) -> Iterator[str]:
    """Yield the subjects that are for publishers."""
    for stream in _streams(services):
        match stream:
            case WorkQueue():
                yield from stream.subjects
            case Schedules():
                yield stream.waiting
            case PartitionedLog():
                yield stream.subjects
            case _:
                pass


def _results(services: Sequence[ServiceNeeds]) -> Iterator[tuple[str, str]]:
    """Yield stream and subject of what stages write for readers.

    Not their positions, nor what other streams take over: partial results, dead letters.
    """
    logs = [stream for stream in _streams(services) if isinstance(stream, Log)]
    taken = {source.subject for log in logs for source in log.sources}
    for stage in (stage for needs in services for stage in needs.stages):
        if isinstance(stage.target, Log):
            for subject in stage.target.subjects:
                if subject not in taken and not _is_position(subject, stage.target, services):
                    yield stage.target.name, subject


def _is_position(subject: str, target: Log, services: Iterable[ServiceNeeds]) -> bool:
    first = subject.partition(".")[0]
    return any(
        stage.positions.partition(".")[0] == first
        for needs in services
        for stage in needs.stages
        if stage.target.name == target.name
    )


def _asked() -> Iterator[str]:
    """Yield what asks running services for their state."""
    for verb in _DISCOVERY:
        yield from (f"$SRV.{verb}", f"$SRV.{verb}.>")
    yield "headrace.status.*"
    yield "headrace.instances.*"


def _discovered(verb: str, service: str) -> tuple[str, ...]:
    return f"$SRV.{verb}", f"$SRV.{verb}.{service}", f"$SRV.{verb}.{service}.*"


def _inbox(user: str) -> str:
    return f"{inbox_prefix(user)}.>"


def _streams(services: Iterable[ServiceNeeds]) -> Iterator[Stream]:
    for needs in services:
        yield from needs.topology.streams


def _once(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subjects))
