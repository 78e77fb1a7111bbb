"""The second example of `docs/`: started as its page says, against a real SMTP server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections import Counter
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session
from nats.aio.client import Client

from shared import jetstream
from shared.dead_letters import Selection, read
from shared.letters import DeadLetter
from tests.eventually import eventually
from tests.processes import Process
from tests.server import Server

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "email_sender.py"


class MailServer:
    """Takes mail; `answers` are given first, one a mail, by recipient."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[Message] = []
        self.tries: Counter[str] = Counter()
        self.answers: dict[str, list[str]] = {}

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Answer RCPT: refuse who is to be refused for good."""
        if address.startswith("nobody@"):
            self.tries[address] += 1
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer DATA as scripted, else take the mail."""
        (to,) = envelope.rcpt_tos
        self.tries[to] += 1
        if scripted := self.answers.get(to):
            return scripted.pop(0)
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def received(self, to: str) -> list[Message]:
        return [mail for mail in self.mails if mail["To"] == to]


@contextlib.asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    handler = MailServer()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    async with listening:
        handler.port = listening.sockets[0].getsockname()[1]
        yield handler


def email_sender(url: str, mail_port: int) -> Process:
    return Process(str(EXAMPLE), url, EMAIL_SMTP_PORT=str(mail_port), EMAIL_RETRY_SECONDS="0.05")


async def publish(client: Client, to: str, **headers: str) -> None:
    body = {"to": to, "subject": "Grüße", "text": "Hello\n"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    subject = "schedules.email.x" if "Nats-Schedule" in named else "jobs.email.x"
    await jetstream.publish(client, subject, json.dumps(body).encode(), named)


async def left(client: Client) -> int:
    state = (await jetstream.call(client, "STREAM.INFO.EMAIL_JOBS"))["state"]
    return int(state["messages"])


async def letters(client: Client) -> list[DeadLetter]:
    return [letter async for letter in read(client, Selection(service="email_sender"))]


async def test_mails_are_sent_retried_or_set_aside_as_the_smtp_server_answers(
    own_server: Server, own_client: Client
) -> None:
    async with mail_server() as mail:
        mail.answers["busy@blue.example"] = ["451 4.3.0 try later", "451 4.3.0 try later"]
        with email_sender(own_server.url, mail.port) as sender:
            await sender.started()
            await publish(own_client, "ap@blue.example", Nats_Msg_Id="m-1")
            await publish(own_client, "ap@blue.example", Nats_Msg_Id="m-1")
            await publish(own_client, "busy@blue.example")
            await publish(own_client, "nobody@blue.example")
            await publish(own_client, "not an address")
            await eventually(lambda: mail.received("busy@blue.example"))
            await eventually(lambda: _gone(own_client))

            (once,) = mail.received("ap@blue.example")
            assert once.get_payload(decode=True) == b"Hello\r\n"
            assert mail.tries["busy@blue.example"] == 3
            assert mail.tries["nobody@blue.example"] == 1
            no_mailbox, no_address = sorted(
                await letters(own_client), key=lambda letter: "SMTP" not in letter.error
            )
            assert no_mailbox.error == "SMTP 550: 5.1.1 no such mailbox"
            assert "`$.to`" in no_address.error
            assert {no_mailbox.reason, no_address.reason} == {"invalid"}
            assert no_mailbox.attempts == 1
            sender.terminate()
            assert await sender.exit_code() == 0
        assert len(mail.mails) == 2


async def test_an_smtp_server_that_is_away_uses_up_no_attempts(
    own_server: Server, own_client: Client
) -> None:
    async with mail_server() as mail:
        port = mail.port
    with email_sender(own_server.url, port) as sender:
        await sender.started()
        await publish(own_client, "ap@blue.example")
        refused = await eventually(lambda: sender.events("delivery settled", outcome="retry")[6:])
        assert {line["attempt"] for line in refused} == {1}
        assert await left(own_client) == 1
        assert await letters(own_client) == []


async def test_a_mail_for_later_is_sent_when_it_is_due(
    own_server: Server, own_client: Client
) -> None:
    async with mail_server() as mail:
        with email_sender(own_server.url, mail.port) as sender:
            await sender.started()
            due = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
            at = due.isoformat().replace("+00:00", "Z")
            await publish(
                own_client,
                "later@blue.example",
                Nats_Schedule=f"@at {at}",
                Nats_Schedule_Target="scheduled.email.x",
            )
            await eventually(lambda: mail.received("later@blue.example"))
            assert dt.datetime.now(dt.UTC) >= due


async def _gone(client: Client) -> bool:
    return await left(client) == 0
