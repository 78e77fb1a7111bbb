"""The broker restarts, loses the durable, or refuses dead letters: jobs go on, none is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from shared import jetstream
from shared.topology import ATTEMPTS
from shared.work_queue import Ack, Delivery, Outcome, Permanent, WorkerPolicy
from tests.eventually import eventually
from tests.queue_rig import QUICK, Job, rig, working
from tests.server import Server


async def test_a_worker_goes_on_when_the_server_was_killed_and_came_back(
    tmp_path: Path, unique: str
) -> None:
    handled: Counter[int] = Counter()

    async def handle(delivery: Delivery[Job]) -> Outcome:
        handled[delivery.body.n] += 1
        return Ack()

    with Server(tmp_path) as server:
        async with rig(server.url, unique, ack_wait_seconds=2) as queue:
            worker = queue.worker(handle)
            async with working(worker):
                for n in range(50):
                    await queue.publish({"n": n})
                await eventually(queue.empty)
                server.kill()
                await eventually(lambda: not worker.ready)
                server.start()
                await eventually(lambda: worker.ready)
                for n in range(50, 100):
                    await queue.publish({"n": n})
                await eventually(queue.empty)
            assert set(handled) == set(range(100))


async def test_a_durable_that_was_deleted_is_made_again(server: Server, unique: str) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery[Job]) -> Outcome:
        handled.append(delivery.body.n)
        return Ack()

    async with rig(server.url, unique) as queue, working(queue.worker(handle)):
        await queue.publish({"n": 1})
        await eventually(queue.empty)
        durable = queue.durable
        await jetstream.call(
            queue.broker.client, f"CONSUMER.DELETE.{durable.stream}.{durable.name}"
        )
        await queue.publish({"n": 2})
        await eventually(queue.empty)
        assert handled == [1, 2]


async def test_a_dead_letter_that_is_refused_leaves_the_job_in_its_queue(
    tmp_path: Path, unique: str
) -> None:
    async def handle(_: Delivery[Job]) -> Outcome:
        raise Permanent("never")

    with Server(tmp_path) as server:
        async with rig(server.url, unique) as queue:
            await jetstream.call(queue.broker.client, "STREAM.DELETE.DEAD_LETTERS")
            worker = queue.worker(handle, policy=WorkerPolicy(backoff=QUICK))
            await queue.publish({"n": 1})
            async with working(worker):
                await eventually(lambda: worker.stats.outcomes.get("unparked", 0) >= 2, 20)
                assert await queue.left() == 1
                await queue.provision()
                await eventually(queue.empty)
            (letter,) = await queue.dead()
            assert (letter.reason, letter.error) == ("invalid", "never")


async def test_jobs_are_done_though_attempts_cannot_be_recorded(
    tmp_path: Path, unique: str
) -> None:
    attempts: list[int] = []

    async def handle(delivery: Delivery[Job]) -> Outcome:
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise OSError("once")
        return Ack()

    with Server(tmp_path) as server:
        async with rig(server.url, unique) as queue:
            await jetstream.call(queue.broker.client, f"STREAM.DELETE.{ATTEMPTS.name}")
            await queue.publish({"n": 1})
            async with working(queue.worker(handle)):
                await eventually(lambda: attempts == [1], 10)
                await queue.provision()
                await eventually(queue.empty, 20)
            assert attempts == [1, 2]
