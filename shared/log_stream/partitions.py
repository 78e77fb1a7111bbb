"""Which key lies in which partition, and which member owns it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def partition_of(partitions: int, *tokens: str) -> int:
    """Return the partition that the server's `{{partition(n, ...)}}` computes.

    FNV-1a of 32 bits over the chosen subject tokens, joined without a separator (or over the
    whole subject, dots included, where none are chosen), modulo `partitions`.
    """
    value = _FNV_OFFSET
    for byte in "".join(tokens).encode():
        value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return value % partitions


def owner_of(partition: int, members: Iterable[str], stage: str = "") -> str | None:
    """Return which of the members owns the partition, by rendezvous hashing; None if there is none.

    `stage` tells stages of a single partition apart, which would else all fall to one member.

    Every member computes the same; one that joins or leaves moves no partition but its own
    (Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996).
    """

    def weight(member: str) -> tuple[bytes, str]:
        named = f"{member}/{stage}{partition}".encode()
        return hashlib.blake2b(named, digest_size=16).digest(), member

    return max(members, key=weight, default=None)
