"""What becomes of a job: every outcome, on the real server."""

from __future__ import annotations

import asyncio
from collections import Counter

from shared import jetstream
from shared.topology import ATTEMPTS
from shared.work_queue import (
    Ack,
    DeadLetter,
    Delivery,
    Handler,
    Outcome,
    Permanent,
    Retry,
    WorkerPolicy,
)
from tests.eventually import eventually
from tests.queue_rig import QUICK, Job, rig, working
from tests.server import Server


async def test_an_acked_job_is_gone_and_was_handled_once(server: Server, unique: str) -> None:
    handled: Counter[int] = Counter()

    async def handle(delivery: Delivery[Job]) -> Outcome:
        handled[delivery.body.n] += 1
        return Ack()

    async with rig(server.url, unique) as queue:
        await asyncio.gather(*(queue.publish({"n": n}) for n in range(300)))
        async with working(queue.worker(handle)):
            await eventually(queue.empty)
        assert handled == Counter(range(300))
        assert await queue.dead() == []


async def test_a_job_that_fails_is_tried_again_with_its_attempt_counted(
    server: Server, unique: str
) -> None:
    attempts: list[int] = []

    async def handle(delivery: Delivery[Job]) -> Outcome:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise ValueError("not yet")
        return Ack() if delivery.attempt == 3 else Retry("nor now")

    async with rig(server.url, unique) as queue:
        await queue.publish({"n": 1})
        async with working(queue.worker(handle)):
            await eventually(queue.empty)
        assert attempts == [1, 2, 3]
        assert await queue.dead() == []


async def test_a_job_that_always_fails_is_parked_exhausted_unchanged(
    server: Server, unique: str
) -> None:
    async def handle(delivery: Delivery[Job]) -> Outcome:
        raise OSError(f"attempt {delivery.attempt}\nfailed")

    policy = WorkerPolicy(max_attempts=3, backoff=QUICK)
    async with rig(server.url, unique) as queue:
        body = b'{"n": 1,   "text": "as it was"}'
        sequence = await queue.publish(body, Nats_Msg_Id="job-1", X_Mine="kept")
        async with working(queue.worker(handle, policy=policy)):
            await eventually(queue.empty)
        (letter,) = await queue.dead()
        assert letter.body == body
        assert letter.headers["X-Mine"] == "kept"
        assert letter.reason == "exhausted"
        assert letter.error == "OSError: attempt 3 failed"
        assert letter.attempts == 3
        assert letter.origin_stream == queue.durable.stream
        assert letter.origin_subject == queue.subject
        assert letter.origin_sequence == sequence
        assert letter.origin_id == "job-1"


async def test_what_no_attempt_can_cure_is_parked_at_once_with_its_reason(
    server: Server, unique: str
) -> None:
    handled: list[int] = []

    async def handle(delivery: Delivery[Job]) -> Outcome:
        handled.append(delivery.body.n)
        if delivery.body.n == 1:
            raise Permanent("no such customer")
        return DeadLetter("conflict", "made already")

    async with rig(server.url, unique) as queue:
        for body in ({"n": 1}, {"n": 2}, {"n": "x"}, b"{not json", b"", b"\xff\xfe"):
            await queue.publish(body)
        async with working(queue.worker(handle)):
            await eventually(queue.empty)
        reasons = Counter(letter.reason for letter in await queue.dead())
        assert reasons == {"invalid": 2, "conflict": 1, "malformed": 3}
        assert sorted(handled) == [1, 2]
        assert any("$.n" in letter.error for letter in await queue.dead())


async def test_a_handler_that_takes_too_long_is_cut_off_and_counts_as_failed(
    server: Server, unique: str
) -> None:
    cut: list[int] = []

    async def handle(delivery: Delivery[Job]) -> Outcome:
        if delivery.body.n:
            return Ack()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(delivery.attempt)
            raise
        return Ack()

    policy = WorkerPolicy(concurrency=1, max_attempts=2, handler_timeout_seconds=0.1, backoff=QUICK)
    async with rig(server.url, unique) as queue:
        await queue.publish({"n": 0})
        async with working(queue.worker(handle, policy=policy)):
            await eventually(queue.empty)
            # the slot is as good as new
            await queue.publish({"n": 1})
            await eventually(queue.empty)
        (letter,) = await queue.dead()
        assert cut == [1, 2]
        assert (letter.reason, letter.error) == ("exhausted", "handler timed out")


async def test_a_slow_job_stays_ours_while_it_runs(server: Server, unique: str) -> None:
    handled: list[int] = []
    done = asyncio.Event()

    async def handle(delivery: Delivery[Job]) -> Outcome:
        handled.append(delivery.attempt)
        await done.wait()
        return Ack()

    async with rig(server.url, unique, ack_wait_seconds=0.6) as queue:
        await queue.publish({"n": 0})
        async with working(queue.worker(handle)) as _, working(queue.worker(handle)):
            since = asyncio.get_running_loop().time()
            # three times the ack wait, and the server has given it to nobody else
            await eventually(lambda: asyncio.get_running_loop().time() - since > 1.8)
            assert handled == [1]
            done.set()
            await eventually(queue.empty)
        assert handled == [1]


async def test_two_workers_share_the_jobs_and_none_is_handled_twice(
    server: Server, unique: str
) -> None:
    handled: Counter[tuple[str, int]] = Counter()

    def handler(name: str) -> Handler[Job]:
        async def handle(delivery: Delivery[Job]) -> Outcome:
            handled[name, delivery.body.n] += 1
            await asyncio.sleep(0)
            return Ack()

        return handle

    policy = WorkerPolicy(concurrency=4)
    async with rig(server.url, unique) as queue:
        async with (
            working(queue.worker(handler("a"), policy=policy)),
            working(queue.worker(handler("b"), policy=policy)),
        ):
            await asyncio.gather(*(queue.publish({"n": n}) for n in range(400)))
            await eventually(queue.empty)
        assert sorted(n for _, n in handled.elements()) == list(range(400))
        assert {name for name, _ in handled} == {"a", "b"}


async def test_nothing_is_recorded_for_jobs_that_succeed_at_once(
    server: Server, unique: str
) -> None:
    async def handle(_: Delivery[Job]) -> Outcome:
        return Ack()

    async with rig(server.url, unique) as queue:
        await asyncio.gather(*(queue.publish({"n": n}) for n in range(20)))
        async with working(queue.worker(handle)):
            await eventually(queue.empty)
        subject = f"attempts.{queue.durable.stream}.>"
        assert await jetstream.last_message(queue.broker.client, ATTEMPTS.name, subject) is None


async def test_a_queue_that_is_made_again_loses_no_letter_to_an_old_one_of_its_sequence(
    server: Server, unique: str
) -> None:
    async def handle(_: Delivery[Job]) -> Outcome:
        raise Permanent("never")

    async with rig(server.url, unique) as queue:
        for _ in range(2):
            await queue.publish({"n": 1})
            async with working(queue.worker(handle)):
                await eventually(queue.empty)
            await jetstream.call(queue.broker.client, f"STREAM.DELETE.{queue.durable.stream}")
            await queue.provision()
        assert [letter.origin_sequence for letter in await queue.dead()] == [1, 1]
