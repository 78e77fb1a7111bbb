"""Wait for a fact. The one place in the tests that sleeps."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

_PAUSE_SECONDS = 0.02

Fact = TypeVar("Fact")


@overload
async def eventually(predicate: Callable[[], Awaitable[Fact]], seconds: float = ...) -> Fact: ...
@overload
async def eventually(predicate: Callable[[], Fact], seconds: float = ...) -> Fact: ...
async def eventually(predicate: Callable[[], Any], seconds: float = 10) -> Any:
    """Call `predicate`, plain or async, until what it gives is true; return that.

    Raises `AssertionError` with the last value after `seconds`. An exception of the
    predicate's own passes through.
    """
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        fact = await value if inspect.isawaitable(value) else value
        if fact:
            return fact
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s; the last value was {fact!r}")
        await asyncio.sleep(_PAUSE_SECONDS)
