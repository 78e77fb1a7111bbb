"""All services' topologies as one: what they share is declared by each and provisioned once."""

from __future__ import annotations

from collections.abc import Iterable

from shared.topology import Topology


def united(topologies: Iterable[Topology]) -> Topology:
    """Return one topology with every stream and durable once, in the order of first mention."""
    every = tuple(topologies)
    return Topology(
        streams=tuple(dict.fromkeys(stream for one in every for stream in one.streams)),
        durables=tuple(dict.fromkeys(durable for one in every for durable in one.durables)),
    )
