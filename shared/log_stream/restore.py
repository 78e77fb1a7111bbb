"""Begin where the position record says: load a snapshot, see that the log can be folded on."""

from __future__ import annotations

from msgspec import Struct
from nats.aio.client import Client

from shared.log_stream import guard
from shared.log_stream.fold import Fold, Program
from shared.log_stream.guard import Place
from shared.log_stream.position import Position
from shared.log_stream.snapshots import Snapshots, SnapshotUnusableError
from shared.log_stream.stage import Stage
from shared.logs import logger

_log = logger("partition")


class Restored(Struct):
    """A state, the event that it contains last, and what is known of the log.

    Up to `clear` the log holds no more of the partition than was folded or committed;
    `snapshot_at` is where the snapshot stood, (0, 0) without one.
    """

    fold: Fold
    folded: Place
    snapshot_at: Place
    clear: Place


async def restore(
    client: Client, stage: Stage, number: int, program: Program, record: Position
) -> Restored:
    """Return the state to go on with. Raises `LogChangedError`, broker errors."""
    fold, folded = await _load(Snapshots(client, stage, number), number, program, record)
    committed = (record.sequence, record.arrival_ns)
    state = Restored(fold, folded, folded, max(committed, record.clear))
    folds_on = stage.stateless or folded >= committed
    for place in sorted({state.clear} if folds_on else {folded, committed}):
        await guard.check(client, stage, number, place)
    if stage.stateless:
        if record.sequence:  # once more, for a part of its outputs may be missing
            state.folded = (record.sequence - 1, record.arrival_ns)
    elif record.sequence and not folded[0]:
        await guard.check_whole(client, stage, number, record)
    return state


async def _load(
    snapshots: Snapshots, number: int, program: Program, record: Position
) -> tuple[Fold, Place]:
    for manifest in (record.snapshot, record.base):
        if manifest is None:
            continue
        fold = program.fold(record.seed, number)
        try:
            await snapshots.restore(manifest, fold)
        except SnapshotUnusableError as error:
            _log.warning("snapshot unusable, folding anew", partition=number, error=str(error))
        else:
            return fold, (manifest.sequence, manifest.arrival_ns)
    return program.fold(record.seed, number), (0, 0)
