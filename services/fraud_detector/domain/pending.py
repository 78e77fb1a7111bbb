"""Payments that wait for their labels, and those whose labels may still come: bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final
from zlib import crc32

from msgspec import Struct

from services.fraud_detector.domain.payment import Payment

_PIECE_PAYMENTS: Final = 2_000


class Pending(Struct, array_like=True, gc=False, eq=False):
    """A payment as it was scored; it is learned after `due_ms`, forgotten after `kept_ms`."""

    key: str
    terminal: str | None
    time_ms: int
    due_ms: int
    kept_ms: int
    places: bytes
    fraud: bool = False
    learned: bool = False


class PendingPayments:
    """Payments by identity, in the order of the log; at most `most` of them."""

    def __init__(self, most: int) -> None:
        self.skipped = 0
        self._most = most
        self._waiting: deque[Pending] = deque()
        self._learned: deque[Pending] = deque()
        self._by_key: dict[str, Pending] = {}

    @property
    def waiting(self) -> int:
        """How many are not learned yet."""
        return len(self._waiting)

    @property
    def remembered(self) -> int:
        """How many are learned, and can still be corrected."""
        return len(self._learned)

    def find(self, card: str, payment_id: str) -> Pending | None:
        """Return the payment of a label; of equal ones the newest."""
        return self._by_key.get(_key(card, payment_id))

    def add(self, payment: Payment, places: bytes, due_ms: int, kept_ms: int) -> None:
        """Remember a payment, or skip it: the fuller the memory, the fewer are taken.

        From half full on those already learned go first; then of the new ones every second, from
        three quarters every fourth, and so on, is taken, by a checksum of its identity.
        """
        key = _key(payment.card, payment.payment_id)
        while self._learned and 2 * self._held() > self._most:
            self._forget_oldest()
        free = self._most - self._held()
        if free <= 0 or crc32(key.encode("utf-8", "surrogatepass")) & (
            (1 << (self._most // (2 * free)).bit_length()) - 1
        ):
            self.skipped += 1
            return
        added = Pending(key, payment.terminal, payment.time_ms, due_ms, kept_ms, places)
        self._waiting.append(added)
        self._by_key[key] = added

    def next_due(self, now_ms: int) -> Pending | None:
        """Return the next payment that is due before an instant, and count it as learned."""
        if not self._waiting or self._waiting[0].due_ms >= now_ms:
            return None
        due = self._waiting.popleft()
        due.learned = True
        self._learned.append(due)
        return due

    def forget(self, now_ms: int, most: int) -> None:
        """Forget what need not be remembered at an instant any more, `most` of them at once."""
        for _ in range(most):
            if not self._learned or self._learned[0].kept_ms >= now_ms:
                return
            self._forget_oldest()

    def snapshot(self) -> Iterator[list[Any]]:
        """Yield the state in pieces."""
        yield ["skipped", self.skipped]
        for payments in (self._learned, self._waiting):
            rest = iter(payments)
            while some := list(islice(rest, _PIECE_PAYMENTS)):
                yield ["payments", some]

    def restore(self, piece: list[Any]) -> None:
        """Take in one piece of a snapshot, in order, into a new memory."""
        kind, content = piece
        if kind == "skipped":
            self.skipped = content
            return
        for row in content:
            payment = Pending(*row)
            (self._learned if payment.learned else self._waiting).append(payment)
            self._by_key[payment.key] = payment

    def _held(self) -> int:
        return len(self._waiting) + len(self._learned)

    def _forget_oldest(self) -> None:
        oldest = self._learned.popleft()
        if self._by_key.get(oldest.key) is oldest:  # no newer one of the same identity
            del self._by_key[oldest.key]


def _key(card: str, payment_id: str) -> str:
    return f"{card} {payment_id}"  # a card is a token of a subject, so has no space
