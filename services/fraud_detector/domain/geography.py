"""Distances on the Earth."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final

_RADIUS_M: Final = 6_371_008.8


def distance_m(here: tuple[float, float], there: tuple[float, float]) -> int:
    """Return the great-circle distance of two places (latitude, longitude; degrees) in metres.

    By the haversine formula, on a sphere of the Earth's mean radius R1 (IUGG). Rounded to a
    metre, so that the last digits of a machine's sine do not matter.

    Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984) 159.
    """
    north, other_north = radians(here[0]), radians(there[0])
    half = sin((other_north - north) / 2) ** 2
    half += cos(north) * cos(other_north) * sin(radians(there[1] - here[1]) / 2) ** 2
    return round(2 * _RADIUS_M * asin(sqrt(min(half, 1.0))))
