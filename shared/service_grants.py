"""What one service may publish on, worked out from its part of the topology. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from shared.buckets import KeyValueBucket, ObjectBucket
from shared.log_stream.stage import Stage
from shared.queue_streams import Schedules, WorkQueue
from shared.topology import (
    ATTEMPTS,
    DEAD_LETTERS,
    LEASES,
    Durable,
    Log,
    PartitionedLog,
    Stream,
    Topology,
)

API = "$JS.API"
_SHARED = frozenset({ATTEMPTS.name, DEAD_LETTERS.name, LEASES.name})


class ServiceNeeds(Struct, frozen=True):
    """What is known of a service: its streams and durables, and the stages that it runs."""

    name: str
    description: str
    topology: Topology
    stages: tuple[Stage, ...] = ()


def granted(needs: ServiceNeeds) -> Iterator[str]:
    """Yield the subjects on which the service may publish; some more than once."""
    yield f"{API}.INFO"  # whether the server knows a leader
    for stream in needs.topology.streams:
        yield from _on_stream(needs, stream)
    for durable in needs.topology.durables:
        yield from _worked_on(durable)
    yield from _shared(needs)
    for stage in needs.stages:
        yield from _fed(needs, stage)


def _on_stream(needs: ServiceNeeds, stream: Stream) -> Iterator[str]:
    """Yield what a service does with a stream that it declares."""
    name = _name(stream)
    yield f"{API}.STREAM.INFO.{name}"
    if name in _SHARED or isinstance(stream, WorkQueue | Schedules):
        return
    yield from _read_one(name)
    yield from _written(needs, stream)
    snapshots = {stage.snapshots.name for stage in needs.stages}
    tidied = {stage.target.name for stage in needs.stages if stage.keeps_old_positions}
    if isinstance(stream, ObjectBucket) or name in snapshots | tidied:
        yield f"{API}.STREAM.PURGE.{name}"
    sources = {stage.source.name for stage in needs.stages}
    table = isinstance(stream, KeyValueBucket) or (isinstance(stream, Log) and stream.latest_only)
    if table or name in sources:
        yield from _read_whole(name)


def _written(needs: ServiceNeeds, stream: Stream) -> Iterator[str]:
    match stream:
        case Log():
            yield from stream.subjects
        case PartitionedLog():
            if any(stage.told and stage.source.name == stream.name for stage in needs.stages):
                yield f"{stream.prefix}.*.control.>"
            if any(stage.target.name == stream.name for stage in needs.stages):
                yield from (stream.subjects, *stream.beside)
        case KeyValueBucket():
            yield stream.subject(">")
        case ObjectBucket():
            yield from stream.config()["subjects"]
        case _:
            return


def _read_one(stream: str) -> Iterator[str]:
    """Yield what it takes to get single messages."""
    yield f"{API}.STREAM.MSG.GET.{stream}"
    yield f"{API}.DIRECT.GET.{stream}"


def _read_whole(stream: str) -> Iterator[str]:
    """Yield what it takes to read by consumers that the service makes and removes itself."""
    yield f"{API}.CONSUMER.CREATE.{stream}"
    yield from _by_consumer(stream, "*")


def _by_consumer(stream: str, consumer: str) -> Iterator[str]:
    yield f"{API}.CONSUMER.CREATE.{stream}.{consumer}"
    yield f"{API}.CONSUMER.DELETE.{stream}.{consumer}"
    yield f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
    # Nothing is acked there. But the server keeps, for a user who may answer, every reply subject
    # that it may not publish on, and a log hands out a hundred thousand of these a second.
    yield f"$JS.ACK.{stream}.{consumer}.>"


def _worked_on(durable: Durable) -> Iterator[str]:
    yield f"{API}.CONSUMER.INFO.{durable.stream}.{durable.name}"
    yield f"{API}.CONSUMER.MSG.NEXT.{durable.stream}.{durable.name}"
    yield f"$JS.ACK.{durable.stream}.{durable.name}.>"


def _shared(needs: ServiceNeeds) -> Iterator[str]:
    """Yield what a service does with the streams that are everyone's."""
    if needs.topology.durables:
        yield f"dead.{needs.name}.*"
        yield f"{API}.STREAM.MSG.GET.{ATTEMPTS.name}"
    for durable in needs.topology.durables:
        yield f"attempts.{durable.stream}.{durable.name}.*"
    if needs.stages:
        yield f"{API}.STREAM.PURGE.{LEASES.name}"
    for stage in needs.stages:
        yield f"leases.{stage.group}.*"


def _fed(needs: ServiceNeeds, stage: Stage) -> Iterator[str]:
    """Yield what it takes to fold another service's log: only the stage's own durables."""
    stream = stage.source.name
    if stream in {_name(declared) for declared in needs.topology.streams}:
        return
    yield f"{API}.STREAM.INFO.{stream}"
    yield f"{API}.STREAM.MSG.GET.{stream}"
    for partition in range(stage.source.partitions):
        yield from _by_consumer(stream, stage.durable(partition))


def _name(stream: Stream) -> str:
    name: str = stream.config()["name"]
    return name
