"""What the electricity of one hour costs the leader, as rows over the stations' loads.

fixed:      bill = dt sum c P, a constant tariff.
regulated:  the day's bill; nothing here, see mpec.coupling.
dlmp:       the operator's KKT conditions per scenario. With V = c.x + g.P at the optimum and rows a.x + f.P >= b,
            strong duality makes the bill linear:  sum_m P_m dV/dP_m = c.x + g.P - sum_i b_i mu_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from formulations.distribution import distribution_block
from formulations.feasible_points import InteriorPoint, interior_points
from formulations.prices import owned
from instances.model import Instance
from mpec.bounds import AffinePoint, drop_never_binding, multiplier_bounds, slack_bounds
from mpec.complementarity import Bound, Pair
from mpec.elimination import Recovery
from mpec.expression import Expression
from mpec.kkt import add_kkt
from mpec.linear_model import LinearModel
from mpec.modes import big_m
from mpec.optimiser import Inequalities, as_inequalities
from mpec.players import compile_optimiser, eliminate_equalities
from mpec.tolerances import EPSILON

Array = np.ndarray


TIGHT = 2.5e-7
"""A limit counts as binding within this share of the feeder's load (p.u. squared, or of a bus's load, where the row is
in these): a little more than for the judge (mpec.checks.feeder.ACTIVE)."""

LEEWAY = 2e-7
"""What that, and the judge's tolerance on prices, may be worth: as a share of all loads at the value of lost load, so
that it is more than he allows (mpec.checks.feeder.SLACKNESS, mpec.checks.electricity.PRICES)."""


@dataclass(frozen=True)
class ScenarioProgram:
    """One scenario's reduced program with the rows that can bind, and the bounds of its pairs."""

    scenario: str
    rows: Inequalities
    slack_bounds: tuple[Bound | None, ...]
    multiplier_bounds: tuple[Bound | None, ...]
    dropped: int
    ceiling_kw: float
    tight: Array
    """(rows,) slack up to which a row counts as binding, in its units."""


@dataclass(frozen=True)
class HourDispatch:
    """Either a constant tariff (M,), 0 at rivals' stations, or the scenarios' programs; both None under `regulated`."""

    t: int
    period_h: float
    tariff: Array | None
    scenarios: tuple[ScenarioProgram, ...] = ()


def first_load(instance: Instance) -> Array:
    """The stations' limits: loads for which the operator's programs are compiled, whatever the hour."""
    return np.array([s.capacity_kw * (1 + EPSILON) for s in instance.stations])


def hour_dispatch(instance: Instance, t: int, load_high: Array, exact: bool = True) -> HourDispatch:
    """Compile period ``t``'s electricity for loads in [0, load_high], (M,) kW.

    Without ``exact`` the operator's programs are left out: tangents of its cost hold the bill then.

    Raises UnboundedPair (when rows are written) if a multiplier has no derived bound.
    """
    if instance.tariff_mode == "fixed":
        period = instance.periods[t].id
        prices = [instance.tariff[s.id, period].price_per_kwh for s in instance.stations]
        return HourDispatch(t, instance.period_h, owned(instance) * np.array(prices, dtype=float))
    if instance.tariff_mode == "regulated" or not exact:
        return HourDispatch(t, instance.period_h, None)
    programs = tuple(_scenario(instance, t, s, load_high) for s in range(len(instance.scenarios)))
    return HourDispatch(t, instance.period_h, None, programs)


def _scenario(instance: Instance, t: int, s: int, load_high: Array) -> ScenarioProgram:
    block = distribution_block(instance, t, s)
    optimiser = compile_optimiser(block, [block.load[station.id] for station in instance.stations])
    reduced, recovery = eliminate_equalities(optimiser)
    points = [_affine(p, instance, recovery) for p in interior_points(instance, t, s)]
    low = np.zeros(len(load_high))
    rows, dropped = drop_never_binding(as_inequalities(reduced), low, load_high, points)
    slacks = slack_bounds(rows, low, load_high, points)
    multipliers = multiplier_bounds(rows, low, load_high, points)
    # Imports are >= 0, so no source ever gives more than all loads together (page 2); nothing else caps it.
    base = sum(bus.load_kw for bus in instance.buses) * instance.periods[t].load_factor
    ceiling = float(base + load_high.sum())
    return _scaled(instance.scenarios[s].id, rows, slacks, multipliers, len(dropped), ceiling)


def _scaled(
    scenario: str,
    rows: Inequalities,
    slacks: Sequence[Bound | None],
    multipliers: Sequence[Bound | None],
    dropped: int,
    ceiling_kw: float,
) -> ScenarioProgram:
    """Rows in p.u. have tiny slacks and huge multipliers: stretch them by a power of two, which no
    rounding can spoil."""
    widest = np.array([b.value if b is not None and np.isfinite(b.value) else 1.0 for b in slacks])
    factor = np.where(widest < 10.0, 2.0 ** np.round(np.log2(1e3 / np.maximum(widest, 1e-3))), 1.0)
    factor[~rows.origin_is_row] = 1.0
    in_kw = np.array([not name.startswith(("v[", "shed[")) for name in rows.names])
    stretch = sp.diags(factor)
    scaled = replace(
        rows,
        matrix=(stretch @ rows.matrix).tocsr(),
        given_matrix=(stretch @ rows.given_matrix).tocsr(),
        right=rows.right * factor,
    )
    return ScenarioProgram(
        scenario,
        scaled,
        tuple(
            None if b is None else replace(b, value=b.value * f) for b, f in zip(slacks, factor, strict=True)
        ),
        tuple(
            None if b is None else replace(b, value=b.value / f)
            for b, f in zip(multipliers, factor, strict=True)
        ),
        dropped,
        ceiling_kw,
        np.where(in_kw, ceiling_kw, 1.0) * TIGHT * factor,
    )


def leeway(instance: Instance, t: int, load_high: Array) -> float:
    """More than what the judge tolerates at limits and in prices takes off the hour's bill under `dlmp`, money."""
    period = instance.periods[t]
    price = max(period.import_price_per_kwh, instance.feeder.voll_per_kwh, 1e-9)
    base = sum(bus.load_kw for bus in instance.buses) * period.load_factor
    return float(LEEWAY * instance.period_h * price * (base + load_high.sum()))


def _affine(point: InteriorPoint, instance: Instance, recovery: Recovery) -> AffinePoint:
    """The formulation's point over the reduced program's columns."""
    names = recovery.original.columns
    origin = np.zeros(len(names))
    on_given = np.zeros((len(names), len(instance.stations)))
    for j, name in enumerate(names):
        constant, by_station = point.values[name]
        origin[j] = constant
        for station, coefficient in by_station.items():
            on_given[j, instance.station_index[station]] = coefficient
    return AffinePoint(point.name, origin[recovery.kept], on_given[recovery.kept])


@dataclass(frozen=True)
class DispatchRows:
    """What was written for one hour: the bill, every pair, the report of the Ms that are in use.

    ``prices``: per station dV/dP_m, money per kW, by the multipliers; the bill is that of all stations, rivals' too.
    """

    bill: Expression
    pairs: tuple[Pair, ...] = ()
    report: tuple[big_m.BigM, ...] = ()
    prices: tuple[Expression, ...] = ()


def add_dispatch(
    model: LinearModel, data: HourDispatch, load: Array, prefix: str, active: frozenset[str] = frozenset()
) -> DispatchRows:
    """Add the hour's electricity; only the pairs named in ``active`` get binaries, if both sides have a bound.

    A multiplier has none where its row can't have slack: no import, say, while nothing at all is drawn.
    Leaving pairs out is a relaxation (the bill can only come out lower), so the bound stays valid;
    :func:`worst_pairs` tells which ones a relaxed point abuses.
    """
    bill = Expression()
    if data.tariff is not None:
        return DispatchRows(bill.add_all(load, data.period_h * data.tariff))
    pairs: list[Pair] = []
    report: list[big_m.BigM] = []
    prices = tuple(Expression() for _ in load)
    for program in data.scenarios:
        rows = program.rows
        kkt = add_kkt(
            model,
            rows,
            load,
            prefix=f"{prefix}.{program.scenario}.",
            slack_bounds=program.slack_bounds,
            multiplier_bounds=program.multiplier_bounds,
        )
        _cap_columns(model, kkt.primal, program.ceiling_kw)
        at = [i for i, pair in enumerate(kkt.pairs) if pair.name in active and _bounded(pair)]
        chosen = [kkt.pairs[i] for i in at]
        room = program.tight[kkt.pair_of >= 0][at]
        report += big_m.write(model, chosen, slack_relaxation=room).report
        pairs += kkt.pairs
        optimiser = rows.optimiser
        bill.add_all(kkt.primal, optimiser.cost).add_all(load, optimiser.given_cost)
        held = kkt.multiplier >= 0
        bill.add_all(kkt.multiplier[held], -rows.right[held])
        by_load = rows.given_matrix[held].toarray()
        for m, price in enumerate(prices):
            price.add_all(kkt.multiplier[held], -by_load[:, m]).shift(float(optimiser.given_cost[m]))
    return DispatchRows(bill, tuple(pairs), tuple(report), prices)


def _bounded(pair: Pair) -> bool:
    """Whether both sides have a finite derived bound, so that big-M rows can be written."""
    return all(b is not None and np.isfinite(b.value) for b in (pair.slack_bound, pair.multiplier_bound))


def _cap_columns(model: LinearModel, columns: Array, ceiling: float) -> None:
    """Finite bounds for the columns without one, so that every LP bound can be made safe."""
    for j in columns:
        if not np.isfinite(model.upper[j]):
            model.upper[j] = max(ceiling, 1.0)
        if not np.isfinite(model.lower[j]):
            model.lower[j] = -max(ceiling, 1.0)


def worst_pairs(rows: DispatchRows, x: Array, active: frozenset[str], most: int, least: float) -> list[str]:
    """Names of the pairs without binaries whose slack * multiplier is largest at x (money), above
    ``least``."""
    products = [
        (pair.slack.at(x) * pair.multiplier.at(x), pair.name) for pair in rows.pairs if _bounded(pair)
    ]
    open_pairs = sorted(((v, name) for v, name in products if v > least and name not in active), reverse=True)
    return [name for _, name in open_pairs[:most]]
