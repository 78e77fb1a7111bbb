"""Nkeys and JWTs as `nsc` makes them: seeds, accounts, credentials files (ADR-14, ADR-26)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys
from msgspec import Struct

from shared.permissions import User
from tests.server import Server


class Key(Struct, frozen=True):
    """An nkey: the seed is the secret."""

    seed: str
    public: str

    def sign(self, data: bytes) -> bytes:
        """Return the Ed25519 signature."""
        signature: bytes = nkeys.from_seed(bytearray(self.seed.encode())).sign(data)
        return signature


def new_key(kind: str) -> Key:
    """Make a key of an `operator`, `account` or `user`."""
    prefix = {
        "operator": nkeys.PREFIX_BYTE_OPERATOR,
        "account": nkeys.PREFIX_BYTE_ACCOUNT,
        "user": nkeys.PREFIX_BYTE_USER,
    }[kind]
    seed = nkeys.encode_seed(os.urandom(32), prefix)
    return Key(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())


def token(issuer: Key, subject: str, name: str, claims: dict[str, Any]) -> str:
    """Return a signed JWT."""
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": issuer.public,
        "name": name,
        "nats": claims | {"version": 2},
        "sub": subject,
    }
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode()
    signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
    return f"{signed}.{_text(issuer.sign(signed.encode()))}"


def credentials_file(jwt: str, user: Key, path: Path) -> Path:
    """Write a credentials file."""
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n",
        "utf-8",
    )
    return path


class JwtServer(Server):
    """A server that trusts an operator, with one account that has JetStream."""

    def __init__(self, folder: Path) -> None:
        operator, system, self._account = (
            new_key("operator"),
            new_key("account"),
            new_key("account"),
        )
        limits = {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1,
            "consumer": -1,
        }  # fmt: skip
        plain = {name: limit for name, limit in limits.items() if "storage" not in name}
        account = {"type": "account", "limits": limits, "default_permissions": {}}
        trusted = token(operator, operator.public, "operator", {"type": "operator"})
        ours = token(operator, self._account.public, "headrace", account)
        theirs = token(operator, system.public, "SYS", account | {"limits": plain})
        super().__init__(
            folder,
            config=(
                f"operator: {trusted}\nsystem_account: {system.public}\nresolver: MEMORY\n"
                f"resolver_preload: {{ {self._account.public}: {ours}, {system.public}: {theirs} }}"
            ),
        )

    def credentials(self, user: User, path: Path) -> tuple[Path, Key, str]:
        """Write the credentials of a user with its permissions; return also its key and JWT."""
        key = new_key("user")
        claims: dict[str, Any] = {
            "type": "user",
            "subs": -1,
            "data": -1,
            "payload": -1,
            "pub": {"allow": list(user.publish)},
            "sub": {"allow": list(user.subscribe)},
        }
        if user.answers:
            claims["resp"] = {"max": 1, "ttl": 60_000_000_000}
        jwt = token(self._account, key.public, user.name, claims)
        return credentials_file(jwt, key, path), key, jwt


def _part(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
