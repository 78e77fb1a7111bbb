"""The outputs of a rule, by VictoriaMetrics' names: what each needs, and how it is suffixed."""

from __future__ import annotations

from typing import Final

QUANTILES: Final = "quantiles"

COUNTERS: Final = frozenset(
    {"increase", "increase_prometheus", "rate_avg", "rate_sum", "total", "total_prometheus"}
)
"""Read cumulative counters: need each series' samples in order and its last value before."""

RUNNING: Final = frozenset({"sum_samples_total", "total", "total_prometheus", "histogram_bucket"})
"""Go on from window to window."""

OUTPUTS: Final = (
    frozenset(
        {"avg", "count_samples", "count_series", "last", "max", "min"}
        | {"stddev", "stdvar", "sum_samples", "unique_samples"}
    )
    | COUNTERS
    | RUNNING
)


def kind(output: str) -> str:
    """Return the output's name without arguments: `quantiles` of `quantiles(0.5, 0.9)`."""
    return output.partition("(")[0]


def phis(output: str) -> tuple[float, ...]:
    """Return the arguments of `quantiles(...)`, each in [0, 1]; raises `ValueError`."""
    if not output.endswith(")"):
        raise ValueError(f"{output!r} lacks its closing bracket")
    found = []
    for text in output[len(QUANTILES) + 1 : -1].split(","):
        try:
            phi = float(text)
        except ValueError:
            raise ValueError(f"{output!r}: {text.strip()!r} is no number") from None
        if not 0 <= phi <= 1:
            raise ValueError(f"{output!r}: {text.strip()} is not between 0 and 1")
        found.append(phi)
    if len(set(found)) != len(found):
        raise ValueError(f"{output!r} names a quantile twice")
    return tuple(found)


def check(output: str) -> None:
    """Raise `ValueError` unless this is an output that exists."""
    if kind(output) == QUANTILES and "(" in output:
        phis(output)
    elif output == QUANTILES:
        raise ValueError("quantiles needs arguments, such as quantiles(0.5, 0.99)")
    elif output not in OUTPUTS:
        known = ", ".join([*sorted(OUTPUTS), "quantiles(...)"])
        raise ValueError(f"{output!r} is no output; there are {known}")
