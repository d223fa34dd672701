"""Odd data for the truth tests: what users' numbers span where units were mixed up, or roads are far too wide.

Solvers' bounds of mixed-integer models were false on such games, with ordinary ones beside them right.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from instances.model import Instance

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def with_wide_roads(game: Instance, seed: int) -> Instance:
    """A game with up to 100 times the vehicles, and a grid for them, on roads whose times hardly rise, or rise almost
    in a straight line (beta down to 1 + 1e-7).

    Slopes go down to 1e-15 h per veh/h, far below the coefficients that solvers delete (mpec.solvers.dust). Each road
    is wide with odds of two in three: a bent one beside it can carry the choice.
    """
    rng = np.random.default_rng([2027, seed])
    size = float(rng.choice([1.0, 10.0, 100.0]))
    roads = []
    for road in game.roads:
        wide = rng.random() < 2.0 / 3.0
        capacity = road.capacity_veh_per_h * size * (10.0 ** rng.uniform(0.0, 2.0) if wide else 1.0)
        alpha = road.bpr_alpha * (10.0 ** rng.uniform(-4.0, 0.0) if wide else 1.0)
        roads.append(
            replace(
                road,
                capacity_veh_per_h=float(f"{capacity:.5g}"),
                bpr_alpha=float(f"{alpha:.3g}"),
                bpr_beta=float(rng.choice([1.0 + 10.0 ** rng.uniform(-7.0, -1.0), 2.5, 6.0, road.bpr_beta])),
                background_veh_per_h=road.background_veh_per_h * size,
            )
        )
    return _with_flows(replace(game, name=f"{game.name}-wide", roads=tuple(roads)), size)


def with_other_units(game: Instance, seed: int) -> Instance:
    """The same game in money worth a ten-thousandth to a hundred thousand times as much, with a thousandth or a
    thousand times the vehicles: the profit is multiplied, nothing else happens."""
    rng = np.random.default_rng([2028, seed])
    money, flows = float(rng.choice([1e-4, 1.0, 1e3, 1e5])), float(rng.choice([1e-3, 1.0, 1e3]))
    roads = tuple(
        replace(
            road,
            capacity_veh_per_h=road.capacity_veh_per_h * flows,
            background_veh_per_h=road.background_veh_per_h * flows,
        )
        for road in game.roads
    )
    priced = _times(game, money, ("voll_per_kwh", "curtailment_per_kwh"), "feeder")
    priced = _times(priced, money, ("kappa_per_h", "tau_money"), "users")
    priced = replace(
        priced,
        name=f"{game.name}-units",
        roads=roads,
        stations=tuple(
            _multiplied(s, money, ("price_min", "price_max", "price_mean_max", "price_step"))
            for s in game.stations
        ),
        pairs=tuple(_multiplied(p, money, ("outside_cost",)) for p in game.pairs),
        periods=tuple(_multiplied(p, money, ("import_price_per_kwh",)) for p in game.periods),
        tariff={
            key: _multiplied(row, money, tuple(f.name for f in fields(row)))
            for key, row in game.tariff.items()
        },
        rival_prices={key: price * money for key, price in game.rival_prices.items()},
    )
    return _with_flows(priced, flows)


def _with_flows(game: Instance, size: float) -> Instance:
    """All vehicles and energies multiplied, and the grid with them; roads as they are."""
    return replace(
        game,
        users=_multiplied(game.users, size, ("initial_residual",)),
        trips={key: flow * size for key, flow in game.trips.items()},
        stations=tuple(_multiplied(s, size, ("rated_kva",)) for s in game.stations),
        buses=tuple(_multiplied(b, size, ("load_kw", "load_kvar")) for b in game.buses),
        lines=tuple(
            _multiplied(_multiplied(x, size, ("rating_kva",)), 1.0 / size, ("r_ohm", "x_ohm"))
            for x in game.lines
        ),
        feeder=_multiplied(game.feeder, size, ("substation_kva",)),
        wind={key: kw * size for key, kw in game.wind.items()},
    )


def _times(game: Instance, factor: float, names: tuple[str, ...], part: str) -> Instance:
    return replace(game, **{part: _multiplied(getattr(game, part), factor, names)})


def _multiplied(record: Record, factor: float, names: tuple[str, ...]) -> Record:
    """A record with some numbers multiplied; those that are not given stay so."""
    new = {n: getattr(record, n) * factor for n in names if getattr(record, n) is not None}
    return replace(record, **new)
