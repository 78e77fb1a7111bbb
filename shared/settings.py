"""Settings from environment variables: frozen structs whose fields are named after them.

A service declares one frozen struct. Each field carries the variable's name, its type, its
bounds and its default; a field that is itself a struct groups variables and has none::

    class Settings(Struct, frozen=True):
        broker: BrokerSettings
        attempts: Annotated[int, Meta(ge=1)] = field(default=5, name="INVOICE_MAX_ATTEMPTS")

Nothing else in the code reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

Settings = TypeVar("Settings", bound=Struct)


class SettingsError(Exception):
    """One or more environment variables hold values that cannot be used; names each."""


class BrokerSettings(Struct, frozen=True):
    """How to reach NATS, and as whom."""

    url: str = field(default="nats://127.0.0.1:4222", name="NATS_URL")
    creds: str | None = field(default=None, name="NATS_CREDS")
    nkey_seed_file: str | None = field(default=None, name="NATS_NKEY_SEED_FILE")
    user: str | None = field(default=None, name="NATS_USER")
    password: str | None = field(default=None, name="NATS_PASSWORD")
    password_file: str | None = field(default=None, name="NATS_PASSWORD_FILE")
    inbox_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")] = field(
        default="_INBOX", name="NATS_INBOX_PREFIX"
    )
    """What the inboxes begin with on which answers arrive; one a user keeps others from them."""
    tls_ca: str | None = field(default=None, name="NATS_TLS_CA")
    tls_cert: str | None = field(default=None, name="NATS_TLS_CERT")
    tls_key: str | None = field(default=None, name="NATS_TLS_KEY")


class LogSettings(Struct, frozen=True):
    """What is logged and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = field(default="info", name="LOG_LEVEL")
    format: Literal["json", "console"] = field(default="json", name="LOG_FORMAT")


class StreamSettings(Struct, frozen=True):
    """What a deployment chooses for all streams."""

    replicas: Annotated[int, Meta(ge=1, le=5)] = field(default=1, name="STREAM_REPLICAS")
    max_age_days: Annotated[float, Meta(ge=0)] | None = field(
        default=None, name="STREAM_MAX_AGE_DAYS"
    )
    provision: Literal["apply", "check"] = field(default="apply", name="STREAM_PROVISION")
    """Whether a service makes and mends streams at start, or waits until an operator has."""


class HttpSettings(Struct, frozen=True):
    """Where health and metrics are served; port 0 turns them off."""

    port: Annotated[int, Meta(ge=0, le=65535)] = field(default=0, name="HTTP_PORT")


class TracingSettings(Struct, frozen=True):
    """Where spans go; the name of the variable is OpenTelemetry's own."""

    endpoint: str | None = field(default=None, name="OTEL_EXPORTER_OTLP_ENDPOINT")


class ProcessSettings(Struct, frozen=True):
    """What every service's process is told, in one field."""

    broker: BrokerSettings
    log: LogSettings
    http: HttpSettings
    streams: StreamSettings
    tracing: TracingSettings = TracingSettings()


def load(cls: type[Settings], environment: Mapping[str, str] | None = None) -> Settings:
    """Read `cls` from the environment. Raises `SettingsError` naming every wrong variable."""
    wrong: list[str] = []
    loaded = _load(cls, os.environ if environment is None else environment, wrong)
    if wrong or loaded is None:
        raise SettingsError("; ".join(wrong))
    return loaded


def _load(cls: type[Settings], env: Mapping[str, str], wrong: list[str]) -> Settings | None:
    hints = get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    for info in msgspec.structs.fields(cls):
        hint = hints[info.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            values[info.name] = _load(hint, env, wrong)
            continue
        text = env.get(info.encode_name, "").strip()
        if not text:
            if info.required:
                wrong.append(f"{info.encode_name} is not set")
            continue
        value = text.lower() if info.encode_name in {"LOG_LEVEL", "LOG_FORMAT"} else text
        try:
            values[info.name] = msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError as error:
            shown = "***" if "PASSWORD" in info.encode_name else repr(text)
            wrong.append(f"{info.encode_name}={shown}: {error}")
    return None if wrong else cls(**values)
