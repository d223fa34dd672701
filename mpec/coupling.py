"""What couples the hours, as rows of one model or as multipliers on the hours apart.

(a) mean price caps, sum_t rho[m,t] <= T rho_cap[m]: multiplier cap[m] >= 0;
(b) residual flow, incoming[rs,t] = residual[rs,t-1]: multiplier link[rs,t], free, 0 in the first hour;
(c) tariff `regulated`: any feasible tariff c~ gives bill >= sum c~ P, so c~ itself is the multiplier (of the leader's
    stations; what rivals pay is their own).

For every choice   sum_t max_hour [profit - cap.rho - link_t.incoming + link_{t+1}.residual - dt c~.P]
+ sum_m cap[m] T rho_cap[m]   bounds the day's profit from above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.prices import owned
from formulations.tariff_data import fixed_prices
from instances.model import Instance
from mpec.expression import Expression, add_row
from mpec.hour_state import HourBlock
from mpec.linear_model import LinearModel

Array = np.ndarray


@dataclass(frozen=True)
class Multipliers:
    """cap (M,) >= 0 (0 where a station has no cap), link (N, T), tariff (M, T) or None."""

    cap: Array
    link: Array
    tariff: Array | None = None

    def constant(self, instance: Instance) -> float:
        """sum_m cap[m] T rho_cap[m]."""
        caps = mean_caps(instance)
        known = np.isfinite(caps)
        return float(len(instance.periods) * np.dot(self.cap[known], caps[known]))

    def lagrangian(self, block: HourBlock, instance: Instance) -> Expression:
        """The hour's profit with the coupling dualised."""
        t, total = block.t, block.profit
        total.add_all(block.price, -self.cap)
        for n in range(len(instance.pairs)):
            total.add(block.incoming[n], -float(self.link[n, t]))
            if t + 1 < self.link.shape[1]:
                total.add(block.residual[n], float(self.link[n, t + 1]))
        if self.tariff is not None:
            total.add_all(block.load, -instance.period_h * owned(instance) * self.tariff[:, t])
        return total

    def to_json(self) -> dict[str, Any]:
        tariff = None if self.tariff is None else self.tariff.tolist()
        return {"cap": self.cap.tolist(), "link": self.link.tolist(), "tariff": tariff}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Multipliers:
        tariff = data["tariff"]
        return Multipliers(
            np.array(data["cap"], dtype=float),
            np.array(data["link"], dtype=float),
            None if tariff is None else np.array(tariff, dtype=float),
        )

    def valid(self, instance: Instance) -> bool:
        """Whether the bound above holds for these numbers: signs, shapes, a feasible tariff."""
        shape = len(instance.pairs), len(instance.periods)
        if self.cap.shape != (len(instance.stations),) or self.link.shape != shape:
            return False
        if not (np.isfinite(self.cap).all() and np.isfinite(self.link).all() and (self.cap >= 0).all()):
            return False
        if (self.cap[~np.isfinite(mean_caps(instance))] != 0).any() or (self.link[:, 0] != 0).any():
            return False
        if instance.tariff_mode != "regulated":
            return self.tariff is None
        low, high, mean = regulated_limits(instance)
        if self.tariff is None or self.tariff.shape != low.shape:
            return False
        inside = bool((self.tariff >= low).all() and (self.tariff <= high).all())
        return inside and bool((self.tariff.mean(axis=1) <= mean * (1 + 1e-15) + 1e-15).all())


def mean_caps(instance: Instance) -> Array:
    """(M,) mean price caps, inf where there is none."""
    return np.array([math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations])


def regulated_limits(instance: Instance) -> tuple[Array, Array, Array]:
    """The regulated tariff's box (M, T), (M, T) and mean cap (M,), money/kWh."""
    rows = [[instance.tariff[s.id, p.id] for p in instance.periods] for s in instance.stations]
    low = np.array([[0.0 if r.price_min is None else r.price_min for r in line] for line in rows])
    high = np.array([[math.inf if r.price_max is None else r.price_max for r in line] for line in rows])
    mean = [math.inf if line[0].price_mean_max is None else line[0].price_mean_max for line in rows]
    return low, high, np.array(mean)


def reckoned_tariff(instance: Instance, multipliers: Multipliers) -> Array | None:
    """The electricity price (M, T) to reckon with hour by hour; None where the operator's LP sets it."""
    return fixed_prices(instance) if instance.tariff_mode == "fixed" else multipliers.tariff


def no_multipliers(instance: Instance) -> Multipliers:
    """All zero (and the cheapest feasible tariff where there is one to choose)."""
    tariff = regulated_limits(instance)[0] if instance.tariff_mode == "regulated" else None
    shape = len(instance.pairs), len(instance.periods)
    return Multipliers(np.zeros(len(instance.stations)), np.zeros(shape), tariff)


@dataclass
class CouplingRows:
    """Row indices in a joint model; cap (M,), link (N, T), tariff (M, T), -1 where there is none."""

    cap: Array
    link: Array
    tariff: Array


def couple(
    model: LinearModel, blocks: list[HourBlock], instance: Instance
) -> tuple[CouplingRows, Expression]:
    """Join the hours' blocks: caps, residual links, and under `regulated` the dual of the tariff LP.

    Returns the rows and the day's profit. The regulated bill max {sum c P dt : c in its box, mean <= cap} is
    written by its dual  min sum (c_max u - c_min l) + T cap v,  u - l + v = dt P,  which the leader minimises.
    """
    stations, periods, pairs = len(instance.stations), len(blocks), len(instance.pairs)
    rows = CouplingRows(
        np.full(stations, -1), np.full((pairs, periods), -1), np.full((stations, periods), -1)
    )
    profit = Expression()
    for block in blocks:
        profit.plus(block.profit)
    for m, cap in enumerate(mean_caps(instance)):
        if np.isfinite(cap):
            total = Expression().add_all([b.price[m] for b in blocks], np.ones(periods))
            rows.cap[m] = add_row(model, f"mean_cap[{instance.stations[m].id}]", total, upper=periods * cap)
    for i in range(1, periods if instance.users.xi > 0 else 0):
        for n in range(pairs):
            link = Expression().add(blocks[i].incoming[n]).add(blocks[i - 1].residual[n], -1.0)
            rows.link[n, i] = add_row(model, f"link[{n},{instance.periods[i].id}]", link, 0.0, 0.0)
    if instance.tariff_mode == "regulated":
        _regulated_bill(model, blocks, instance, rows, profit)
    return rows, profit


def _regulated_bill(
    model: LinearModel, blocks: list[HourBlock], instance: Instance, rows: CouplingRows, profit: Expression
) -> None:
    low, high, mean = regulated_limits(instance)
    for m, station in enumerate(instance.stations):
        if station.owner == "rival":
            continue  # its bill is its own, and the operator sets every station's tariff by itself
        v = -1
        if np.isfinite(mean[m]):
            v = model.add_variable(f"tariff_mean[{station.id}]")
            profit.add(v, -len(blocks) * float(mean[m]))
        for i, block in enumerate(blocks):
            label = f"{station.id},{instance.periods[i].id}"
            l = model.add_variable(f"tariff_low[{label}]")  # noqa: E741
            profit.add(l, float(low[m, i]))
            row = Expression().add(l, -1.0).add(block.load[m], -instance.period_h)
            if np.isfinite(high[m, i]):
                u = model.add_variable(f"tariff_high[{label}]")
                profit.add(u, -float(high[m, i]))
                row.add(u)
            if v >= 0:
                row.add(v)
            rows.tariff[m, i] = add_row(model, f"tariff[{label}]", row, 0.0, 0.0)


def multipliers_from_duals(instance: Instance, rows: CouplingRows, duals: Array) -> Multipliers:
    """Multipliers from the row duals (d objective / d right-hand side) of a joint LP, made feasible."""
    cap = np.where(rows.cap >= 0, np.maximum(duals[rows.cap], 0.0), 0.0)
    link = np.where(rows.link >= 0, duals[rows.link], 0.0)
    tariff = None
    if instance.tariff_mode == "regulated":
        tariff = feasible_tariff(instance, np.where(rows.tariff >= 0, -duals[rows.tariff], 0.0))
    return Multipliers(cap, link, tariff)


def feasible_tariff(instance: Instance, tariff: Array) -> Array:
    """The nearest-in-spirit tariff in the box with its mean at most the cap: clip, then shrink to the
    floor."""
    low, high, mean = regulated_limits(instance)
    out = np.clip(tariff, low, high)
    for m in range(len(out)):
        over = out[m].mean() - mean[m]
        room = (out[m] - low[m]).mean()
        if over > 0 and room > 0:
            share = min(1.0, over / room * (1 + 1e-12))
            out[m] = out[m] - share * (out[m] - low[m])
    return np.asarray(np.clip(out, low, high))
