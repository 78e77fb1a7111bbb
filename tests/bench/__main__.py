"""Run the benches: `python -m tests.bench [NAME...]`.

A bench is a module `bench_<name>.py` in this package with a function `main()`, plain or async,
that prints its ratios. It raises when a target is missed; the others run nevertheless.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Sequence

_PREFIX = "bench_"


def names() -> list[str]:
    """Return the names of all benches, in order."""
    package = importlib.import_module("tests.bench")
    return sorted(
        module.name.removeprefix(_PREFIX)
        for module in pkgutil.iter_modules(package.__path__)
        if module.name.startswith(_PREFIX)
    )


def run(chosen: Sequence[str]) -> int:
    """Run the chosen benches, all if none is chosen; return the exit code."""
    known = names()
    if unknown := sorted(set(chosen) - set(known)):
        say(f"no bench {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
        return 2
    failed = [name for name in chosen or known if not _succeeds(name)]
    if failed:
        say(f"missed their targets: {', '.join(failed)}")
    return 1 if failed else 0


def say(words: str) -> None:
    """Print, at once."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _succeeds(name: str) -> bool:
    say(f"== {name}")
    try:
        finished = importlib.import_module(f"tests.bench.{_PREFIX}{name}").main()
        if inspect.iscoroutine(finished):
            asyncio.run(finished)
    except Exception:  # noqa: BLE001  one bench's failure must not hide the others
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
