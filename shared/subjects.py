"""Subjects and their wildcards. Pure."""

from __future__ import annotations


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject matches a pattern with `*` (one token) and `>` (one or more)."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        want in {"*", token} for want, token in zip(wanted, tokens, strict=True)
    )
