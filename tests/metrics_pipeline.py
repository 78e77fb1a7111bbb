"""Both stages of the aggregator in one process, without a broker: what a log must give."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from services.metrics_aggregator.fold import MetricsFold
from services.metrics_aggregator.merge_fold import MergeFold
from services.metrics_aggregator.topology import MERGE_PREFIX
from shared.log_stream.fold import Event, Fold, Output


class Pipeline:
    """Folds of all partitions; `chance` delays what the first stage says, a partition at a time."""

    def __init__(
        self,
        rules: str,
        partitions: int = 1,
        merges: int = 1,
        chance: random.Random | None = None,
    ) -> None:
        self._rules = rules
        self._chance = chance
        self._merges = merges
        self.samples = [MetricsFold(rules, number, merges) for number in range(partitions)]
        self.mergers: list[MergeFold] = [MergeFold(partitions) for _ in range(merges)]
        self._under_way: list[deque[Output]] = [deque() for _ in range(partitions)]
        self.said = 0

    def apply(self, event: Event, partition: int = 0) -> list[Output]:
        """Take in one event of a partition; return what readers see of it."""
        outputs: list[Output] = []
        for output in self.samples[partition].apply(event):
            if output.subject.startswith(f"{MERGE_PREFIX}."):
                self._under_way[partition].append(output)
            else:
                outputs.append(output)
        while waiting := [one for one in self._under_way if one]:
            if self._chance is None:
                outputs += self._merge(waiting[0].popleft())
            elif self._chance.random() < 0.1:
                break
            else:
                outputs += self._merge(self._chance.choice(waiting).popleft())
        return outputs

    def rest(self) -> list[Output]:
        """Let all that was delayed arrive; return what comes of it."""
        return [
            output
            for said in self._under_way
            for one in (said.popleft() for _ in range(len(said)))
            for output in self._merge(one)
        ]

    def restored(self) -> Pipeline:
        """Return a pipeline restored from snapshots of all folds."""
        other = Pipeline(self._rules, len(self.samples), self._merges, self._chance)
        for ours, theirs in zip(self.folds(), other.folds(), strict=True):
            theirs.restore([msgspec.msgpack.encode(piece) for piece in ours.snapshot()])
        other._under_way, other.said = self._under_way, self.said
        return other

    def folds(self) -> list[Fold]:
        """Return the folds of both stages."""
        return [*self.samples, *self.mergers]

    def _merge(self, output: Output) -> Sequence[Output]:
        self.said += 1
        _, merge, kind, partition = output.subject.split(".")
        event = Event(self.said, 0, f"{kind}.{partition}", output.data, output.headers)
        return self.mergers[int(merge)].apply(event)


def folded(pipeline: Pipeline, events: Iterable[Event]) -> list[Output]:
    """Return what readers see of the events of the first partition."""
    return [output for event in events for output in pipeline.apply(event)]
