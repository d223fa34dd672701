"""The figures people compare, computed from a point: totals over the selected periods."""

from __future__ import annotations

import numpy as np

from formulations.prices import owned
from instances.model import Instance
from mpec.equilibrium import Point


def indicators(instance: Instance, point: Point) -> dict[str, float]:
    """Totals over the periods; energies and costs of the feeder are expectations over the scenarios.

    users_cost      dt sum_rs,k w_k c_k, money (driving and charging time, bills, outside costs)
    vehicle_hours   dt (sum_a x_a t_a + sum_k w_k charging time (30)), veh h
    dso_cost        sum_s p_s [import + curtailment + VOLL (shedding + emergency)] dt, money (4)
    energy_sold_kwh (the leader's), curtailment_kwh, shedding_kwh, emergency_kwh
    """
    dt, feeder = instance.period_h, instance.feeder
    pile = {s.id: s.pile_kw for s in instance.stations}
    charging = sum(r.veh_per_h * sum(kwh / pile[station] for station, kwh in r.plan) for r in point.routes)
    probability = np.array([s.probability for s in instance.scenarios])
    price = np.array([p.import_price_per_kwh for p in instance.periods])
    available = np.array(
        [
            [
                [instance.wind.get((s.id, p.id, f.id), 0.0) for f in instance.wind_farms]
                for p in instance.periods
            ]
            for s in instance.scenarios
        ]
    ).reshape(point.wind_kw.shape)
    curtailed = dt * float(probability @ (available - point.wind_kw).sum(axis=(1, 2)))
    shed = dt * float(probability @ point.shed_kw.sum(axis=(1, 2)))
    emergency = dt * float(probability @ point.emergency_kw.sum(axis=(1, 2)))
    bought = dt * float(probability @ (point.import_kw @ price))
    return {
        "users_cost": dt * sum(r.veh_per_h * r.cost for r in point.routes),
        "vehicle_hours": dt * (float(np.sum(point.road_flow * point.road_time_h)) + charging),
        "dso_cost": bought
        + feeder.curtailment_per_kwh * curtailed
        + feeder.voll_per_kwh * (shed + emergency),
        "energy_sold_kwh": dt * float(owned(instance) @ point.load_kw.sum(axis=1)),
        "curtailment_kwh": curtailed,
        "shedding_kwh": shed,
        "emergency_kwh": emergency,
    }
