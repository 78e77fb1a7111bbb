"""Redrive sends dead letters back unchanged, under ids of their own, and loses none."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal

import pytest
from nats.aio.client import Client

from shared import jetstream
from shared.contracts import headers
from shared.dead_letters import Selection, read
from shared.letters import DeadLetter
from shared.provision import provision
from shared.settings import StreamSettings
from shared.topology import DEAD_LETTERS, Log, Topology
from shared.work_queue.redrive import RedriveRefusedError, redrive
from tests.dead_letter_rig import BODY, QUEUE, counts, park, prepare, state
from tests.headrace import SCRIPT, environment, headrace
from tests.server import Server


async def letters(client: Client, selection: Selection) -> list[DeadLetter]:
    return [letter async for letter in read(client, selection)]


async def test_the_job_comes_back_unchanged_with_a_fresh_id_and_its_lineage(
    own_client: Client,
) -> None:
    await prepare(own_client)
    sequence = await park(own_client, 17)
    [letter] = await letters(own_client, Selection())
    ack = await redrive(own_client, letter)
    job = await jetstream.message_at(own_client, ack.stream, ack.sequence)
    assert job is not None
    assert (ack.stream, job.subject, job.data) == (QUEUE, "jobs.mail.a", BODY)
    assert job.headers.pop(headers.MESSAGE_ID).startswith(f"redrive:{sequence}:")
    assert job.headers == {
        "traceparent": letter.headers["traceparent"],
        "X-Mine": "kept",
        headers.REDRIVEN_FROM: f"DEAD_LETTERS:{sequence}",
    }
    assert await counts(own_client) == (1, 0)


async def test_a_second_redrive_is_no_duplicate_to_the_server(own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 1)
    [letter] = await letters(own_client, Selection())
    first = await redrive(own_client, letter, keep=True)
    second = await redrive(own_client, letter)
    assert not second.duplicate
    assert second.sequence == first.sequence + 1
    assert await counts(own_client) == (2, 0)


async def test_a_full_queue_refuses_and_the_letter_stays(own_client: Client) -> None:
    await prepare(own_client, max_messages=1)
    await park(own_client, 1)
    await park(own_client, 2)
    first, second = await letters(own_client, Selection())
    await redrive(own_client, first)
    with pytest.raises(RedriveRefusedError, match="maximum messages exceeded"):
        await redrive(own_client, second)
    assert await letters(own_client, Selection()) == [second]


async def test_an_event_of_a_log_is_not_sent_a_second_time(own_client: Client) -> None:
    await prepare(own_client)
    log = Log("EVENTS", ("events.>",), "events")
    await provision(own_client, Topology((log,)), StreamSettings())
    await park(own_client, 1, stream="EVENTS", subject="events.made")
    [letter] = await letters(own_client, Selection())
    with pytest.raises(RedriveRefusedError, match="EVENTS:1 is an event of a log"):
        await redrive(own_client, letter)
    assert (await state(own_client, "EVENTS"))["messages"] == 0
    assert await counts(own_client) == (0, 1)


async def test_a_letter_whose_stream_is_gone_stays(own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 1, subject="elsewhere.job")
    [letter] = await letters(own_client, Selection())
    with pytest.raises(RedriveRefusedError, match="no stream takes elsewhere"):
        await redrive(own_client, letter)
    assert await counts(own_client) == (0, 1)


async def test_each_filter_selects(own_client: Client) -> None:
    await prepare(own_client)
    a = await park(own_client, 1, service="mailer", reason="invalid", subject="jobs.mail.a")
    b = await park(own_client, 2, service="mailer", reason="exhausted", subject="jobs.mail.b.c")
    [first] = await letters(own_client, Selection(limit=1))
    c = await park(own_client, 3, service="printer", reason="invalid", subject="jobs.print")
    parked_last = (await letters(own_client, Selection()))[-1].parked_at

    async def selected(selection: Selection) -> list[int]:
        return [letter.sequence for letter in await letters(own_client, selection)]

    assert first.sequence == a
    assert await selected(Selection()) == [a, b, c]
    assert await selected(Selection(service="mailer")) == [a, b]
    assert await selected(Selection(reason="invalid")) == [a, c]
    assert await selected(Selection(service="printer", reason="exhausted")) == []
    assert await selected(Selection(stream=QUEUE)) == [a, b, c]
    assert await selected(Selection(stream="OTHER")) == []
    assert await selected(Selection(subject="jobs.mail.*")) == [a]
    assert await selected(Selection(subject="jobs.mail.>")) == [a, b]
    assert await selected(Selection(since=parked_last)) == [c]
    assert await selected(Selection(sequences=(c, a, 99))) == [a, c]
    assert await selected(Selection(limit=2)) == [a, b]
    assert await selected(Selection(up_to=b)) == [a, b]


async def test_reading_goes_over_pages_and_holes(own_client: Client) -> None:
    await prepare(own_client)
    for _ in range(1201):
        await own_client.publish("dead.mailer.invalid", b"x", headers={"N": "1"})
    await jetstream.publish(own_client, "dead.mailer.invalid", b"x")
    for sequence in range(400, 600):
        await jetstream.delete_message(own_client, DEAD_LETTERS.name, sequence)
    found = [letter.sequence async for letter in read(own_client, Selection(), bodies=False)]
    assert found == [*range(1, 400), *range(600, 1203)]


async def test_what_dies_again_meanwhile_is_not_redriven_again(own_client: Client) -> None:
    await prepare(own_client)
    more_than_a_page = 1001
    for sequence in range(1, more_than_a_page + 1):
        await park(own_client, sequence)
    seen = 0
    async for _ in read(own_client, Selection()):
        seen += 1
        await park(own_client, more_than_a_page + seen)
    assert seen == more_than_a_page


async def test_a_dry_run_shows_and_sends_nothing(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 1)
    await park(own_client, 2, reason="exhausted")
    done = await headrace("dead", "redrive", "--reason", "invalid", "--dry-run", url=own_server.url)
    assert done.code == 0, done.err
    assert "would redrive 1" in done.out
    assert await counts(own_client) == (0, 2)


async def test_without_a_yes_nothing_is_sent(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 1)
    done = await headrace("dead", "redrive", url=own_server.url)
    assert done.code == 2
    assert "--yes" in done.err
    assert await counts(own_client) == (0, 1)


async def test_the_command_redrives_what_is_selected(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client)
    for sequence in range(1, 4):
        await park(own_client, sequence, reason="invalid" if sequence < 3 else "exhausted")
    done = await headrace("dead", "redrive", "--reason", "invalid", "--yes", url=own_server.url)
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["1 -> JOBS:1", "2 -> JOBS:2", "redriven 2"]
    assert await counts(own_client) == (2, 1)


async def test_keep_leaves_the_letters(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    await park(own_client, 1)
    done = await headrace("dead", "redrive", "--yes", "--keep", url=own_server.url)
    assert done.code == 0, done.err
    assert await counts(own_client) == (1, 1)


async def test_the_rate_is_kept(own_server: Server, own_client: Client) -> None:
    await prepare(own_client)
    for sequence in range(1, 7):
        await park(own_client, sequence)
    done = await headrace("dead", "redrive", "--yes", "--rate", "5", url=own_server.url)
    assert done.code == 0, done.err
    queued = await state(own_client, QUEUE)
    first, last = (dt.datetime.fromisoformat(queued[name]) for name in ("first_ts", "last_ts"))
    assert dt.timedelta(seconds=0.95) < last - first
    assert await counts(own_client) == (6, 0)


async def test_a_refusal_ends_the_command_and_names_what_was_sent_and_what_not(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client, max_messages=2)
    for sequence in range(1, 6):
        await park(own_client, sequence)
    done = await headrace("dead", "redrive", "--yes", url=own_server.url)
    assert done.code == 1
    assert done.out.splitlines() == ["1 -> JOBS:1", "2 -> JOBS:2"]
    assert "dead letter 3 was refused" in done.err
    assert "maximum messages exceeded" in done.err
    assert "redriven 2; dead letter 3 and 2 more stay where they are" in done.err
    assert [letter.sequence for letter in await letters(own_client, Selection())] == [3, 4, 5]


async def test_ctrl_c_says_how_far_it_came_and_the_rest_stays(
    own_server: Server, own_client: Client
) -> None:
    await prepare(own_client)
    for sequence in range(1, 11):
        await park(own_client, sequence)
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *("dead", "redrive", "--yes", "--rate", "1"),
        env=environment(NATS_URL=own_server.url, PYTHONUNBUFFERED="1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    for _ in range(2):  # what the server has stored, the command may not know yet; its lines say so
        assert b" -> " in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == 130
    jobs, left = await counts(own_client)
    assert said.decode() == f"interrupted. redriven {jobs} of 10\n"
    assert jobs + left == 10
