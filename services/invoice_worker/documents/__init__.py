"""The documents of an invoice, made from nothing but its issued fact."""

from services.invoice_worker.documents.pdf import UnrenderableError
from services.invoice_worker.documents.render import Documents, object_names, render

__all__ = ["Documents", "UnrenderableError", "object_names", "render"]
