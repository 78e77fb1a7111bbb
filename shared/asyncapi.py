"""The services as an AsyncAPI 3 document: channels, who sends what, the schema of every body.

Made from the same declarations as the streams and the decoders, so it says what is. The form is
that of the AsyncAPI specification 3.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from shared import subjects
from shared.contracts import headers
from shared.queue_streams import WorkQueue
from shared.registry import MessageType, ServiceEntry
from shared.topology import Log, PartitionedLog, Topology

_PARAMETER: Final = re.compile(r"<([^>]+)>")
_REF: Final = "#/components/schemas/{name}"
_HEADERS: Final = {
    headers.MESSAGE_ID: "Identity of the message; a repeat within two minutes is dropped",
    headers.TRACE_PARENT: "W3C trace context, carried into every message that results",
}
_EMITTED_HEADERS: Final = {
    headers.SOURCE: "<stream>:<sequence> of the message that caused this one",
    headers.TRACE_PARENT: _HEADERS[headers.TRACE_PARENT],
}


def document(entries: Sequence[ServiceEntry], version: str) -> dict[str, Any]:
    """Return the document of these services. Raises `SettingsError`."""
    messages = [(entry, message) for entry in entries for message in entry.messages]
    bodies = {message.name: message.body for _, message in messages}
    schemas, components = msgspec.json.schema_components(bodies.values(), ref_template=_REF)
    payloads = dict(zip(bodies, schemas, strict=True))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headrace",
            "version": version,
            "description": "Message processing and stream processing on NATS JetStream",
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": {
            message.name: _channel(message, entry.topology()) for entry, message in messages
        },
        "operations": {
            f"{entry.name}-{'sends' if message.emitted else 'receives'}-{message.name}": {
                "action": "send" if message.emitted else "receive",
                "channel": {"$ref": f"#/channels/{message.name}"},
                "summary": message.description,
                "messages": [{"$ref": f"#/channels/{message.name}/messages/{message.name}"}],
            }
            for entry, message in messages
        },
        "components": {
            "messages": {
                message.name: _message(message, payloads[message.name]) for _, message in messages
            },
            "schemas": components,
        },
    }


def _channel(message: MessageType, topology: Topology) -> dict[str, Any]:
    names = _PARAMETER.findall(message.subject)
    channel: dict[str, Any] = {
        "address": _PARAMETER.sub(lambda found: f"{{{_identifier(found[1])}}}", message.subject),
        "title": message.name,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
    }
    if names:
        channel["parameters"] = {
            _identifier(name): {"description": f"The {name}"} for name in names
        }
    stream = _stream_of(message.subject, topology)
    if stream is not None:
        kind = "work queue" if isinstance(stream, WorkQueue) else "log"
        channel["description"] = f"Stored in the {kind} {stream.name}: {stream.description}"
    return channel


def _message(message: MessageType, payload: dict[str, Any]) -> dict[str, Any]:
    words = _EMITTED_HEADERS if message.emitted else _HEADERS
    return {
        "name": message.name,
        "title": message.name,
        "summary": message.description,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": text} for name, text in words.items()
            },
        },
        "payload": payload,
    }


def _stream_of(subject: str, topology: Topology) -> WorkQueue | Log | PartitionedLog | None:
    """Return the stream that stores what is published to a subject."""
    address = _PARAMETER.sub("x", subject)
    for stream in topology.streams:
        if isinstance(stream, PartitionedLog) and _takes((stream.subjects,), address):
            return stream
        if isinstance(stream, WorkQueue | Log) and _takes(stream.subjects, address):
            return stream
    return None


def _takes(filters: Iterable[str], subject: str) -> bool:
    return any(subjects.matches(one, subject) for one in filters)


def _identifier(name: str) -> str:
    return name.replace(" ", "_")
