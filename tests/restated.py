"""The same game in other units, under other names, in another order: what must not change any certificate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from instances.model import Instance

Record = TypeVar("Record")


def _scaled(record: Any, factors: Mapping[str, float]) -> Any:
    """The record with these fields multiplied; None and the fields it has not stay as they are."""
    changes: dict[str, Any] = {}
    for name, factor in factors.items():
        value = getattr(record, name, None)
        if value is not None:
            changes[name] = value * factor
    return replace(record, **changes)


def in_units(game: Instance, *, money: float = 1.0, energy: float = 1.0, flow: float = 1.0) -> Instance:
    """The game with money, energy (kWh, kW, kvar, kVA) and vehicles in units that many times smaller.

    Profits come out ``money`` times as large; vehicles carry 1/flow of their energy and cost, so that loads stay.
    """
    price = money / energy
    vehicle_kwh, vehicle_money = energy / flow, money / flow
    users = replace(
        game.users,
        kappa_per_h=game.users.kappa_per_h * vehicle_money,
        tau_money=None if game.users.tau_money is None else game.users.tau_money * vehicle_money,
        initial_residual=game.users.initial_residual * flow,
    )
    kwh = dict.fromkeys(("initial_kwh", "min_kwh", "max_kwh", "final_kwh"), vehicle_kwh)
    prices = dict.fromkeys(("price_per_kwh", "price_min", "price_max", "price_mean_max"), price)
    return replace(
        game,
        currency=game.currency if money == 1.0 else "fen",
        users=users,
        feeder=_scaled(
            game.feeder,
            {
                "base_kva": energy, "base_kv": math.sqrt(energy), "substation_kva": energy,
                "voll_per_kwh": price, "curtailment_per_kwh": price,
            },
        ),
        buses=tuple(_scaled(b, {"load_kw": energy, "load_kvar": energy}) for b in game.buses),
        lines=tuple(_scaled(line, {"rating_kva": energy}) for line in game.lines),
        periods=tuple(_scaled(p, {"import_price_per_kwh": price}) for p in game.periods),
        roads=tuple(
            _scaled(
                r,
                {"capacity_veh_per_h": flow, "background_veh_per_h": flow, "energy_kwh": vehicle_kwh},
            )
            for r in game.roads
        ),
        pairs=tuple(_scaled(p, {**kwh, "outside_cost": vehicle_money}) for p in game.pairs),
        stations=tuple(_scaled(s, {**prices, "rated_kva": energy, "pile_kw": vehicle_kwh}) for s in game.stations),
        trips={key: value * flow for key, value in game.trips.items()},
        wind={key: value * energy for key, value in game.wind.items()},
        tariff={key: _scaled(row, prices) for key, row in game.tariff.items()},
    )  # fmt: skip


def with_labels(game: Instance, shift: int) -> Instance:
    """The same periods under other labels."""
    return replace(
        game,
        periods=tuple(replace(p, id=p.id + shift) for p in game.periods),
        trips={(o, d, t + shift): v for (o, d, t), v in game.trips.items()},
        wind={(s, t + shift, f): v for (s, t, f), v in game.wind.items()},
        tariff={(s, t + shift): v for (s, t), v in game.tariff.items()},
    )


def shuffled(game: Instance, seed: int) -> Instance:
    """Every table's rows in another order (the periods' order means something and stays)."""
    rng = np.random.default_rng(seed)

    def mixed(rows: tuple[Record, ...]) -> tuple[Record, ...]:
        return tuple(rows[i] for i in rng.permutation(len(rows)))

    return replace(
        game,
        buses=mixed(game.buses),
        lines=mixed(game.lines),
        wind_farms=mixed(game.wind_farms),
        scenarios=mixed(game.scenarios),
        nodes=mixed(game.nodes),
        roads=mixed(game.roads),
        pairs=mixed(game.pairs),
        stations=mixed(game.stations),
    )
