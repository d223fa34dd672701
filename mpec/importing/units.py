"""Names of units in files and options, in the project's units."""

from __future__ import annotations

HOURS = {"h": 1.0, "min": 1.0 / 60.0, "s": 1.0 / 3600.0, "0.01h": 0.01}
"""--time-unit: hours."""

LENGTHS_KM = {
    "km": 1.0,
    "kilometer": 1.0,
    "kilometers": 1.0,
    "mi": 1.609344,
    "mile": 1.609344,
    "miles": 1.609344,
    "m": 0.001,
    "meter": 0.001,
    "meters": 0.001,
    "ft": 0.0003048,
    "feet": 0.0003048,
}
"""--length-unit and GMNS's long_length: km."""

SPEEDS_KM_PER_H = {
    "km/h": 1.0,
    "kmh": 1.0,
    "kph": 1.0,
    "km/hr": 1.0,
    "mph": 1.609344,
    "mi/h": 1.609344,
    "miles/hour": 1.609344,
    "m/s": 3.6,
}
"""GMNS's speed: km/h."""
