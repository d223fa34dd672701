"""The columns of every file of an instance folder (the folder format, as data)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "number", "period", "flag", "text"]

LARGEST = 1e15
"""No quantity of a city is larger; beyond it, arithmetic on it loses everything else."""

SMALLEST_POSITIVE = 1e-9
"""Quantities that divide others must be at least this, or quotients overflow."""


@dataclass(frozen=True)
class Column:
    """One column: its kind, range and what to write there (used as the cure in messages).

    ``required``: the header must have it. ``filled``: a blank cell is an error.
    """

    name: str
    kind: Kind
    cure: str
    required: bool = True
    filled: bool = True
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class TableSchema:
    """A file: its columns, the columns that identify a row, and whether it may be absent or empty."""

    file: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    optional: bool = False
    may_be_empty: bool = False

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


def _id(name: str, cure: str) -> Column:
    return Column(name, "id", cure)


def _period() -> Column:
    return Column("period", "period", "Give the number of a period of periods.csv.")


def _any(name: str, cure: str) -> Column:
    return Column(name, "number", cure)


def _at_least_0(name: str, cure: str) -> Column:
    return Column(name, "number", cure, low=0.0)


def _positive(name: str, cure: str) -> Column:
    return Column(name, "number", cure, low=SMALLEST_POSITIVE)


def _optional(name: str, cure: str, low: float = -math.inf, high: float = math.inf) -> Column:
    return Column(name, "number", cure, required=False, filled=False, low=low, high=high)


def _power_factor() -> Column:
    return Column(
        "power_factor", "number", "Give cos(phi), above 0 and at most 1.", low=SMALLEST_POSITIVE, high=1.0
    )


BUSES = TableSchema(
    "buses.csv",
    (
        _id("bus", "Give the bus a name."),
        _at_least_0("load_kw", "Give the base load in kW, 0 or more."),
        _any("load_kvar", "Give the base reactive load in kvar."),
        _positive("vmin_pu", "Give the lowest allowed voltage in p.u., e.g. 0.95."),
        _positive("vmax_pu", "Give the highest allowed voltage in p.u., e.g. 1.05."),
    ),
    ("bus",),
)
LINES = TableSchema(
    "lines.csv",
    (
        _id("line", "Give the line a name."),
        _id("from_bus", "Give the bus at one end of the line."),
        _id("to_bus", "Give the bus at the other end of the line."),
        _at_least_0("r_ohm", "Give the resistance in ohm, 0 or more."),
        _at_least_0("x_ohm", "Give the reactance in ohm, 0 or more."),
        Column(
            "rating_kva",
            "number",
            "Give the rating in kVA, above 0; leave it blank if the line is unlimited.",
            filled=False,
            low=SMALLEST_POSITIVE,
        ),
    ),
    ("line",),
    may_be_empty=True,
)
WIND_FARMS = TableSchema(
    "wind_farms.csv",
    (
        _id("farm", "Give the wind farm a name."),
        _id("bus", "Give the bus that the farm feeds."),
        _power_factor(),
    ),
    ("farm",),
    optional=True,
    may_be_empty=True,
)
SCENARIOS = TableSchema(
    "scenarios.csv",
    (
        _id("scenario", "Give the scenario a name."),
        Column(
            "probability",
            "number",
            "Give a probability above 0 and at most 1; leave out scenarios that can't happen.",
            low=SMALLEST_POSITIVE,
            high=1.0,
        ),
    ),
    ("scenario",),
)
WIND = TableSchema(
    "wind.csv",
    (
        _id("scenario", "Give a scenario of scenarios.csv."),
        _period(),
        _id("farm", "Give a farm of wind_farms.csv."),
        _at_least_0("available_kw", "Give the available wind power in kW, 0 or more."),
    ),
    ("scenario", "period", "farm"),
    optional=True,
    may_be_empty=True,
)
PERIODS = TableSchema(
    "periods.csv",
    (
        _period(),
        _at_least_0("load_factor", "Give the factor on the base load, 0 or more."),
        _any("import_price_per_kwh", "Give the price of imported energy, money/kWh."),
    ),
    ("period",),
)
NODES = TableSchema(
    "nodes.csv",
    (
        _id("node", "Give the node a name."),
        _any("x", "Give a coordinate."),
        _any("y", "Give a coordinate."),
        Column("through", "flag", "Write 1 (traffic may pass through) or 0.", required=False, filled=False),
    ),
    ("node",),
    optional=True,
)
ROADS = TableSchema(
    "roads.csv",
    (
        _id("road", "Give the road a name."),
        _id("from_node", "Give the node where the one-way road starts."),
        _id("to_node", "Give the node where the one-way road ends."),
        _at_least_0("length_km", "Give the length in km, 0 or more."),
        _at_least_0("free_flow_h", "Give the free-flow time in hours, 0 or more."),
        _positive("capacity_veh_per_h", "Give the capacity in veh/h, above 0."),
        _at_least_0("energy_kwh", "Give what a vehicle consumes on the road in kWh, 0 or more."),
        _optional("bpr_alpha", "Give 0 or more; blank means 0.15.", low=0.0),
        _optional("bpr_beta", "Give 0, or 1 to 100; blank means 4.", low=0.0, high=100.0),
        _optional("background_veh_per_h", "Give the other traffic in veh/h, 0 or more.", low=0.0),
    ),
    ("road",),
)
TRIPS = TableSchema(
    "trips.csv",
    (
        _id("origin", "Give a node of the road network."),
        _id("destination", "Give a node of the road network."),
        _period(),
        _at_least_0("veh_per_h", "Give the demand in veh/h, 0 or more."),
    ),
    ("origin", "destination", "period"),
    may_be_empty=True,
)
VEHICLES = TableSchema(
    "vehicles.csv",
    (
        _id("origin", "Give a node of the road network."),
        _id("destination", "Give a node of the road network."),
        _at_least_0("initial_kwh", "Give the energy at the start in kWh, 0 or more."),
        _at_least_0("min_kwh", "Give the least allowed energy in kWh, 0 or more."),
        _at_least_0("max_kwh", "Give the battery's capacity in kWh, 0 or more."),
        _at_least_0("final_kwh", "Give the energy wanted at the destination in kWh, 0 or more."),
        _optional(
            "outside_cost", "Give the cost of not charging here, money per vehicle, or blank.", low=0.0
        ),
    ),
    ("origin", "destination"),
)
LOWEST_PRICE = "Give the lowest charging price, money/kWh, 0 or more."
HIGHEST_PRICE = "Give the highest charging price, money/kWh, 0 or more."

STATIONS = TableSchema(
    "stations.csv",
    (
        _id("station", "Give the station a name."),
        _id("node", "Give the road node where the station is."),
        _id("bus", "Give the bus that the station is connected to."),
        _positive("rated_kva", "Give the rating in kVA, above 0; to close a station set available to 0."),
        _power_factor(),
        _positive("pile_kw", "Give the power of one charging pile in kW, above 0."),
        Column("available", "flag", "Write 1 (open) or 0 (closed)."),
        Column("price_min", "number", LOWEST_PRICE, filled=False, low=0.0),
        Column("price_max", "number", HIGHEST_PRICE, filled=False, low=0.0),
        _optional("price_mean_max", "Give the cap on the mean price, money/kWh, or blank for none.", low=0.0),
        Column("owner", "text", "Write leader or rival; blank means leader.", required=False, filled=False),
        _optional(
            "price_step",
            "Give the step of which all charging prices are multiples, money/kWh, or blank for none.",
            low=SMALLEST_POSITIVE,
        ),
    ),
    ("station",),
)
TARIFF = TableSchema(
    "tariff.csv",
    (
        _id("station", "Give a station of stations.csv."),
        _period(),
        _optional("price_per_kwh", "Give the fixed electricity price, money/kWh, 0 or more.", low=0.0),
        _optional("price_min", "Give the regulated tariff's floor, money/kWh, 0 or more.", low=0.0),
        _optional("price_max", "Give the regulated tariff's ceiling, money/kWh, 0 or more.", low=0.0),
        _optional("price_mean_max", "Give the cap on the regulated tariff's mean, money/kWh.", low=0.0),
    ),
    ("station", "period"),
    optional=True,
    may_be_empty=True,
)
RIVAL_PRICES = TableSchema(
    "rival_prices.csv",
    (
        _id("station", "Give a station of stations.csv whose owner is rival."),
        _period(),
        _at_least_0("price", "Give the rival's posted charging price, money/kWh, 0 or more."),
    ),
    ("station", "period"),
    optional=True,
    may_be_empty=True,
)
ROUTE_SET = TableSchema(
    "route_set.csv",
    (
        _id("origin", "Give the origin of a row of vehicles.csv."),
        _id("destination", "Give the destination of a row of vehicles.csv."),
        Column("path", "text", "Give road ids joined by '>'."),
        Column("plan", "text", "Give station:kWh joined by ';', or leave it blank.", filled=False),
    ),
    ("origin", "destination", "path", "plan"),
    optional=True,
)

TABLES = (
    BUSES,
    LINES,
    WIND_FARMS,
    SCENARIOS,
    WIND,
    PERIODS,
    NODES,
    ROADS,
    TRIPS,
    VEHICLES,
    STATIONS,
    TARIFF,
    RIVAL_PRICES,
    ROUTE_SET,
)
SETTINGS_FILE = "instance.toml"
FILES = (SETTINGS_FILE, *(table.file for table in TABLES))
