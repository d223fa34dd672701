"""Charging prices on a grid: whether a step leaves a price in the box and under the mean cap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from instances.errors import Problem

if TYPE_CHECKING:
    from instances.model import Instance

ROUNDING = 1e-9
"""A multiple counts as within an end of the box when it is beyond it by less than this share of a step."""


def step_fault(step: float, low: float, high: float, cap: float | None) -> tuple[str, str] | None:
    """What is wrong with a step for a price box and mean cap, and the cure; None if some multiple is allowed."""
    least = step * (math.ceil(low / step - ROUNDING) - ROUNDING)
    if low <= high < least:
        return (
            f"has no multiple in the price box ({low:g} ... {high:g}).",
            "Give a smaller step, or a wider box.",
        )
    if cap is not None and low <= cap < least:
        message = f"has no multiple between price_min ({low:g}) and the mean cap ({cap:g})."
        return message, "Give a smaller step, or raise the cap."
    return None


def step_problems(instance: Instance) -> list[Problem]:
    """The stations whose step leaves no price; [] if none."""
    problems = []
    for station in instance.stations:
        step = station.price_step
        if step is None:
            continue
        fault: tuple[str, str] | None = ("is not a number above 0.", "Give the step in money/kWh, e.g. 0.05.")
        if math.isfinite(step) and step > 0.0:
            fault = step_fault(step, station.price_min, station.price_max, station.price_mean_max)
        if fault is not None:
            place = f"of station '{station.id}' {fault[0]}"
            problems.append(Problem("stations.csv", None, "price_step", f"{step:g}", place, fault[1]))
    return problems
