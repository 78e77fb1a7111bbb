"""The documents of an invoice, made from nothing but its issued fact."""

from services.invoice_worker.documents.pdf import UnrenderableError
from services.invoice_worker.documents.render import Documents, object_names, render
from services.invoice_worker.documents.renderer import Renderer, RendererDiedError

__all__ = [
    "Documents",
    "Renderer",
    "RendererDiedError",
    "UnrenderableError",
    "object_names",
    "render",
]
