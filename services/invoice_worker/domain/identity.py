"""What makes two jobs the same: the identity, and the content."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from shared.contracts.invoices import InvoiceJob, InvoiceType

_BYTES: Final = 16
_ENCODER: Final = msgspec.json.Encoder()


def identity_of(seller: str, type: InvoiceType, order_id: str) -> str:  # noqa: A002  the job's own word
    """Return the identity of a job: 32 hexadecimal digits, fit for a subject."""
    return _hash([seller, type, order_id])


def content_of(job: InvoiceJob) -> str:
    """Return the hash of a job as `parse_job` gives it: 32 hexadecimal digits.

    `parse_job` has one form for what means the same, and fields at their default are not
    encoded. So key order, blanks, unknown fields, spelled-out defaults, null for a missing
    field and the spelling of numbers (2.5, "2.50") make no difference; all else does. What
    the seller's profile or the day of arrival would fill in counts as not given, so that
    a repeat tomorrow, or after a change of the profile, is still a repeat. A field added
    to the struct later, with a default, leaves the hashes of older jobs as they are.
    """
    return _hash(job)


def _hash(value: object) -> str:
    return blake2b(_ENCODER.encode(value), digest_size=_BYTES).hexdigest()
