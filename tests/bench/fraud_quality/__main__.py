"""How well the fraud detector finds fraud: `python -m tests.bench.fraud_quality`.

On the Handbook's own data (seed 0) and weeks, beside its models and published figures; then the
detector on data of other seeds. `docs/fraud-model.md` has a run and how to read it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import chain
from statistics import mean
from typing import Final

import numpy as np

from tests.bench.__main__ import say
from tests.bench.fraud_quality.baselines import missing
from tests.bench.fraud_quality.contenders import Result, handbook, online, variants
from tests.bench.fraud_quality.generator import simulate
from tests.bench.fraud_quality.metrics import Quality

_PUBLISHED_PAYMENTS: Final = 1_754_155
_PUBLISHED_FRAUDS: Final = [973, 9_077, 4_631]
_TEST_WEEK: Final = {
    "logistic regression": Quality(0.871, 0.606, 0.291),
    "random forest": Quality(0.867, 0.658, 0.287),
    "XGBoost": Quality(0.862, 0.639, 0.273),
}
"""Section 3.4."""

_FOUR_WEEKS: Final = {"XGBoost, tuned": Quality(0.869, 0.687, 0.303)}
"""Section 5.3: the mean of four test weeks, of which the first is the one above."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison; return 1 if a library is missing, then print what there is."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fraud_quality")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2], help="further data sets")
    further = parser.parse_args(arguments).seeds
    lacking = missing()
    if lacking:
        say(f"the Handbook's models and the variants are left out: {' and '.join(lacking)} missing")
        say(f"install with: pip install {' '.join(lacking)}")
    began = time.monotonic()
    payments = simulate()
    frauds = np.bincount(payments.scenario)[1:].tolist()
    same = len(payments.day) == _PUBLISHED_PAYMENTS and frauds == _PUBLISHED_FRAUDS
    say(f"seed 0: {len(payments.day):,} payments, frauds by scenario {frauds}")
    say(f"as many as in the published data set: {'yes' if same else 'NO'}")
    say("")
    say(f"{'':46}{'test week':>24}{'mean of four weeks':>26}{'CPU':>7}")
    say(f"{'':46}{'AUC ROC     AP CP@100':>24}{'AUC ROC     AP CP@100':>26}{'s':>7}")
    for name, published in _TEST_WEEK.items():
        say(f"{'published: ' + name:46}{_figures(published):>24}")
    for name, published in _FOUR_WEEKS.items():
        say(f"{'published: ' + name:46}{'':24}{_figures(published):>26}")
    for result in online(payments, "the detector, online"):
        _row(result)
    if not lacking:
        for result in chain(handbook(payments), variants(payments)):
            _row(result)
    for seed in further:
        say("")
        for result in online(simulate(seed), f"the detector, online, seed {seed}"):
            _row(result)
    say("")
    say(f"{time.monotonic() - began:.0f} s in all")
    return 1 if lacking or not same else 0


def _row(result: Result) -> None:
    average = Quality(*(mean(values) for values in zip(*result.weeks, strict=True)))
    first, all_weeks = _figures(result.weeks[0]), _figures(average)
    say(f"{result.name:46}{first:>24}{all_weeks:>26}{result.seconds:>7.0f}")


def _figures(found: Quality) -> str:
    return f"{found.auc_roc:.3f}   {found.average_precision:.3f}   {found.card_precision:.3f}"


if __name__ == "__main__":
    sys.exit(main())
