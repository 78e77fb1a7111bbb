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


def owner_of(partition: int, members: Iterable[str]) -> str | None:
    """Return which of the members owns the partition, by rendezvous hashing; None if there is none.

    Every member computes the same; one that joins or leaves moves no partition but its own
    (Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996).
    """
    return max(members, key=lambda member: (_weight(member, partition), member), default=None)


def _weight(member: str, partition: int) -> bytes:
    return hashlib.blake2b(f"{member}/{partition}".encode(), digest_size=16).digest()
