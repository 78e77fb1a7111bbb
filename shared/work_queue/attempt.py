"""One attempt at a job: decode, call the handler, tell the outcome. Never raises for the job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from shared.logs import logger
from shared.work_queue.delivery import Delivery, Held
from shared.work_queue.lane import Slot
from shared.work_queue.outcome import Ack, DeadLetter, Outcome, Permanent, Retry

_log = logger("handler")

T = TypeVar("T")

Decoder = Callable[[Msg], T]
"""Body of a message as its handler wants it. Pure. Raises `Permanent`, or anything, to refuse."""

Handler = Callable[[Delivery[T]], Awaitable[Outcome]]


class Interrupted(Struct, frozen=True):
    """The attempt was cut off by a hard stop. No outcome of the job, and no failed attempt."""


Body = TypeVar("Body", bound=Struct)


def json_body(struct: type[Body]) -> Decoder[Body]:
    """Return a decoder of JSON bodies; a refusal names the field's path."""
    decode = msgspec.json.Decoder(struct).decode

    def decoder(message: Msg) -> Body:
        try:
            return decode(message.data)
        except msgspec.ValidationError as error:
            raise Permanent(str(error), reason="invalid") from error
        except msgspec.DecodeError as error:
            raise Permanent(str(error), reason="malformed") from error

    return decoder


async def attempt(  # noqa: PLR0911 - one return a way that an attempt can end
    held: Held, slot: Slot, decode: Decoder[T], handler: Handler[T]
) -> Outcome | Interrupted:
    """Make one attempt in `slot`, whose keeper may cut it off."""
    try:
        body = decode(held.message)
    except Permanent as error:
        return DeadLetter(error.reason, str(error))
    except Exception as error:  # noqa: BLE001 - a decoder is pure: what it cannot read once it never can
        return DeadLetter("malformed", describe(error))
    slot.started = time.monotonic()
    slot.interruptible = True
    try:
        outcome = await handler(Delivery(held, body))
    except Permanent as error:
        return DeadLetter(error.reason, str(error))
    except asyncio.CancelledError:
        if slot.cut is None:
            raise  # not ours: the whole worker is being cancelled
        return _cut_off(slot.cut)
    except Exception as error:  # noqa: BLE001 - the outcome says what becomes of it, the log why
        _log.warning("handler failed", sequence=held.sequence, attempt=held.attempt, exc_info=True)
        return Retry(describe(error))
    finally:
        slot.interruptible = False
        if slot.cut is not None:
            slot.mend()
    if not isinstance(outcome, Ack | Retry | DeadLetter):
        return Retry(f"handler returned {outcome!r}, not an outcome")
    return outcome


def describe(error: BaseException) -> str:
    """Return an exception in one line: type and words."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _cut_off(cut: Literal["timeout", "stop"]) -> Outcome | Interrupted:
    return Interrupted() if cut == "stop" else Retry("handler timed out")
