"""The invoice: from a job's bytes to the fact, by the rules of EN 16931; pure values only."""

from services.invoice_worker.domain.identity import content_of, identity_of
from services.invoice_worker.domain.issue import PreparedInvoice, prepare
from services.invoice_worker.domain.job import parse_job
from services.invoice_worker.domain.refusal import Refusal
from services.invoice_worker.domain.sellers import SellerProfile, Sellers, SellersError
from services.invoice_worker.domain.unknown import unknown_fields

__all__ = [
    "PreparedInvoice",
    "Refusal",
    "SellerProfile",
    "Sellers",
    "SellersError",
    "content_of",
    "identity_of",
    "parse_job",
    "prepare",
    "unknown_fields",
]
