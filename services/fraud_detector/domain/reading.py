"""A message on `PAYMENTS` to a `Payment` or a `Label`, checked. Nothing is guessed or clipped.

Fields that are not in the contract are ignored, unless a card number is in one. Empty text
counts as absent.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, NoReturn

import msgspec
from msgspec import Meta, Raw

from services.fraud_detector.domain.card_numbers import (
    holds_card_number,
    looks_clean,
    place_of_card_number,
)
from services.fraud_detector.domain.payment import Label, Payment
from services.fraud_detector.domain.refusal import Refusal, invalid, malformed
from shared.contracts.headers import MESSAGE_ID
from shared.contracts.payments import PaymentLabeled
from shared.log_stream.clock import too_far_ahead

ALLOWED_SKEW_MS: Final = 600_000
"""Event time may be so much later than arrival; beyond that a clock is wrong."""

_STREAM: Final = "PAYMENTS"
_LAST_MS: Final = 253_402_300_799_999
_DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLION: Final = 1_000_000
_LARGEST: Final = 10**18
_SHORTEST_NUMBER: Final = 13
_MOST_KEPT: Final = 65_536
_NONE: Final = Raw(b"")
_NOTHING: Final = Decimal(0)
_AT: Final = re.compile(r"(?P<words>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?(?:[eE]([+-]?[0-9]{1,3}))?")

_Code = Annotated[str, Meta(min_length=1, max_length=128)]
_Latitude = Annotated[float, Meta(ge=-90, le=90)]
_Longitude = Annotated[float, Meta(ge=-180, le=180)]
_OURS: Final = {
    name: f" {name}" for name in ("sequence", "card", "time_ms", "micros", "late", "score")
} | {"amount": " amount", "written": "amount"}


class _Read(Payment, kw_only=True, gc=False, eq=False, rename=_OURS):
    """A payment as it is decoded, in place.

    What the log knows is set afterwards; its names in JSON are such as nobody uses.
    """

    written: Raw = _NONE
    time: dt.datetime | float | None = None
    sequence: int = 0
    card: str = ""
    time_ms: int = 0
    amount: Decimal = _NOTHING
    micros: int = 0
    late: bool = False
    score: float | None = None
    payment_id: _Code | None = None  # type: ignore[assignment]  # set before anyone sees it
    currency: _Code | None = None
    terminal: _Code | None = None
    merchant: _Code | None = None
    mcc: _Code | None = None
    country: _Code | None = None
    channel: _Code | None = None
    ip: _Code | None = None
    device: _Code | None = None
    latitude: _Latitude | None = None
    longitude: _Longitude | None = None


_PAYMENT: Final = msgspec.json.Decoder(_Read)
_LABEL: Final = msgspec.json.Decoder(PaymentLabeled)
_AMOUNT_TEXT: Final = msgspec.json.Decoder(str)
_known: dict[bytes, tuple[Decimal, int]] = {}  # amounts repeat, and are dear to read


def read_payment(
    data: bytes, card: str, given: Mapping[str, str] | None, sequence: int, arrival_ns: int
) -> Payment:
    """Return the payment of a message; raises `Refusal`.

    `card` is the subject's last token; `given` are the message's headers, which are looked at
    only where the body does not name the payment.
    """
    try:
        payment = _PAYMENT.decode(data)
    except (ValueError, RecursionError) as error:
        payment = _second_look(data, error)
    if len(card) >= _SHORTEST_NUMBER or not looks_clean(data):
        _refuse_card_numbers(data, card)
    written = bytes(payment.written)
    payment.amount, payment.micros = _known.get(written) or _amount(written)
    payment.sequence = sequence
    payment.card = card
    payment.late = False
    payment.score = None
    if payment.payment_id is None:
        payment.payment_id = _identity(given, sequence)
    when = payment.time
    arrival_ms = arrival_ns // _MILLION
    payment.time_ms = time_ms = arrival_ms if when is None else _time_ms(when)
    if time_ms > arrival_ms + ALLOWED_SKEW_MS:  # too_far_ahead, whose call costs more than this
        raise Refusal("future", "time: is more than ten minutes after the arrival")
    return payment


def read_label(data: bytes, card: str, sequence: int, arrival_ns: int) -> Label:
    """Return the label of a message; raises `Refusal`."""
    try:
        label = _LABEL.decode(data)
    except (ValueError, RecursionError) as error:
        _refuse(data, error)
    _refuse_card_numbers(data, card)
    if not label.payment_id:
        raise invalid("payment_id", "is missing")
    time_ms = arrival_ns // _MILLION if label.time is None else _time_ms(label.time)
    if too_far_ahead(time_ms, arrival_ns, ALLOWED_SKEW_MS):
        raise Refusal("future", "time: is more than ten minutes after the arrival")
    return Label(sequence, card, label.payment_id, time_ms, label.fraud)


def _second_look(data: bytes, error: Exception) -> _Read:
    """Decode without the fields that are empty text, or refuse for what was found first."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, Raw])
        left = {name: raw for name, raw in fields.items() if bytes(raw) != b'""'}
        if len(left) < len(fields):
            return _PAYMENT.decode(msgspec.json.encode(left))
    except (ValueError, RecursionError) as second:
        error = second
    return _refuse(data, error)


def _refuse(data: bytes, error: Exception) -> NoReturn:
    """Refuse; JSON that is broken somewhere behind the fault that was found first is malformed."""
    try:
        msgspec.json.decode(data)
    except (ValueError, RecursionError) as broken:
        raise malformed("body", str(broken)) from None
    found = _AT.fullmatch(str(error))
    words, path = (found["words"], found["path"]) if found else (str(error), None)
    raise invalid(path or "body", words.replace("`", "")) from None


def _refuse_card_numbers(data: bytes, card: str) -> None:
    if holds_card_number(card):
        raise invalid("card", "a card number")
    if looks_clean(data):
        return
    try:
        place = place_of_card_number(data)
    except (ValueError, RecursionError) as error:
        raise malformed("body", str(error)) from None
    if place is not None:
        raise invalid(place, "a card number")


def _amount(written: bytes) -> tuple[Decimal, int]:
    if not written:
        raise invalid("amount", "is missing")
    try:
        text = _AMOUNT_TEXT.decode(written) if written[:1] == b'"' else written.decode()
    except ValueError as error:  # the decoder of the whole passes over these bytes unseen
        raise malformed("amount", str(error)) from None
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise invalid("amount", "is no decimal number")
    sign, whole, decimals, power = found.groups()
    if sign:
        raise invalid("amount", "must not be negative")
    decimals = decimals or ""
    shift = 6 - len(decimals) + int(power or 0)
    micros, rest = int(whole + decimals), 0
    if micros and shift > 0:
        micros *= 10**shift
    elif micros:
        micros, rest = divmod(micros, 10**-shift)
    if rest:
        raise invalid("amount", "must not have more than six decimals")
    if micros >= _LARGEST:
        raise invalid("amount", "must be below a million millions")
    amount = Decimal(text) if micros else _NOTHING
    if len(_known) >= _MOST_KEPT:
        _known.clear()
    _known[written] = amount, micros
    return amount, micros


def _identity(given: Mapping[str, str] | None, sequence: int) -> str:
    message_id = given.get(MESSAGE_ID) if given is not None else None
    if not message_id:
        return f"{_STREAM}:{sequence}"
    if holds_card_number(message_id):
        raise invalid("payment_id", "a card number")
    return message_id


def _time_ms(when: dt.datetime | float) -> int:
    """Return a time as milliseconds since 1970, rounded down; raises `Refusal`.

    Seconds are first rounded to microseconds: a float of today's seconds is no more exact.
    """
    if isinstance(when, dt.datetime):
        since = (when if when.tzinfo else when.replace(tzinfo=dt.UTC)) - _EPOCH
        time_ms = since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000
    else:
        time_ms = round(when * 1e6) // 1_000 if 0 <= when <= _LAST_MS else -1
    if not 0 <= time_ms <= _LAST_MS:
        raise invalid("time", "is not between the years 1970 and 9999")
    return time_ms
