"""A complete queue service: sends the e-mails published to `jobs.email.<any>`."""

from __future__ import annotations

import asyncio
import smtplib
import sys
import uuid
from email.message import EmailMessage
from typing import Annotated

from msgspec import Meta, Struct, field

from shared.queue_service import QueueService, serve_queue
from shared.queue_streams import Schedules, WorkQueue
from shared.registry import MessageType, ServiceEntry
from shared.service import load_settings
from shared.settings import ProcessSettings
from shared.topology import ATTEMPTS, DEAD_LETTERS, Durable, Topology
from shared.work_queue import (
    Ack,
    Backoff,
    DeadLetter,
    Delivery,
    Outcome,
    Retry,
    WorkerPolicy,
    json_body,
)

_REFUSED_FOR_GOOD = 500


class Settings(Struct, frozen=True):
    """Environment variables; what is wrong in them is named at start."""

    process: ProcessSettings
    smtp_host: str = field(default="127.0.0.1", name="EMAIL_SMTP_HOST")
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = field(default=25, name="EMAIL_SMTP_PORT")
    sender: str = field(default="robot@headrace.example", name="EMAIL_SENDER")
    max_attempts: Annotated[int, Meta(ge=1)] = field(default=5, name="EMAIL_MAX_ATTEMPTS")
    retry_seconds: Annotated[float, Meta(gt=0)] = field(default=60, name="EMAIL_RETRY_SECONDS")


class Email(Struct, frozen=True):
    """The job; what does not fit becomes a dead letter that names the field."""

    to: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+\Z")]
    subject: Annotated[str, Meta(pattern=r"^[^\r\n]*\Z", max_length=200)]
    text: str


LATER = Schedules(
    name="EMAIL_SCHEDULES",
    waiting="schedules.email.>",
    due="scheduled.email.*",
    target="jobs.email.{{wildcard(1)}}",
    description="E-mails for later",
)
QUEUE = WorkQueue("EMAIL_JOBS", ("jobs.email.>",), "E-mails", max_messages=100_000, schedules=LATER)
WORKERS = Durable(QUEUE.name, "email_sender", "Workers that send e-mails", "jobs.email.>")
TOPOLOGY = Topology((LATER, QUEUE, DEAD_LETTERS, ATTEMPTS), (WORKERS,))

ENTRY = ServiceEntry(
    name="email_sender",
    description="E-mails, sent to an SMTP server",
    topology=lambda: TOPOLOGY,
    messages=(MessageType("email", "jobs.email.<any>", Email, "Command: send an e-mail"),),
)


class EmailSender:
    """Handles e-mail jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def handle(self, delivery: Delivery[Email]) -> Outcome:
        """Send one e-mail; the SMTP server's answer decides what becomes of the job."""
        try:
            await asyncio.to_thread(self._send, delivery.body, delivery.id)
        except smtplib.SMTPRecipientsRefused as refused:
            return _judged(*refused.recipients[delivery.body.to])
        except smtplib.SMTPResponseException as refused:
            return _judged(refused.smtp_code, refused.smtp_error)
        except (ConnectionError, TimeoutError) as error:
            return Retry(f"SMTP server: {error}", counts=False)  # no fault of this e-mail
        return Ack({"to": delivery.body.to})

    def _send(self, email: Email, identity: str) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._settings.sender, email.to, email.subject
        # A repeat of this job carries the same id, and mail servers drop what they have seen.
        mail["Message-ID"] = f"<{uuid.uuid5(uuid.NAMESPACE_URL, identity)}@headrace.example>"
        mail.set_content(email.text)
        host, port = self._settings.smtp_host, self._settings.smtp_port
        with smtplib.SMTP(host, port, timeout=10) as smtp:
            smtp.send_message(mail)


def _judged(code: int, words: bytes | str) -> Outcome:
    said = words.decode(errors="replace") if isinstance(words, bytes) else words
    error = f"SMTP {code}: {said}"
    return DeadLetter("invalid", error) if code >= _REFUSED_FOR_GOOD else Retry(error)


def main() -> int:
    """Run the service; return its exit code."""
    settings = load_settings(Settings)
    backoff = Backoff(first_seconds=settings.retry_seconds)
    service = QueueService(
        entry=ENTRY,
        durable=WORKERS,
        policy=WorkerPolicy(concurrency=5, max_attempts=settings.max_attempts, backoff=backoff),
        decode=json_body(Email),
        handler=EmailSender(settings).handle,
    )
    return serve_queue(service, settings.process)


if __name__ == "__main__":
    sys.exit(main())
