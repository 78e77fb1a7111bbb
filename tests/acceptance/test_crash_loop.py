"""Law 4: a job that kills every worker that touches it ends in the dead letters, alone."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator

from tests.acceptance.poison_worker import ACK_WAIT_SECONDS, MAX_ATTEMPTS
from tests.eventually import eventually
from tests.queue_rig import rig
from tests.server import Server, die_with_parent


class Restarted:
    """A poison worker that is started again whenever it dies; `begun` counts jobs it began."""

    def __init__(self, url: str, name: str) -> None:
        self._arguments = ("-m", "tests.acceptance.poison_worker", url, name)
        self.begun: Counter[int] = Counter()
        self.deaths = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running while the context is open."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def _keep(self) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdout=asyncio.subprocess.PIPE,
                preexec_fn=die_with_parent,
            )
            try:
                assert process.stdout is not None
                async for line in process.stdout:
                    self.begun[int(line.split()[0])] += 1
                await process.wait()
                self.deaths += 1
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()


async def test_a_deadly_job_is_parked_after_its_attempts_and_takes_no_other_with_it(
    server: Server, unique: str
) -> None:
    async with rig(server.url, unique, ack_wait_seconds=ACK_WAIT_SECONDS) as queue:
        for n in range(60):
            await queue.publish({"n": n, "text": "deadly" if n in {7, 31} else ""})
        worker = Restarted(server.url, unique)
        async with worker.running():
            await eventually(queue.empty, seconds=60)
        letters = await queue.dead()
        assert {(letter.reason, letter.body) for letter in letters} == {
            ("crashed", b'{"n": 7, "text": "deadly"}'),
            ("crashed", b'{"n": 31, "text": "deadly"}'),
        }
        assert len(letters) == 2
        assert {letter.attempts for letter in letters} == {MAX_ATTEMPTS}
        # every other job was done; the deadly ones were begun no more often than allowed
        assert set(worker.begun) == set(range(60))
        assert worker.begun[7] <= MAX_ATTEMPTS
        assert worker.begun[31] <= MAX_ATTEMPTS


async def test_a_crashed_job_is_parked_even_if_no_worker_lived_when_its_time_was_up(
    server: Server, unique: str
) -> None:
    async with rig(server.url, unique, ack_wait_seconds=ACK_WAIT_SECONDS) as queue:
        await queue.publish({"n": 1, "text": "deadly"})
        worker = Restarted(server.url, unique)
        async with worker.running():
            await eventually(lambda: worker.deaths == MAX_ATTEMPTS, seconds=30)
        # nobody is there now; a worker that comes later, and dies of this job if it begins it
        late = Restarted(server.url, unique)
        async with late.running():
            await eventually(queue.empty, seconds=30)
        (letter,) = await queue.dead()
        assert letter.reason == "crashed"
        assert worker.begun[1] + late.begun[1] == MAX_ATTEMPTS
