"""Measures of fraud detection as the Fraud Detection Handbook defines them (chapter 4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.bench.fraud_quality.generator import Column


class Quality(NamedTuple):
    """The Handbook's three measures, each in [0, 1], more is better."""

    auc_roc: float
    average_precision: float
    card_precision: float


class Predicted(NamedTuple):
    """Scores of payments beside what they turned out to be, one column a field."""

    score: Column
    fraud: Column
    card: Column
    day: Column


def quality(predicted: Predicted, most_cards: int = 100) -> Quality:
    """Return all three measures; `most_cards` are checked a day."""
    return Quality(
        auc_roc(predicted.score, predicted.fraud),
        average_precision(predicted.score, predicted.fraud),
        card_precision(predicted, most_cards),
    )


def auc_roc(score: Column, fraud: Column) -> float:
    """Return the area under the ROC curve: how likely a fraud has the greater score.

    An equal score counts half (Mann-Whitney U; Fawcett, "An introduction to ROC analysis", 2006).
    """
    _, places, counts = np.unique(score, return_inverse=True, return_counts=True)
    # Middle rank, from 1, of all payments with one score.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    frauds = int(fraud.sum())
    others = len(fraud) - frauds
    above = float(ranks[fraud == 1].sum()) - frauds * (frauds + 1) / 2
    return above / (frauds * others)


def average_precision(score: Column, fraud: Column) -> float:
    """Return the sum of precision times the recall gained, over all thresholds."""
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(fraud[order])
    # Only where the score changes: payments with one score are told apart by no threshold.
    last = np.append(np.nonzero(np.diff(score[order]))[0], len(score) - 1)
    precision = found[last] / (last + 1)
    recall = found[last] / found[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def card_precision(predicted: Predicted, most_cards: int = 100) -> float:
    """Return the share of compromised cards among those that are checked, mean over the days.

    Each day the cards with the greatest scores are checked (a card's score is the greatest of
    its payments of the day; equal ones by card). A card that was found compromised is not
    checked again.
    """
    found: set[int] = set()
    shares = []
    for day in np.unique(predicted.day):
        scores: dict[int, float] = {}
        compromised: set[int] = set()
        today = predicted.day == day
        columns = (predicted.score, predicted.fraud, predicted.card)
        for score, fraud, card in zip(*(column[today].tolist() for column in columns), strict=True):
            if card not in found:
                scores[card] = max(score, scores.get(card, score))
                if fraud:
                    compromised.add(card)
        checked = sorted(scores, key=lambda card: (-scores[card], card))[:most_cards]
        detected = compromised.intersection(checked)
        shares.append(len(detected) / most_cards)
        found |= detected
    return float(np.mean(shares))
