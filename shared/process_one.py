"""Run a service as process 1 of a container: `python -m shared.process_one services.x`.

The kernel gives process 1 no default action: until the service listens to SIGTERM itself, which
takes a second or two of loading, a stop would be ignored and end in SIGKILL when the platform's
patience does. Nothing has been begun by then, so the process just ends, as asked.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the module that the command line names, as `python -m` does."""
    signal.signal(signal.SIGTERM, _end)
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
