"""The rules that a new bucket `FRAUD_RULES` begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

_FILE: Final = Path(__file__).parent.parent / "rules" / "starter.json"


class _Named(msgspec.Struct):
    id: str


def starter_rules() -> dict[str, str]:
    """Return the text of each rule by its id, in the order of the file."""
    texts = msgspec.json.decode(_FILE.read_bytes(), type=list[msgspec.Raw])
    return {msgspec.json.decode(text, type=_Named).id: bytes(text).decode() for text in texts}
