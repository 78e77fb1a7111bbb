"""Snapshots: the state of a partition in immutable chunks, named by its position record.

Chunks are messages of a stream of their own. A snapshot counts only once the fenced record
names it, so a zombie's is never used; what no record names is removed with the next one.
"""

from __future__ import annotations

import asyncio
import gc
import time
import zlib
from collections.abc import Iterable, Iterator

import msgspec
import nats.errors
from nats.aio.client import Client

from shared import jetstream
from shared.jetstream import BROKER_ERRORS, JetStreamError
from shared.log_stream.commit import Committer
from shared.log_stream.fold import Fold
from shared.log_stream.guard import Place
from shared.log_stream.position import Manifest
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")

_CHUNK_BYTES = 400_000
_AT_ONCE = 8

_encoder = msgspec.msgpack.Encoder()
_pieces = msgspec.msgpack.Decoder(list[bytes])


class SnapshotUnusableError(Exception):
    """Chunks are missing or damaged, or of another schema; the log must be folded anew."""


async def encode(pieces: Iterator[object]) -> list[bytes]:
    """Encode the pieces of a state into chunks, letting others run between two pieces."""
    chunks: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        encoded = _encoder.encode(piece)
        if gathered and size + len(encoded) > _CHUNK_BYTES:
            chunks.append(_encoder.encode(gathered))
            gathered, size = [], 0
        gathered.append(encoded)
        size += len(encoded)
        await asyncio.sleep(0)
    chunks.append(_encoder.encode(gathered))
    return chunks


class Snapshots:
    """Stores and loads the snapshots of one partition."""

    def __init__(self, client: Client, stage: Stage, partition: int) -> None:
        self._client = client
        self._partition = partition
        self._stream = stage.snapshots.name
        self._prefix = f"{stage.snapshot_prefix}.{partition}"

    async def take(self, fold: Fold, at: Place, committer: Committer) -> Manifest | None:
        """Save the state that the fold has at a place, and let the record name it; None: not now.

        Nothing may be folded meanwhile. Raises `FencedError`.
        """
        began = time.monotonic()
        chunks = await encode(fold.snapshot())
        await committer.below(0)  # a snapshot's outputs must be out before it counts
        name = f"{committer.record.epoch}-{at[0]}"
        try:
            sequences, crc = await self.store(name, chunks)
        except BROKER_ERRORS as error:
            _log.warning("snapshot failed", partition=self._partition, error=str(error))
            return None
        size = sum(map(len, chunks))
        manifest = Manifest(*at, fold.schema, sequences, crc, size)
        await committer.name_snapshot(manifest)
        try:
            await self.remove_older(manifest)
        except BROKER_ERRORS as error:
            _log.warning("old snapshots stay", partition=self._partition, error=str(error))
        seconds = round(time.monotonic() - began, 3)
        _log.info(
            "snapshot stored",
            partition=self._partition,
            position=at[0],
            bytes=size,
            seconds=seconds,
        )
        return manifest

    async def store(self, name: str, chunks: list[bytes]) -> tuple[tuple[int, ...], int]:
        """Store the chunks under a name of their own; return their sequences and the CRC-32."""
        sequences: list[int] = []
        for start in range(0, len(chunks), _AT_ONCE):
            acks = await asyncio.gather(
                *(
                    jetstream.publish(self._client, f"{self._prefix}.{name}.{start + n}", chunk)
                    for n, chunk in enumerate(chunks[start : start + _AT_ONCE])
                )
            )
            sequences += [ack.sequence for ack in acks]
        return tuple(sequences), await asyncio.to_thread(_crc, chunks)

    async def restore(self, manifest: Manifest, fold: Fold) -> None:
        """Load a snapshot into a new fold. Raises `SnapshotUnusableError`, broker errors.

        A large state takes a while, and leases want to be renewed: so not in the event loop.
        """
        if manifest.schema != fold.schema:
            raise SnapshotUnusableError(f"schema {manifest.schema}, this code has {fold.schema}")
        chunks: list[bytes] = []
        for start in range(0, len(manifest.chunks), _AT_ONCE):
            part = manifest.chunks[start : start + _AT_ONCE]
            chunks += await asyncio.gather(*(self._chunk(sequence) for sequence in part))
        if await asyncio.to_thread(_crc, chunks) != manifest.crc:
            raise SnapshotUnusableError("damaged: its checksum differs")
        pieces = (piece for chunk in chunks for piece in _pieces.decode(chunk))
        try:
            await asyncio.to_thread(_restore, fold, pieces)
        except Exception as error:  # whatever a fold of another form stumbles over; the log knows
            raise SnapshotUnusableError(f"of another form: {error!r}") from error

    async def remove_older(self, manifest: Manifest) -> None:
        """Remove what no record names any more: older snapshots, and chunks of failed ones."""
        await jetstream.call(
            self._client,
            f"STREAM.PURGE.{self._stream}",
            {"filter": f"{self._prefix}.>", "seq": min(manifest.chunks)},
        )

    async def _chunk(self, sequence: int) -> bytes:
        try:
            stored = await self._direct(sequence)
            if stored is None:  # a replica that lags, perhaps; the leader knows
                message = await jetstream.message_at(self._client, self._stream, sequence)
                stored = None if message is None else message.data
        except JetStreamError as error:
            raise SnapshotUnusableError(f"chunk {sequence}: {error}") from error
        if stored is None:
            raise SnapshotUnusableError(f"chunk {sequence} is gone")
        return stored

    async def _direct(self, sequence: int) -> bytes | None:
        request = msgspec.json.encode({"seq": sequence})
        try:
            reply = await jetstream.request(
                self._client, f"$JS.API.DIRECT.GET.{self._stream}", request, timeout=5
            )
        except nats.errors.NoRespondersError:
            return None
        return None if reply.headers and "Status" in reply.headers else reply.data


def _restore(fold: Fold, pieces: Iterable[bytes]) -> None:
    """Fill a fold, with Python's garbage collector off meanwhile.

    It would walk what is there already at every step, and find that all of it lives: for a
    million keys that takes twice as long as all the rest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        fold.restore(pieces)
    finally:
        if enabled:  # if not, another restore is under way, and turns it on again
            gc.enable()


def _crc(chunks: Iterable[bytes]) -> int:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc
