"""`headrace schema`: the JSON Schema of every message, from the structs that decode it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
import typer

from shared import registry
from shared.asyncapi import document
from shared.cli import terminal
from shared.registry import MessageType
from shared.settings import SettingsError

Name = Annotated[str | None, typer.Argument(help="Of one message; without it, of all.")]

AsyncApi = Annotated[
    bool,
    typer.Option("--asyncapi", help="As an AsyncAPI 3 document: channels, operations, schemas."),
]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DECIMAL_TEXT = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_DECIMAL = {
    "type": ["string", "number"],
    "format": "decimal",
    "pattern": _DECIMAL_TEXT,
    "description": "Decimal: a string such as '12.50', or a number",
}


def schema(name: Name = None, *, asyncapi: AsyncApi = False) -> None:
    """Print the JSON Schema of the messages, one document keyed by name."""
    if asyncapi:
        _print_asyncapi(name)
        return
    messages = {
        message.name: message for entry in registry.services() for message in entry.messages
    }
    if name is None:
        document: dict[str, Any] = {key: schema_of(messages[key]) for key in sorted(messages)}
    elif name in messages:
        document = schema_of(messages[name])
    else:
        raise terminal.failed(unknown_name(name, messages), code=terminal.WRONG_USE)
    terminal.print_line(msgspec.json.format(msgspec.json.encode(document)).decode())


def _print_asyncapi(name: str | None) -> None:
    if name is not None:
        raise terminal.failed("an AsyncAPI document is of all messages", code=terminal.WRONG_USE)
    try:
        found = document(registry.services(), version("headrace"))
    except SettingsError as error:
        raise terminal.failed(str(error), code=terminal.WRONG_USE) from error
    terminal.print_line(msgspec.json.format(msgspec.json.encode(_with_decimals(found))).decode())


def schema_of(message: MessageType) -> dict[str, Any]:
    """Return the schema of one message's body, with its name, subject and description."""
    document: dict[str, Any] = _with_decimals(msgspec.json.schema(message.body))
    return {
        "$schema": _DIALECT,
        "title": message.name,
        "description": message.description,
        "x-nats-subject": message.subject,
        **document,
    }


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Say that there is no such name, which comes near it, and which there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"there is no {name!r}{guess} There are: {', '.join(names) or 'none'}"


def _with_decimals(node: object) -> Any:  # noqa: ANN401  any JSON
    """Let decimals be numbers too: msgspec decodes both, its schema speaks of strings only."""
    if isinstance(node, list):
        return [_with_decimals(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "string" and node.get("format") == "decimal":
        return {**_DECIMAL, **node, "type": _DECIMAL["type"]}
    return {key: _with_decimals(value) for key, value in node.items()}
