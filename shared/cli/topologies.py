"""All services' topologies as one: what they share is declared by each and provisioned once."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from shared.topology import Log, Stream, Topology


def united(topologies: Iterable[Topology]) -> Topology:
    """Return one topology with every stream and durable once, in the order of first mention.

    A log that several services feed, such as the dead letters, has the sources of all.
    """
    every = tuple(topologies)
    streams: dict[Stream, Stream] = {}
    for stream in (stream for one in every for stream in one.streams):
        same = replace(stream, sources=()) if isinstance(stream, Log) else stream
        known = streams.setdefault(same, stream)
        if isinstance(known, Log) and isinstance(stream, Log):
            streams[same] = replace(
                known, sources=tuple(dict.fromkeys((*known.sources, *stream.sources)))
            )
    return Topology(
        streams=tuple(streams.values()),
        durables=tuple(dict.fromkeys(durable for one in every for durable in one.durables)),
    )
