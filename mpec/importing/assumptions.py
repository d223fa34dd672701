"""The generic numbers that `mpec new --assume` fills gaps with; every one is stated in [source]."""

from __future__ import annotations

LOAD_FACTORS = (
    *(0.48, 0.45, 0.43, 0.42, 0.43, 0.48, 0.58, 0.68, 0.74, 0.77, 0.80, 0.82),
    *(0.78, 0.75, 0.74, 0.75, 0.78, 0.84, 0.90, 0.90, 0.86, 0.78, 0.66, 0.55),
)
"""Share of the feeder's base load in the hours 1 to 24: an urban weekday with an evening peak."""

IMPORT_PRICES = (
    *(0.35,) * 7,
    *(0.65,) * 3,
    *(1.00,) * 3,
    *(0.65,) * 5,
    *(1.00,) * 4,
    *(0.65, 0.35),
)
"""Money/kWh in the hours 1 to 24: a three-step time-of-use tariff."""

TRIP_SHARES = (
    *(0.006, 0.004, 0.003, 0.003, 0.008, 0.022, 0.055, 0.080, 0.065, 0.050, 0.047, 0.050),
    *(0.053, 0.052, 0.055, 0.064, 0.080, 0.085, 0.067, 0.050, 0.037, 0.030, 0.021, 0.013),
)
"""Share of a day's trips in the hours 1 to 24, adding up to 1: a weekday with two peaks."""

WEEKDAY = "an urban weekday of 24 h"
VEHICLE = (12.0, 5.0, 40.0, 22.0)
"""kWh at the start, least, most, and wanted at the destination."""

VEHICLE_WHY = "a 40 kWh battery that starts the trip at 12 kWh and should arrive with 22"
PRICE_BOX = (0.8, 1.8, 1.25)
"""Lowest and highest charging price and the cap on its mean, money/kWh."""

PRICE_WHY = "about the level of public charging in cities, in CNY/kWh"
