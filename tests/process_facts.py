"""Facts about processes, from /proc."""

from __future__ import annotations

import contextlib
from pathlib import Path


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be reaped does not."""
    return _field(pid, "State") not in {"", "Z", "X"}


def children(parent: int) -> dict[int, str]:
    """Return the running direct children of a process: pid -> command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if _field(pid, "PPid") == str(parent) and alive(pid):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                found[pid] = command.replace(b"\0", b" ").decode().strip()
    return found


def memory_mb(pid: int) -> float:
    """Return what a process and its direct children hold in memory now, in MB; 0 once gone."""
    resident = (_field(one, "VmRSS") or "0" for one in (pid, *children(pid)))
    return sum(map(int, resident)) / 1024


def _field(pid: int, name: str) -> str:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return ""
    return next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
