"""W3C trace context: carried into every message that results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from shared.contracts import headers


def outgoing(incoming: Mapping[str, str], identity: str) -> str:
    """Return the `traceparent` of what a message causes.

    Where the publisher gave none it is derived from the message's identity, not drawn by
    chance: a replay then gives the same bytes.
    """
    given = incoming.get(headers.TRACE_PARENT)
    if given:
        return given
    digest = hashlib.blake2b(identity.encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-00"
