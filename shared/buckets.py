"""Buckets as typed values: objects by name, and values by key, each kept in a stream of its own.

Parts of a service's topology (`shared/topology.py`). The streams are laid out as NATS' clients
expect them behind a bucket (its ADR-20 and ADR-8), so their calls for buckets work on these.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ObjectBucket(Struct, frozen=True):
    """An object store bucket."""

    name: str
    description: str

    def config(self) -> dict[str, Any]:
        """Return the stream configuration behind the bucket (ADR-20)."""
        return {
            "name": f"OBJ_{self.name}",
            "description": self.description,
            "subjects": [f"$O.{self.name}.C.>", f"$O.{self.name}.M.>"],
            "retention": "limits",
            "discard": "new",
            "storage": "file",
            "max_age": 0,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }


class KeyValueBucket(Struct, frozen=True):
    """A key-value bucket: the latest value of each key, and some before it."""

    name: str
    description: str
    history: int = 1
    """Values kept a key, at most 64."""

    @property
    def stream(self) -> str:
        """The stream behind the bucket."""
        return f"KV_{self.name}"

    def subject(self, key: str) -> str:
        """Return the subject of a key; `>` for all."""
        return f"$KV.{self.name}.{key}"

    def config(self) -> dict[str, Any]:
        """Return the stream configuration behind the bucket (ADR-8)."""
        return {
            "name": self.stream,
            "description": self.description,
            "subjects": [self.subject(">")],
            "retention": "limits",
            "discard": "new",
            "storage": "file",
            "max_age": 0,
            "max_msgs_per_subject": self.history,
            "deny_delete": True,
            "allow_atomic": True,
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
