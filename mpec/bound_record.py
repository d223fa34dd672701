"""The bound's derivation, written down as it happens, so that it can be re-proven from the instance.

Steps, in order: `claims` (an hour's intervals from LPs, under the cutoff in force), `inherit` (incoming
residuals from the hour before), `bounds` (the hours' bounds at multipliers: these make the day's bound),
`cutoff` (which bounds and which lower value the following claims rest on).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from formulations.routes import RouteSet
from mpec.claims import Claims, Local, claims_between
from mpec.coupling import Multipliers
from mpec.electricity_cuts import BillCut
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import Cutoff
from mpec.hour_state import HourState
from mpec.intervals import Intervals
from mpec.value_cuts import Reference

Array = np.ndarray


@dataclass
class BoundLog:
    """Steps as plain data, the cutoff in force, and the best bound with the states that gave it."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    multipliers: Multipliers | None = None
    levels: list[float] = field(default_factory=list)
    lower: float = -np.inf
    best: int = -1
    best_value: float = np.inf
    slack: float = np.inf

    @property
    def has_cutoff(self) -> bool:
        return self.multipliers is not None

    def cutoff(self, t: int) -> Cutoff | None:
        """The row that every day worth at least ``lower`` obeys in hour t."""
        return None if self.multipliers is None else Cutoff(self.multipliers, self.levels[t])

    def set_cutoff(self, multipliers: Multipliers, bounds: list[float], total: float, lower: float) -> None:
        """l_t >= D_t - (UB - lower), if this is sharper than the cutoff in force."""
        slack = total - lower
        if self.multipliers is not None and self.slack <= slack:
            return
        self.multipliers, self.lower = multipliers, lower
        self.levels = [b - slack - 1e-9 * (abs(b) + abs(slack) + 1.0) for b in bounds]
        self.slack = slack
        self.steps.append({"kind": "cutoff", "bounds_step": len(self.steps) - 1, "lower": lower})

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "multipliers": None if self.multipliers is None else self.multipliers.to_json(),
            "levels": self.levels,
            "lower": self.lower,
            "best": self.best,
            "best_value": self.best_value,
            "slack": self.slack,
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> BoundLog:
        multipliers = data["multipliers"]
        return BoundLog(
            data["steps"],
            None if multipliers is None else Multipliers.from_json(multipliers),
            data["levels"],
            data["lower"],
            data["best"],
            data["best_value"],
            data["slack"],
        )

    def add_bounds(
        self,
        multipliers: Multipliers,
        bounds: list[float],
        total: float,
        relaxed: bool,
        states: list[HourState],
        proofs: Sequence[Local | None] = (),
    ) -> None:
        proofs = proofs or [None] * len(states)
        self.steps.append(
            {
                "kind": "bounds",
                "multipliers": multipliers.to_json(),
                "bounds": [float(b) for b in bounds],
                "total": total,
                "relaxed": relaxed,
                "hours": [
                    {**partition_to_json(s), "local": local_to_json(p)}
                    for s, p in zip(states, proofs, strict=True)
                ],
                "references": [len(s.references) for s in states],
            }
        )
        if total < self.best_value:
            self.best_value, self.best = total, len(self.steps) - 1

    def add_inherit(self, t: int) -> None:
        self.steps.append({"kind": "inherit", "hour": t})

    def add_claims(self, t: int, old: HourState, new: HourState) -> None:
        """The intervals that changed, [quantity, index, low, high], and the routes that were dropped."""
        claims = claims_between(old, new)
        if claims.intervals or claims.dropped:
            self.steps.append({"kind": "claims", "hour": t, **claims_to_json(claims)})


def claims_to_json(claims: Claims) -> dict[str, Any]:
    """[quantity, index, low, high]; an open upper end is null."""
    rows = [[q, i, low, None if np.isinf(high) else high] for q, i, low, high in claims.intervals]
    return {"intervals": rows, "dropped": list(claims.dropped)}


def local_to_json(proof: Local | None) -> dict[str, Any] | None:
    if proof is None:
        return None
    return {"level": proof.level, "rounds": [claims_to_json(c) for c in proof.rounds]}


def partition_to_json(state: HourState) -> dict[str, Any]:
    return {
        "road_points": {str(a): list(p) for a, p in state.road_points.items()},
        "cheapest_points": {str(n): list(p) for n, p in state.cheapest_points.items()},
        "price_points": {str(m): list(p) for m, p in state.price_points.items()},
        "dispatch_pairs": sorted(state.dispatch_pairs),
        "exact_dispatch": state.exact_dispatch,
        "choices": None if state.choices is None else sorted(state.choices),
    }


def reference_to_json(reference: Reference) -> dict[str, float]:
    """Sparse: route index -> share."""
    return {str(k): float(reference.shares[k]) for k in np.flatnonzero(reference.shares)}


def reference_from_json(data: dict[str, float], size: int) -> Reference:
    shares = np.zeros(size)
    for k, v in data.items():
        shares[int(k)] = v
    return Reference(shares)


def state_to_json(state: HourState) -> dict[str, Any]:
    """Everything of an hour's state as plain data; infinite ends become null."""

    def plain(values: Array) -> list[float | None]:
        return [float(v) if np.isfinite(v) else None for v in values]

    return {
        "t": state.t,
        "low": {q: plain(v) for q, v in state.box.low.items()},
        "high": {q: plain(v) for q, v in state.box.high.items()},
        "usable": [bool(u) for u in state.box.usable],
        "references": [reference_to_json(r) for r in state.references],
        "tangents": {str(a): list(p) for a, p in state.tangents.items()},
        "bill_loads": [c.load.tolist() for c in state.bill_cuts],
        "bill_levels": [c.level for c in state.bill_cuts],
        "bill_slopes": [c.slope.tolist() for c in state.bill_cuts],
        "idle_cost": state.idle_cost,
        **partition_to_json(state),
    }


def state_from_json(data: dict[str, Any]) -> HourState:
    def restore(values: list[float | None], missing: float) -> Array:
        return np.array([missing if v is None else v for v in values], dtype=float)

    box = Intervals(
        {q: restore(v, -np.inf) for q, v in data["low"].items()},
        {q: restore(v, np.inf) for q, v in data["high"].items()},
        np.array(data["usable"], dtype=bool),
    )
    return HourState(
        int(data["t"]),
        box,
        {int(a): tuple(p) for a, p in data["road_points"].items()},
        {int(n): tuple(p) for n, p in data["cheapest_points"].items()},
        [reference_from_json(r, len(data["usable"])) for r in data["references"]],
        {int(a): tuple(p) for a, p in data["tangents"].items()},
        frozenset(data["dispatch_pairs"]),
        bool(data["exact_dispatch"]),
        tuple(
            BillCut(np.array(load), float(level), np.array(slope))
            for load, level, slope in zip(
                data["bill_loads"], data["bill_levels"], data["bill_slopes"], strict=True
            )
        ),
        float(data["idle_cost"]),
        {int(m): tuple(p) for m, p in data["price_points"].items()},
        None if data["choices"] is None else frozenset(int(k) for k in data["choices"]),
    )


def record_of(
    log: BoundLog,
    states: list[HourState],
    dispatches: list[HourDispatch],
    routes: RouteSet,
    upper: float | None,
) -> dict[str, Any]:
    """bound.json of a decomposed run: the derivation's steps, the cuts' references, the Ms and intervals."""
    return {
        "kind": "decomposed",
        "upper_bound": upper,
        "steps": log.steps,
        "best": log.best,
        "references": [[reference_to_json(r) for r in s.references] for s in states],
        "bill_loads": [[c.load.tolist() for c in s.bill_cuts] for s in states],
        "tangents": [{str(a): list(p) for a, p in s.tangents.items()} for s in states],
        "route_count": len(routes.routes),
        "big_m": [m for s, d in zip(states, dispatches, strict=True) for m in _ms(routes, s, d)],
        "intervals": [
            i for s in states for i in _intervals(routes, s, log.lower if log.has_cutoff else None)
        ],
    }


def _ms(routes: RouteSet, state: HourState, dispatch: HourDispatch) -> list[dict[str, Any]]:
    """Every M of the hour's pairs: of the users' routes, and of the operator's pairs that carry binaries."""
    period = routes.instance.periods[state.t].id
    out = []
    for k in np.flatnonzero(state.box.usable):
        route = routes.routes[k]
        pair = routes.instance.pairs[route.pair]
        name = f"{period}:{pair.origin}-{pair.destination}#{k}"
        for side, value in (("slack", state.box.high["slack"][k]), ("flow", state.box.high["route_flow"][k])):
            if np.isfinite(value):
                out.append(
                    {
                        "name": f"route {name}", "side": side, "value": float(value), "proven": True,
                        "source": "intervals of times and prices, then LPs over the hour's relaxation",
                        "scale": float(max(value, 1.0)),
                    }
                )  # fmt: skip
    for program in dispatch.scenarios:
        prefix = f"h{period}.{program.scenario}."
        for name, slack, multiplier in zip(
            program.rows.names, program.slack_bounds, program.multiplier_bounds, strict=True
        ):
            if prefix + name not in state.dispatch_pairs:
                continue
            for side, bound in (("slack", slack), ("multiplier", multiplier)):
                if bound is not None and np.isfinite(bound.value):
                    out.append(
                        {
                            "name": prefix + name, "side": side, "value": bound.value,
                            "source": bound.source, "proven": bound.proven, "scale": max(bound.value, 1.0),
                        }
                    )  # fmt: skip
    return out


_NAMES = {
    "price": "price", "load": "load", "road_flow": "road_flow", "residual": "residual",
    "modified": "modified_demand", "cheapest": "cheapest_cost",
}  # fmt: skip


def _intervals(routes: RouteSet, state: HourState, cutoff: float | None) -> list[dict[str, Any]]:
    instance = routes.instance
    period = instance.periods[state.t].id
    ids: dict[str, list[Any]] = {
        "price": [s.id for s in instance.stations],
        "load": [s.id for s in instance.stations],
        "road_flow": [r.id for r in instance.roads],
        "residual": [list(p.key) for p in instance.pairs],
        "modified": [list(p.key) for p in instance.pairs],
        "cheapest": [list(p.key) for p in instance.pairs],
    }
    out = []
    for quantity, name in _NAMES.items():
        for i, label in enumerate(ids[quantity]):
            low, high = float(state.box.low[quantity][i]), float(state.box.high[quantity][i])
            if np.isfinite(low) and np.isfinite(high):
                out.append(
                    {
                        "quantity": name,
                        "ids": label,
                        "period": period,
                        "lower": low,
                        "upper": high,
                        "cutoff": cutoff,
                    }
                )
    return out
