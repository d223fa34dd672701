"""The claims about the bound that can be judged at the point: Ms, intervals, and lower <= upper.

Whether the bound was derived rightly is the recheck's business; here a claim that the judged point itself
contradicts is a failed check. Nothing in the record is believed, so nothing in it may crash the judge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.model import Instance
from mpec import tolerances
from mpec.checks.equations import Answer
from mpec.checks.record import Check, RecheckOutcome, failed, judged, worst
from mpec.equilibrium import BoundStep, Point

Array = np.ndarray

BOUND = 1e-7
"""Relative slack within which a profit above the bound is rounding; upper is then the larger of the two."""

INSIDE = 1e-7

VOIDS = ("upper_bound_holds", "upper_bound_recorded", "upper_bound_rechecked", "intervals_contain_the_point")
"""A failure of one of these leaves no upper bound to tell."""


def size_of(*values: float) -> float:
    """What money is compared relative to: max(|values|, 1)."""
    return max(1.0, *(abs(v) for v in values))


@dataclass(frozen=True)
class Ms:
    """The Ms behind a bound as stated, which of them are assumed, and what is wrong with the list."""

    rows: tuple[dict[str, Any], ...]
    assumed: tuple[str, ...]
    checks: tuple[Check, ...]
    leaks: tuple[str, ...]


def check_big_m(
    record: Mapping[str, Any] | None, point: Point | None, answer: Answer | None, instance: Instance
) -> Ms:
    """Every M: a finite value, a source, said to be proven or not, and not below what the point needs.

    ``record["big_m"]``: [{name, side, value, source, proven[, scale, quantity, ids, period]}]. An *assumed*
    M passes, but excludes CERTIFIED. A leak (M times integrality tolerance above the complementarity
    tolerance) only loosens the bound: it is told, not failed.
    """
    stated = (record or {}).get("big_m", [])
    if not isinstance(stated, Sequence) or isinstance(stated, str):
        return Ms((), ("big_m",), (failed("big_m_sources", 0.0, "big_m is no list"),), ())
    rows, assumed, leaks, faults, short = [], [], [], [], []
    for number, entry in enumerate(stated):
        if not isinstance(entry, Mapping):
            faults.append((math.nan, f"entry {number} is no record"))
            continue
        name, value, source = entry.get("name"), _real(entry.get("value")), entry.get("source")
        proven = entry.get("proven") is True
        label = str(name) if name else f"entry {number}"
        if value is None or value < 0.0:
            faults.append((math.nan, f"{label} has no finite value >= 0"))
            continue
        if not isinstance(source, str) or not source.strip():
            faults.append((math.nan, f"{label} has no source"))
        if not proven:
            assumed.append(label)
        if value * tolerances.MIP_FEASIBILITY > tolerances.EPSILON * max(
            1.0, _real(entry.get("scale")) or 1.0
        ):
            leaks.append(label)
        needed = _needed(entry, instance, point, answer)
        if needed is not None:
            short.append(
                (
                    (needed - value) / max(abs(value), abs(needed), 1e-12),
                    f"{label}: {needed:.9g} > {value:.9g}",
                )
            )
        rows.append(
            {
                "name": label,
                "side": str(entry.get("side", "")),
                "value": value,
                "source": str(source or ""),
                "proven": proven,
                "distance": None if needed is None else value - needed,
            }
        )
    checks = (
        worst("big_m_sources", 0.0, faults),
        worst("big_m_admit_the_point", INSIDE, [(max(v, 0.0), w) for v, w in short]),
    )
    return Ms(tuple(rows), tuple(assumed), checks, tuple(leaks))


def _real(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def check_intervals(
    record: Mapping[str, Any] | None, instance: Instance, point: Point, answer: Answer, profit: float
) -> Check:
    """Every stated interval contains the judged point; those with a cutoff only if the point is as good.

    ``record["intervals"]``: [{quantity, ids, period, lower, upper[, cutoff]}]; quantities: price,
    electricity_price, load, road_flow, road_time, residual, modified_demand, cheapest_cost. Others are the
    recheck's.
    """
    name = "intervals_contain_the_point"
    stated = (record or {}).get("intervals", [])
    if not isinstance(stated, Sequence) or isinstance(stated, str):
        return failed(name, INSIDE, "intervals is no list")
    outside = []
    for number, entry in enumerate(stated):
        if not isinstance(entry, Mapping):
            return failed(name, INSIDE, f"entry {number} is no record")
        cutoff = _real(entry.get("cutoff"))
        value = _value(entry, instance, point, answer)
        if value is None or (cutoff is not None and profit < cutoff):
            continue
        low, high = _real(entry.get("lower")), _real(entry.get("upper"))
        below = -math.inf if low is None else low - value
        above = -math.inf if high is None else value - high
        size = max(abs(value), abs(low or 0.0), abs(high or 0.0), 1e-9)
        place = f"{entry.get('quantity')} {entry.get('ids')}, period {entry.get('period')}: {value:.9g}"
        outside.append((max(below, above, 0.0) / size, place))
    return worst(name, INSIDE, outside)


def _needed(
    entry: Mapping[str, Any], instance: Instance, point: Point | None, answer: Answer | None
) -> float | None:
    """What a bound of a quantity has to admit at the point, None where the judge has no such quantity."""
    if point is None or answer is None or "quantity" not in entry:
        return None
    value = _value(entry, instance, point, answer)
    return None if value is None else abs(value)


def _value(entry: Mapping[str, Any], instance: Instance, point: Point, answer: Answer) -> float | None:
    """The point's value of a named quantity; None for a name, id or period that the judge doesn't know."""
    ids, period = entry.get("ids"), entry.get("period")
    ids = [ids] if isinstance(ids, str) else ids
    labels = {p.id: t for t, p in enumerate(instance.periods)}
    if not isinstance(ids, Sequence) or not isinstance(period, int) or period not in labels:
        return None
    t, key = labels[period], tuple(str(i) for i in ids)
    arrays: dict[str, tuple[Array, Mapping[Any, int]]] = {
        "price": (point.prices, instance.station_index),
        "electricity_price": (point.electricity_price, instance.station_index),
        "load": (answer.traffic.load_kw, instance.station_index),
        "road_flow": (answer.traffic.road_flow, instance.road_index),
        "road_time": (answer.traffic.road_time_h, instance.road_index),
        "residual": (answer.traffic.residual, instance.pair_index),
        "modified_demand": (answer.traffic.vehicles, instance.pair_index),
    }
    quantity = entry.get("quantity")
    if quantity == "cheapest_cost":
        found = [
            r.cheapest_cost for r in point.routes if (r.origin, r.destination) == key and r.period == period
        ]
        return float(found[0]) if found else None
    if quantity not in arrays:
        return None
    array, index = arrays[quantity]
    position = (
        index.get(key) if quantity in ("residual", "modified_demand") else index.get(key[0] if key else "")
    )
    return None if position is None else float(array[position, t])


def check_upper(stated: float | None, record: Mapping[str, Any] | None, profit: float) -> list[Check]:
    """No judged profit above the stated bound; equilibrium.json and bound.json state the same one."""
    checks = []
    if stated is not None:
        over = (profit - stated) / size_of(stated, profit) if math.isfinite(stated) else math.nan
        place = f"judged profit {profit:.9g}, stated bound {stated:.9g}" + (
            ": THE BOUND IS VOID" if over > BOUND else ""
        )
        checks.append(judged("upper_bound_holds", max(over, 0.0), BOUND, place))
    recorded = _real((record or {}).get("upper_bound"))
    if recorded is not None:
        # A bound below a judged profit by rounding is stated as the larger of the two.
        derived = recorded if stated is None or not recorded <= stated <= profit else stated
        off = abs(derived - stated) / size_of(derived, stated) if stated is not None else math.nan
        place = f"bound.json {recorded!r}, equilibrium.json {stated!r}"
        checks.append(judged("upper_bound_recorded", off, 1e-9, place))
    return checks


def check_recheck(
    stated: float | None, recheck: RecheckOutcome | None, profit: float | None = None
) -> list[Check]:
    """The recheck's outcome as a check: refuted fails; a confirmed bound is neither above the stated one nor below
    the judged profit (then whoever re-proved it is wrong)."""
    if recheck is None or recheck.state in ("none", "undecided"):
        return []
    if recheck.state == "refuted":
        return [failed("upper_bound_rechecked", BOUND, recheck.details or "refuted")]
    if recheck.infeasible or stated is None or recheck.upper_bound is None:
        return []
    proved = recheck.upper_bound
    over = (proved - stated) / size_of(stated, proved) if math.isfinite(proved) else math.nan
    place = f"stated {stated:.9g}, re-proved {proved:.9g}"
    if recheck.exact_ms:
        place += f"; {recheck.exact_ms} Ms of the operator's derived anew without rounding errors"
    if profit is not None and profit - proved > BOUND * size_of(profit, proved):
        return [failed("upper_bound_rechecked", BOUND, f"{place}, but the judged point earns {profit:.9g}")]
    return [judged("upper_bound_rechecked", max(over, 0.0), 1e-6, place)]


def check_claims(
    lower: float | None, bounds: Sequence[BoundStep], profit: float, upper: float | None
) -> list[Check]:
    """The stated lower bound is not above the judged profit; no row of bounds.csv contradicts the result."""
    checks = []
    if lower is not None:
        over = (lower - profit) / size_of(lower, profit)
        checks.append(
            judged("lower_bound_stated", max(over, 0.0), 1e-9, f"stated {lower!r}, judged {profit!r}")
        )
    found = []
    for step in bounds:
        place = f"bounds.csv, iteration {step.iteration}"
        if step.upper is not None:
            found.append(
                (max(profit - step.upper, 0.0) / size_of(profit, step.upper), f"{place}: upper below profit")
            )
        if step.lower is not None:
            found.append(
                (max(step.lower - profit, 0.0) / size_of(profit, step.lower), f"{place}: lower above profit")
            )
        if step.upper is not None and upper is not None:
            found.append(
                (max(upper - step.upper, 0.0) / size_of(upper, step.upper), f"{place}: upper below the bound")
            )
    checks.append(worst("bounds_table", BOUND, found))
    return checks
