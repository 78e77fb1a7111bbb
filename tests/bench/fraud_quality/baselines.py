"""The Handbook's models as it trains them: default parameters, one week, standardized features."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from tests.bench.fraud_quality.generator import Column


class Rows(NamedTuple):
    """What a model learns from, and what it is then to score."""

    train: Column
    fraud: Column
    test: Column


Fit = Callable[[Rows], Column]
"""Returns the scores of the rows to test."""


def missing() -> list[str]:
    """Return which libraries are missing, by the name to install them."""
    needed = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}
    return [package for module, package in needed.items() if find_spec(module) is None]


def baselines() -> dict[str, Fit]:
    """Return the Handbook's models by name (sections 3.4 and 5.3).

    XGBoost has other defaults than it had in the Handbook's day; these are the old ones. Tuned
    is the choice of the Handbook's validation by average precision.
    """
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - no test needs it
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from xgboost import XGBClassifier  # noqa: PLC0415

    old = {"random_state": 0, "n_jobs": -1, "tree_method": "exact", "base_score": 0.5}
    return {
        "logistic regression": _fit(lambda: LogisticRegression(random_state=0)),
        "random forest": _fit(lambda: RandomForestClassifier(random_state=0, n_jobs=-1)),
        "XGBoost": _fit(lambda: XGBClassifier(**old)),
        "XGBoost, tuned": _fit(lambda: XGBClassifier(n_estimators=50, max_depth=3, **old)),
    }


def trees() -> Fit:
    """Return boosted trees for all the past, milder than by default; chosen on validation weeks."""
    from xgboost import XGBClassifier  # noqa: PLC0415

    return _fit(lambda: XGBClassifier(random_state=0, n_jobs=-1, max_depth=5, learning_rate=0.1))


def _fit(new_model: Callable[[], Any]) -> Fit:
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    def fit(rows: Rows) -> Column:
        scaler = StandardScaler().fit(rows.train)
        model = new_model().fit(scaler.transform(rows.train), rows.fraud)
        scores: Column = model.predict_proba(scaler.transform(rows.test))[:, 1]
        return scores

    return fit
