"""A worker as a process of its own that dies, as by the OOM killer, of jobs marked deadly.

Arguments: server URL, name of the rig. Prints a line for each job it has begun.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from shared import logs
from shared.deadline import Deadline
from shared.settings import LogSettings
from shared.work_queue import Ack, Delivery, Outcome, WorkerPolicy
from tests.queue_rig import QUICK, Job, rig

ACK_WAIT_SECONDS = 1.0
MAX_ATTEMPTS = 3


async def handle(delivery: Delivery[Job]) -> Outcome:
    """Die of deadly jobs, work a little on the others."""
    sys.stdout.write(f"{delivery.body.n} {delivery.attempt}\n")
    sys.stdout.flush()
    if delivery.body.text == "deadly":
        await asyncio.sleep(0.05)  # the others of the same worker are under way by now
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.2)
    return Ack()


async def main(url: str, name: str) -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with rig(url, name, ack_wait_seconds=ACK_WAIT_SECONDS) as queue:
        policy = WorkerPolicy(concurrency=8, prefetch=24, max_attempts=MAX_ATTEMPTS, backoff=QUICK)
        await queue.worker(handle, policy=policy).run(stop, Deadline(5))


if __name__ == "__main__":
    logs.configure(LogSettings(level="error"))
    asyncio.run(main(sys.argv[1], sys.argv[2]))
