"""What a connection logs in with, and over which TLS: from files, looked at before connecting.

What is wrong is a `SettingsError` that names variable and file, never what the file holds.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nkeys

from shared.settings import BrokerSettings, SettingsError

_SEED_BEGINS = b"BEGIN USER NKEY SEED"
_JWT_BEGINS = b"BEGIN NATS USER JWT"


def login(settings: BrokerSettings) -> dict[str, Any]:
    """Return nats-py's options for the login. Raises `SettingsError`."""
    options: dict[str, Any] = {}
    if settings.creds:
        held = _content("NATS_CREDS", settings.creds)
        if _JWT_BEGINS not in held or _SEED_BEGINS not in held:  # nats-py would seek them for ever
            raise SettingsError(f"NATS_CREDS: {settings.creds} is no credentials file")
        options["user_credentials"] = settings.creds
    if settings.nkey_seed_file:
        _see_that_it_is_a_seed(settings.nkey_seed_file)
        options["nkeys_seed"] = settings.nkey_seed_file
    if settings.password is not None and settings.password_file is not None:
        raise SettingsError("NATS_PASSWORD and NATS_PASSWORD_FILE are both set; one is enough")
    if settings.password_file is not None and settings.user is None:
        raise SettingsError("NATS_PASSWORD_FILE is set, and NATS_USER is not")
    if settings.user:
        options |= {"user": settings.user, "password": _password(settings)}
    return options


def tls(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Return how to speak TLS, None where no variable asks for it. Raises `SettingsError`."""
    if settings.tls_key and not settings.tls_cert:
        raise SettingsError("NATS_TLS_KEY is set, and NATS_TLS_CERT is not")
    if not (settings.tls_ca or settings.tls_cert):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:  # `ssl.SSLError` is one
        raise SettingsError(f"NATS_TLS_CA: {settings.tls_ca}: {_why(error)}") from error
    if settings.tls_cert:
        try:
            # Without a password of our own OpenSSL would ask for one on the terminal.
            context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: "")
        except OSError as error:
            files = " and ".join(filter(None, (settings.tls_cert, settings.tls_key)))
            raise SettingsError(f"NATS_TLS_CERT, NATS_TLS_KEY: {files}: {_why(error)}") from error
    return context


def _password(settings: BrokerSettings) -> str | Callable[[], str]:
    """Return the password, or what reads it anew at each connection, so that it may be rotated."""
    file = settings.password_file
    if file is None:
        return settings.password or ""
    if not _content("NATS_PASSWORD_FILE", file).strip():
        raise SettingsError(f"NATS_PASSWORD_FILE: {file} is empty")
    return lambda: Path(file).read_text("utf-8").strip("\r\n")


def _see_that_it_is_a_seed(file: str) -> None:
    seed = bytearray(_content("NATS_NKEY_SEED_FILE", file).strip())
    with contextlib.suppress(nkeys.NkeysError, ValueError):
        nkeys.from_seed(seed).wipe()
        return
    raise SettingsError(f"NATS_NKEY_SEED_FILE: {file} holds no nkey seed")


def _content(variable: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"{variable}: {file}: {_why(error)}") from error


def _why(error: OSError) -> str:
    return error.strerror or str(error)
