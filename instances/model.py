"""The data of one game: what an instance folder holds, as frozen records.

Units, everywhere in the project: power kW, kvar, kVA; energy kWh; flow veh/h; time h; money in the
instance's currency; prices money/kWh; voltages p.u. (``v`` in formulas is the squared magnitude).

An :class:`Instance` is already restricted to what is to be solved: :meth:`Instance.select` applies
the command line's ``--periods``, ``--xi``, ``--kappa`` and ``--tariff`` and returns a new one, so
that everything downstream just uses all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from instances.errors import InstanceError
from instances.price_steps import step_problems
from instances.tariff_rows import tariff_problems

TariffMode = Literal["fixed", "dlmp", "regulated"]
Polygon = Literal["outer", "inner"]
Owner = Literal["leader", "rival"]


@dataclass(frozen=True)
class Users:
    """Money value of time, residual-flow share and what enters the first period.

    ``tau_money`` is the paper's tau in money; ``None`` means "period", i.e. kappa times the period
    length, so that the residual is vehicle-hours per period length also at kappa = 0.
    """

    kappa_per_h: float
    xi: float
    tau_money: float | None = None
    initial_residual: float = 0.0


@dataclass(frozen=True)
class Feeder:
    """What holds for the whole feeder. Base voltage line-to-line, base power three-phase."""

    base_kv: float
    base_kva: float
    root_bus: str
    root_voltage_pu: float
    substation_kva: float
    polygon: Polygon
    voll_per_kwh: float
    curtailment_per_kwh: float

    @property
    def base_ohm(self) -> float:
        """Base impedance, ohm: kV^2 / MVA."""
        return self.base_kv**2 * 1000.0 / self.base_kva


@dataclass(frozen=True)
class Bus:
    id: str
    load_kw: float
    load_kvar: float
    vmin_pu: float
    vmax_pu: float


@dataclass(frozen=True)
class Line:
    """A feeder section; ``rating_kva`` is ``inf`` where the file leaves it blank (unlimited)."""

    id: str
    from_bus: str
    to_bus: str
    r_ohm: float
    x_ohm: float
    rating_kva: float = math.inf


@dataclass(frozen=True)
class WindFarm:
    id: str
    bus: str
    power_factor: float

    @property
    def tan_phi(self) -> float:
        """kvar injected per kW."""
        return math.tan(math.acos(self.power_factor))


@dataclass(frozen=True)
class Scenario:
    id: str
    probability: float


@dataclass(frozen=True)
class Period:
    """One period; ``id`` is the file's label (an integer, consecutive from any start)."""

    id: int
    load_factor: float
    import_price_per_kwh: float


@dataclass(frozen=True)
class Node:
    id: str
    x: float = 0.0
    y: float = 0.0
    through: bool = True


@dataclass(frozen=True)
class Road:
    """A one-way road; its time is (29): t0 (1 + alpha ((x + background) / capacity)^beta)."""

    id: str
    from_node: str
    to_node: str
    length_km: float
    free_flow_h: float
    capacity_veh_per_h: float
    energy_kwh: float
    bpr_alpha: float = 0.15
    bpr_beta: float = 4.0
    background_veh_per_h: float = 0.0


@dataclass(frozen=True)
class Pair:
    """An origin-destination pair and its vehicle (a row of vehicles.csv)."""

    origin: str
    destination: str
    initial_kwh: float
    min_kwh: float
    max_kwh: float
    final_kwh: float
    outside_cost: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.origin, self.destination


@dataclass(frozen=True)
class Station:
    """A station of the leader, or of a rival: a rival's charging prices are data (``Instance.rival_prices``).

    ``price_min``, ``price_max``: the box of the leader's prices; a rival's posted prices lie in it.
    ``price_step``: charging prices are whole multiples of it, money/kWh; ``None``: any price in the box.
    """

    id: str
    node: str
    bus: str
    rated_kva: float
    power_factor: float
    pile_kw: float
    available: bool
    price_min: float
    price_max: float
    price_mean_max: float | None = None
    owner: Owner = "leader"
    price_step: float | None = None

    @property
    def tan_phi(self) -> float:
        """kvar consumed per kW."""
        return math.tan(math.acos(self.power_factor))

    @property
    def capacity_kw(self) -> float:
        """(2)+(3): the station's active power limit, kW."""
        return self.rated_kva * self.power_factor


@dataclass(frozen=True)
class TariffRow:
    """A row of tariff.csv: the fixed price, or the regulated box; ``None`` where absent."""

    price_per_kwh: float | None = None
    price_min: float | None = None
    price_max: float | None = None
    price_mean_max: float | None = None


@dataclass(frozen=True)
class DeclaredRoute:
    """A row of route_set.csv: road ids in order, and kWh charged by station."""

    origin: str
    destination: str
    path: tuple[str, ...]
    plan: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Instance:
    """One game. All tuples keep the order of the files; the keys below are ids as in the files.

    trips[(origin, destination, period)] veh/h (missing = 0); wind[(scenario, period, farm)] kW;
    tariff[(station, period)]; rival_prices[(station, period)] money/kWh, for every station of a rival.
    """

    name: str
    currency: str
    period_h: float
    users: Users
    feeder: Feeder
    tariff_mode: TariffMode
    buses: tuple[Bus, ...]
    lines: tuple[Line, ...]
    wind_farms: tuple[WindFarm, ...]
    scenarios: tuple[Scenario, ...]
    periods: tuple[Period, ...]
    nodes: tuple[Node, ...]
    roads: tuple[Road, ...]
    pairs: tuple[Pair, ...]
    stations: tuple[Station, ...]
    trips: Mapping[tuple[str, str, int], float]
    wind: Mapping[tuple[str, int, str], float]
    tariff: Mapping[tuple[str, int], TariffRow] = field(default_factory=dict)
    route_set: tuple[DeclaredRoute, ...] | None = None
    source: Mapping[str, str] = field(default_factory=dict)
    rival_prices: Mapping[tuple[str, int], float] = field(default_factory=dict)

    # ---- what the options change -------------------------------------------------------------
    def select(
        self,
        *,
        periods: tuple[int, int] | None = None,
        xi: float | None = None,
        kappa_per_h: float | None = None,
        tariff: TariffMode | None = None,
        price_step: float | None = None,
    ) -> Instance:
        """The same game with other options; ``periods`` = (first, last) labels, inclusive.

        ``price_step``: the leader's charging prices are multiples of it, money/kWh, at every station.

        Trips, wind, tariff and rivals' prices keep the rows of the selected periods only, so that ``save``
        writes a complete instance. Raises ValueError when the labels are not in the instance or xi, kappa
        are negative, and InstanceError (a ValueError) when the tariff mode's own rows are missing
        or its mean cap can't be kept over the selected periods, or where a station has no price on the grid.
        """
        users = self.users
        if xi is not None:
            if not xi >= 0 or math.isinf(xi):
                raise ValueError(f"xi is {xi}; it must be a finite number >= 0")
            users = replace(users, xi=xi)
        if kappa_per_h is not None:
            if not kappa_per_h >= 0 or math.isinf(kappa_per_h):
                raise ValueError(f"kappa is {kappa_per_h}; it must be a finite number >= 0")
            users = replace(users, kappa_per_h=kappa_per_h)
        chosen = self.periods
        if periods is not None:
            first, last = periods
            labels = [p.id for p in self.periods]
            if first > last or first not in labels or last not in labels:
                raise ValueError(
                    f"periods {first}-{last}: the instance has the periods {labels[0]} ... {labels[-1]}"
                )
            chosen = tuple(p for p in self.periods if first <= p.id <= last)
        kept = {period.id for period in chosen}
        stations = self.stations
        if price_step is not None:
            stations = tuple(
                replace(s, price_step=price_step) if s.owner == "leader" else s for s in stations
            )
        selected = replace(
            self,
            users=users,
            stations=stations,
            periods=chosen,
            tariff_mode=tariff or self.tariff_mode,
            trips={key: flow for key, flow in self.trips.items() if key[2] in kept},
            wind={key: kw for key, kw in self.wind.items() if key[1] in kept},
            tariff={key: row for key, row in self.tariff.items() if key[1] in kept},
            rival_prices={key: price for key, price in self.rival_prices.items() if key[1] in kept},
        )
        problems = [*tariff_problems(selected), *step_problems(selected)]
        if problems:
            raise InstanceError(problems, self.name)
        return selected

    # ---- look-ups ----------------------------------------------------------------------------
    @cached_property
    def road_index(self) -> dict[str, int]:
        return {road.id: i for i, road in enumerate(self.roads)}

    @cached_property
    def station_index(self) -> dict[str, int]:
        return {station.id: i for i, station in enumerate(self.stations)}

    @cached_property
    def bus_index(self) -> dict[str, int]:
        return {bus.id: i for i, bus in enumerate(self.buses)}

    @cached_property
    def pair_index(self) -> dict[tuple[str, str], int]:
        return {pair.key: i for i, pair in enumerate(self.pairs)}

    @property
    def residual_rate(self) -> float:
        """kappa/tau, 1/h: residual flow (24) is this times the vehicle-hours on the way."""
        if self.users.tau_money is None:
            return 1.0 / self.period_h
        return self.users.kappa_per_h / self.users.tau_money

    def demand(self, pair: Pair, period: Period) -> float:
        """W[rs,t], veh/h."""
        return self.trips.get((pair.origin, pair.destination, period.id), 0.0)
