"""From an issued fact to its documents in the object store, and the event that says so.

The documents are a pure function of the fact, so rendering twice stores the same bytes. The
event is stored once: one batch with a record that must not exist yet.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.js.api import ObjectMeta
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore

from services.invoice_worker.documents import Renderer, object_names
from shared import atomic_batch, jetstream, trace, tracing
from shared.atomic_batch import BatchMessage, must_not_exist
from shared.broker import Broker
from shared.contracts import headers
from shared.contracts.invoices import InvoiceRendered
from shared.jetstream import JetStreamError
from shared.work_queue import Ack, Delivery, Outcome, Permanent


class _Named(Struct, frozen=True):
    number: str
    seller: str


class Fact(Struct, frozen=True):
    """An issued invoice as stored; `json` is its whole body."""

    number: str
    seller: str
    json: bytes


_named = msgspec.json.Decoder(_Named)


def decode(message: Msg) -> Fact:
    """Read a fact. Raises `Permanent`."""
    try:
        named = _named.decode(message.data)
    except msgspec.DecodeError as error:
        raise Permanent(str(error), reason="malformed") from error
    return Fact(named.number, named.seller, message.data)


class DocumentsWriter:
    """Handles issued facts."""

    def __init__(self, broker: Broker, bucket: ObjectStore, renderer: Renderer) -> None:
        self._client = broker.client
        self._bucket = bucket
        self._renderer = renderer

    async def handle(self, delivery: Delivery[Fact]) -> Outcome:
        """Render, store both documents, then tell."""
        fact = delivery.body
        parent = trace.outgoing(delivery.headers, delivery.id)
        with tracing.step("render", parent, number=fact.number):
            documents = await self._renderer.render(fact.json)
        pdf, xml = names = object_names(fact.number)
        with tracing.step("store documents", parent, number=fact.number):
            await self._put(pdf, documents.pdf, "application/pdf")
            await self._put(xml, documents.xml, "application/xml")
        told = await self._tell(delivery, names)
        return Ack({"number": fact.number, "objects": names, "repeated": not told})

    async def _put(self, name: str, data: bytes, content_type: str) -> None:
        try:
            stored = await self._bucket.get_info(name)
        except ObjectNotFoundError:
            pass
        else:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
            if stored.digest == f"SHA-256={digest}":
                return
        # A list, whatever nats-py's types say: the nats CLI cannot read a plain string.
        about: dict[str, Any] = {"Content-Type": [content_type]}
        await self._bucket.put(name, data, ObjectMeta(headers=about))

    async def _tell(self, delivery: Delivery[Fact], names: tuple[str, ...]) -> bool:
        fact = delivery.body
        event = msgspec.json.encode(InvoiceRendered(fact.number, names))
        about = {
            headers.SOURCE: delivery.source,
            headers.TRACE_PARENT: trace.outgoing(delivery.headers, delivery.id),
        }
        try:
            await atomic_batch.commit(
                self._client,
                [
                    BatchMessage(f"invoices.rendered.{fact.seller}", event, about),
                    BatchMessage(f"invoices-rendered.{fact.number}", b"", must_not_exist()),
                ],
            )
        except JetStreamError as error:
            if error.err_code in jetstream.WRONG_LAST_SEQUENCE:
                return False
            raise
        return True
