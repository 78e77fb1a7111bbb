"""Fields of a body that no struct knows: ignored, but worth a count, since often misspelled."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.invoice_worker.domain.refusal import shown
from shared.contracts.invoices import Buyer, InvoiceJob, JobAdjustment, JobLine, Payment

_ANYTHING: Final = msgspec.json.Decoder(float_hook=len)
_OBJECTS: Final[dict[str, type[msgspec.Struct]]] = {"buyer": Buyer, "payment": Payment}
_LISTS: Final[dict[str, type[msgspec.Struct]]] = {
    "lines": JobLine,
    "allowances": JobAdjustment,
    "charges": JobAdjustment,
}


def unknown_fields(body: bytes) -> list[str]:
    """Return the paths of the unknown fields of a body that `parse_job` has accepted."""
    try:
        job = _ANYTHING.decode(body)
    except (msgspec.DecodeError, RecursionError):  # only an unknown field can hold what does this
        return ["(not listed)"]
    found = _unknown("", job, InvoiceJob)
    for name, known in _OBJECTS.items():
        found += _unknown(f"{name}.", job.get(name) or {}, known)
    for name, known in _LISTS.items():
        for index, entry in enumerate(job.get(name) or ()):
            found += _unknown(f"{name}[{index}].", entry, known)
    return found


def _unknown(path: str, members: dict[str, Any], known: type[msgspec.Struct]) -> list[str]:
    return [path + shown(key) for key in members if key not in known.__struct_fields__]
