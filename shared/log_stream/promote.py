"""Make a generation live without a gap or a double: the same streams, another state goes on.

1. Catch up: the generation folds what the log holds now, and the members of the live one are
   given time to come as far. All goes on meanwhile.
2. Hold: nobody may claim the live partitions any more, so they stay where they stand.
3. Cut: where the further of the two stands. Whichever is behind is run up to it, the live one
   with its own state; what it has emitted reaches its later stages, which are then held too.
4. Hand over: the generation's states at the cut become snapshots of the live one.
5. Switch: one atomic batch replaces all live records: the same positions, the generation's
   seed and snapshot, no hold. Members claim, restore, and go on from the cut.

Killed anywhere it goes on when it is run again; before 5 it can be undone: `abort`. Positions
do not move while held, so each event takes effect once: up to the cut by the old state, from
there on by the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec.structs import replace
from nats.aio.client import Client

from shared import jetstream
from shared.broker import Broker
from shared.log_stream import position
from shared.log_stream.arrivals import came, copied
from shared.log_stream.generation import LIVE, Generation, GenerationError, generation_of
from shared.log_stream.generations import Begun
from shared.log_stream.guard import LogChangedError
from shared.log_stream.live_records import abort, has_members, switch
from shared.log_stream.records import read_record, records_of
from shared.log_stream.replay import Claim, Run, first_of, replay, tails
from shared.log_stream.stage import Stage, StageEntry
from shared.log_stream.states import State, handed_over

_MEMBERS_SECONDS: Final = 15.0
_ALL_OUT: Final = 1 << 30
"""As many outputs of an event as none has: whatever the new state says of it is not emitted."""

Cuts = dict[int, int]
FixedSeed = Callable[[str, int | None], str]


class Promotion:
    """Makes one generation live; `say` is told what is being done."""

    def __init__(
        self,
        broker: Broker,
        generation: Generation,
        begun: Begun,
        say: Callable[[str], None],
        fixed_seed: FixedSeed | None = None,
    ) -> None:
        self._broker = broker
        self._client: Client = broker.client
        self._generation = generation
        self._begun = begun
        self._say = say
        self._fixed_seed = fixed_seed
        self._claim = Claim(self._client, generation)
        self._live = generation_of(generation.live, LIVE)
        self._pairs = tuple(zip(generation.live, generation.entries, strict=True))

    async def is_live(self) -> bool:
        """Tell whether it was promoted before."""
        records = [await records_of(self._client, live.stage) for live, _ in self._pairs]
        return all(
            record.promotion == self._begun.id for one in records for _, record in one.values()
        )

    async def catch_up(self, show: Callable[[int, str], None], stop: asyncio.Event) -> bool:
        """Fold what there is, while all goes on; tell whether `stop` ended that.

        Raises `TakenOverError`, `LogChangedError`, broker errors.
        """
        until: dict[str, Mapping[int, int]] = {}
        for live, new in self._pairs:
            if new in self._generation.first:
                ends = await tails(self._client, live.stage)
                alone = not await has_members(self._client, live.stage.group)
                for number, (_, record) in (await records_of(self._client, live.stage)).items():
                    if record.held or alone:  # it stays there: to go further would part them
                        ends[number] = min(ends[number], record.sequence)
                until[new.stage.group] = ends
        self._say("catching up")
        if await replay(self._broker, self._generation, show, stop, until):
            return True
        await self._claim.take()
        for live, new in self._pairs:
            if new in self._generation.first:
                folded = await records_of(self._client, new.stage)
                wanted = {number: record.sequence for number, (_, record) in folded.items()}
                await self._let_members_come_to(live.stage, wanted)
        return stop.is_set()

    async def complete(self) -> None:
        """Hold, cut, hand over, switch: after `catch_up`.

        Raises `GenerationError`, `TakenOverError`, `HeldError`, `LogChangedError`, broker errors.
        """
        try:
            cuts = [(live, new, await self._cut(live, new)) for live, new in self._pairs]
            states = [await self._hand_over(*cut) for cut in cuts]
        except (GenerationError, LogChangedError):
            await abort(self._client, self._generation)  # it cannot be: let the members go on
            raise
        self._say("switching")
        await switch(self._client, self._live, [state for some in states for state in some])

    async def _let_members_come_to(self, stage: Stage, wanted: Mapping[int, int]) -> None:
        """Wait a while: what live members do themselves need not be done in their stead."""
        self._say(f"waiting for members of {stage.group}")

        async def there() -> bool:
            records = await records_of(self._client, stage)
            return all(
                record.held or record.sequence >= wanted[number]
                for number, (_, record) in records.items()
            )

        if await has_members(self._client, stage.group):
            await came(there, _MEMBERS_SECONDS)

    async def _cut(self, live: StageEntry, new: StageEntry) -> Cuts:
        """Hold a stage and bring both to the same place; return it, a partition."""
        feeding = self._generation.feeds(new)
        ends: Mapping[int, int] = {}
        if feeding is not None:
            if (told := self._live.feeds(live)) is not None:
                await copied(self._client, live.stage, told.name)
            ends = await tails(self._client, live.stage)
            await self._let_members_come_to(live.stage, ends)
        self._say(f"holding {live.stage.group}")
        numbers = range(live.stage.source.partitions)
        where = live.stage.target.name
        held = await asyncio.gather(  # at once: those that are held wait for the others
            *(
                position.hold(
                    self._client, where, live.stage.position(number), self._generation.name
                )
                for number in numbers
            )
        )
        records = {number: record for number, (_, record) in zip(numbers, held, strict=True)}
        new_ends = await tails(self._client, new.stage)
        cuts: Cuts = {}
        for number, record in records.items():
            if feeding is None:
                _, folded = await read_record(self._client, new.stage, number)
                cuts[number] = max(record.sequence, folded.sequence)
                await self._check_begin(live.stage, number, cuts[number], folded.begin)
            else:
                cuts[number] = max(record.sequence, ends[number])
        behind = [n for n, one in records.items() if one.sequence < cuts[n] or one.partial]
        if behind:
            self._say(f"running {live.stage.group} to the cut")
            run = Run(self._broker, live, self._claim, promotion=self._generation.name)
            await self._run(run, cuts, behind)
        self._say(f"running {new.stage.group} to the cut")
        await self._run(
            Run(self._broker, new, self._claim), cuts if feeding is None else new_ends, numbers
        )
        return cuts

    async def _run(self, run: Run, until: Mapping[int, int], numbers: Iterable[int]) -> None:
        run.until = until
        try:
            await run.run(numbers)
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None

    async def _check_begin(self, stage: Stage, number: int, cut: int, begin: int) -> None:
        """See that no event lies between the cut and where the generation began."""
        lost = await jetstream.next_message(
            self._client, stage.source.name, stage.events(number), cut + 1
        )
        if lost is not None and lost.sequence < begin:
            raise GenerationError(
                f"partition {number} of {stage.group} stands at {cut}, before {begin}, where "
                f"{self._generation.name} begins: neither would count what lies between. Let the "
                "members come further first"
            )

    async def _hand_over(self, live: StageEntry, new: StageEntry, cuts: Cuts) -> list[State]:
        """Store the states of one stage as live snapshots; return the records that name them."""
        self._say(f"handing over the states of {new.stage.group}")
        first = self._generation.feeds(new) is None
        states: list[State] = []
        for number, cut in cuts.items():
            fence, record = await read_record(self._client, live.stage, number)
            _, folded = await read_record(self._client, new.stage, number)
            if record.held != self._generation.name or record.sequence != cut:
                raise GenerationError(
                    f"partition {number} of {live.stage.group} is not held at {cut}: run again"
                )
            if first and folded.sequence not in {0, cut}:
                raise GenerationError(
                    f"partition {number} of {new.stage.group} stands at {folded.sequence}, not at "
                    f"{cut}: run again"
                )
            manifest = await handed_over(self._client, (live, new), number, record, folded)
            seed = folded.seed
            if first and self._begun.rules is not None and self._fixed_seed is not None:
                seed = self._fixed_seed(self._begun.rules, cut)
            promoted = replace(
                record,
                epoch=record.epoch + 1,
                owner=f"promotion of {self._generation.name}",
                outputs=_ALL_OUT if cut else 0,
                snapshot=manifest,
                seed=seed,
                first=folded.first if first else record.first,
                begin=folded.begin if first else cut + 1,
                since=cut,
                generation=self._generation.name,
                promotion=self._begun.id,
                base=None if first else manifest,
                held="",
            )
            states.append(State(live.stage, number, fence, promoted))
        return states
