"""What an instance holds, and which of its mechanisms are alive in an answer of the followers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.prices import price_box
from instances.model import Instance
from mpec.equilibrium import Array, Point

_SLOW = 1.2
"""A used road counts as congested from this multiple of its free-flow time."""
_PRICE_MOVED = 1e-6
_NEAR = 1e-6


@dataclass(frozen=True)
class Mechanism:
    """One mechanism: how many cases of it there are, the strongest one in words ("" for none), and the
    periods (labels of the instance) in which there is one."""

    name: str
    cases: int
    example: str
    periods: tuple[int, ...] = ()


def _where(instance: Instance, found: Array, axis: int) -> tuple[int, ...]:
    """The labels of the periods with a case; ``axis`` is the period's axis of ``found``."""
    others = tuple(k for k in range(found.ndim) if k != axis)
    cases = np.asarray(found.any(axis=others))
    return tuple(period.id for period, case in zip(instance.periods, cases, strict=True) if case)


def spans(labels: tuple[int, ...]) -> str:
    """Period labels for print: ``7-10, 18``."""
    parts: list[list[int]] = []
    for label in labels:
        if parts and label == parts[-1][-1] + 1:
            parts[-1].append(label)
        else:
            parts.append([label])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in parts)


def sizes(instance: Instance) -> dict[str, float | int | str]:
    """Counts and totals of an instance, in the order in which they are shown."""
    periods = instance.periods
    labels = f"{periods[0].id} ... {periods[-1].id}"
    vehicles = sum(instance.demand(pair, period) for pair in instance.pairs for period in periods)
    rivals = sum(station.owner == "rival" for station in instance.stations)
    return {
        "instance": instance.name,
        "currency": instance.currency,
        "tariff": instance.tariff_mode,
        "periods": f"{len(periods)} of {instance.period_h:g} h ({labels})",
        "stations": len(instance.stations),
        "road nodes": len(instance.nodes),
        "one-way roads": len(instance.roads),
        **({"stations of rivals": rivals} if rivals else {}),
        "O-D pairs": len(instance.pairs),
        "vehicles": round(vehicles * instance.period_h, 3),
        "buses": len(instance.buses),
        "lines": len(instance.lines),
        "wind farms": len(instance.wind_farms),
        "scenarios": len(instance.scenarios),
        "peak base load, kW": round(
            sum(bus.load_kw for bus in instance.buses) * max(period.load_factor for period in periods), 3
        ),
        f"value of time kappa, {instance.currency}/h": instance.users.kappa_per_h,
        "residual share xi": instance.users.xi,
    }


def middle_prices(instance: Instance) -> Array:
    """Prices (M, T) in the middle of each station's box, not above its mean cap."""
    low, high = price_box(instance)
    caps = [math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations]
    return np.asarray(np.minimum(0.5 * (low + high), np.array(caps)[:, None]))


def mechanisms(instance: Instance, point: Point) -> list[Mechanism]:
    """Which mechanisms the point shows: congestion, feeder limits, curtailment, stations, routes, plans."""
    return [
        _congestion(instance, point),
        *_feeder(instance, point),
        _curtailment(instance, point),
        _stations(instance, point),
        *_choices(instance, point),
        _recourse(instance, point),
    ]


def _congestion(instance: Instance, point: Point) -> Mechanism:
    free = np.array([road.free_flow_h for road in instance.roads])[:, None]
    slow = np.where(point.road_flow > _NEAR, point.road_time_h / np.maximum(free, 1e-12), 1.0)
    a, t = np.unravel_index(int(np.argmax(slow)), slow.shape)
    share = 100.0 * (slow[a, t] - 1.0)
    example = f"road {instance.roads[a].id}, period {instance.periods[t].id}: {share:.0f} % slower than empty"
    cases = int((slow >= _SLOW).sum())
    return Mechanism(
        "congestion: used roads at least 20 % slower",
        cases,
        example if cases else "",
        _where(instance, slow >= _SLOW, 1),
    )


def _feeder(instance: Instance, point: Point) -> list[Mechanism]:
    """LinDistFlow has no losses: a bus whose price differs from the root's is behind a binding limit."""
    root = instance.bus_index[instance.feeder.root_bus]
    apart = np.abs(point.price_active - point.price_active[:, :, [root]])
    s, t, b = np.unravel_index(int(np.argmax(apart)), apart.shape)
    moved = _where(instance, apart > _PRICE_MOVED, 1)
    example = (
        f"bus {instance.buses[b].id}, period {instance.periods[t].id}, scenario {instance.scenarios[s].id}: "
        f"{point.price_active[s, t, b]:.3f} against {point.price_active[s, t, root]:.3f} at the root"
    )
    low = np.array([bus.vmin_pu for bus in instance.buses])
    high = np.array([bus.vmax_pu for bus in instance.buses])
    away = np.arange(len(instance.buses)) != root
    at_voltage = ((point.voltage_pu <= low + _NEAR) | (point.voltage_pu >= high - _NEAR)) & away
    s2, t2, b2 = np.unravel_index(int(np.argmax(at_voltage)), at_voltage.shape)
    level = point.voltage_pu[s2, t2, b2]
    voltage = f"bus {instance.buses[b2].id}, period {instance.periods[t2].id}: {level:.4f} p.u."
    return [
        Mechanism(
            "feeder limits: periods in which one moves a nodal price",
            len(moved),
            example if moved else "",
            moved,
        ),
        Mechanism(
            "voltage: buses, periods and scenarios at a limit",
            int(at_voltage.sum()),
            voltage if at_voltage.any() else "",
            _where(instance, at_voltage, 1),
        ),
    ]


def _curtailment(instance: Instance, point: Point) -> Mechanism:
    name = "curtailment: farms, periods and scenarios with unused wind"
    available = np.array(
        [
            [
                [instance.wind.get((s.id, p.id, f.id), 0.0) for f in instance.wind_farms]
                for p in instance.periods
            ]
            for s in instance.scenarios
        ]
    ).reshape(point.wind_kw.shape)
    unused = available - point.wind_kw
    if not unused.size or float(unused.max()) <= _NEAR:
        return Mechanism(name, 0, "")
    s, t, f = np.unravel_index(int(np.argmax(unused)), unused.shape)
    example = (
        f"farm {instance.wind_farms[f].id}, period {instance.periods[t].id}, "
        f"scenario {instance.scenarios[s].id}: {unused[s, t, f]:.1f} kW"
    )
    return Mechanism(name, int((unused > _NEAR).sum()), example, _where(instance, unused > _NEAR, 1))


def _stations(instance: Instance, point: Point) -> Mechanism:
    capacity = np.array([station.capacity_kw for station in instance.stations])[:, None]
    use = point.load_kw / np.maximum(capacity, 1e-12)
    m, t = np.unravel_index(int(np.argmax(use)), use.shape)
    example = (
        f"{instance.stations[m].id}, period {instance.periods[t].id}: "
        f"{point.load_kw[m, t]:.1f} of {capacity[m, 0]:.1f} kW"
    )
    full = use >= 1.0 - _NEAR
    name = "station limits: stations and periods at or above capacity"
    return Mechanism(name, int(full.sum()), example, _where(instance, full, 1))


def _choices(instance: Instance, point: Point) -> list[Mechanism]:
    paths: dict[tuple[str, str, int], set[object]] = {}
    plans: dict[tuple[str, str, int], set[object]] = {}
    for route in point.routes:
        key = route.origin, route.destination, route.period
        paths.setdefault(key, set()).add(("outside",) if route.outside else route.path)
        plans.setdefault(key, set()).add(tuple((m, round(kwh, 6)) for m, kwh in route.plan))
    shown = []
    for name, used in (("routes", paths), ("charging plans", plans)):
        several = {key: len(items) for key, items in used.items() if len(items) > 1}
        most = max(several, key=lambda key: several[key], default=None)
        example = f"{most[0]} to {most[1]}, period {most[2]}: {several[most]}" if most else ""
        periods = tuple(p.id for p in instance.periods if any(key[2] == p.id for key in several))
        name = f"choice: O-D pairs and periods with several {name}"
        shown.append(Mechanism(name, len(several), example, periods))
    return shown


def _recourse(instance: Instance, point: Point) -> Mechanism:
    shed, emergency = float(point.shed_kw.sum()), float(point.emergency_kw.sum())
    shed_at, emergency_at = point.shed_kw > _NEAR, point.emergency_kw > _NEAR
    cases = int(shed_at.sum() + emergency_at.sum())
    example = (
        f"{shed:.1f} kW shed and {emergency:.1f} kW of emergency supply, all scenarios added" if cases else ""
    )
    either = np.asarray(shed_at.any(axis=2) | emergency_at.any(axis=2))
    return Mechanism("recourse: load shed, emergency supply", cases, example, _where(instance, either, 1))
