"""Soft stop and hard stop: nothing lost, nothing counted as a failure."""

from __future__ import annotations

import asyncio

from shared.work_queue import Ack, Delivery, Outcome, WorkerPolicy
from tests.eventually import eventually
from tests.queue_rig import Job, rig, working
from tests.server import Server


async def test_a_soft_stop_finishes_what_runs_and_hands_back_what_waits(
    server: Server, unique: str
) -> None:
    running, release = asyncio.Event(), asyncio.Event()
    first: list[int] = []
    second: list[tuple[int, int]] = []

    async def slow(delivery: Delivery[Job]) -> Outcome:
        first.append(delivery.body.n)
        running.set()
        await release.wait()
        return Ack()

    async def quick(delivery: Delivery[Job]) -> Outcome:
        second.append((delivery.body.n, delivery.attempt))
        return Ack()

    async with rig(server.url, unique) as queue:
        await asyncio.gather(*(queue.publish({"n": n}) for n in range(20)))
        worker = queue.worker(slow, policy=WorkerPolicy(concurrency=2, prefetch=18))
        async with working(worker) as stop:
            await running.wait()
            await eventually(lambda: worker.held == 20)
            stop.set()
            await eventually(lambda: worker.held == 2)
            # ack wait is 30 s: what comes to the other worker now was handed back
            async with working(queue.worker(quick)):
                await eventually(lambda: len(second) == 18, seconds=5)
                release.set()
                await eventually(queue.empty)
        assert sorted([*first, *(n for n, _ in second)]) == list(range(20))
        assert {attempt for _, attempt in second} == {1}


async def test_a_hard_stop_cuts_off_and_is_no_failed_attempt(server: Server, unique: str) -> None:
    attempts: list[int] = []
    running = asyncio.Event()

    async def endless(delivery: Delivery[Job]) -> Outcome:
        attempts.append(delivery.attempt)
        running.set()
        await asyncio.Event().wait()
        return Ack()

    async def quick(delivery: Delivery[Job]) -> Outcome:
        attempts.append(delivery.attempt)
        return Ack()

    policy = WorkerPolicy(max_attempts=1)
    async with rig(server.url, unique) as queue:
        await queue.publish({"n": 0})
        for _ in range(3):
            running.clear()
            async with working(queue.worker(endless, policy=policy), deadline_seconds=2.2):
                await running.wait()
        async with working(queue.worker(quick, policy=policy)):
            await eventually(queue.empty, seconds=5)
        assert attempts == [1, 1, 1, 1]
        assert await queue.dead() == []
