"""What `mpec new` is asked for: sources, tables and numbers; None where nothing was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mpec.importing.pieces import FeederData, RoadData

Rating = float | Literal["unlimited"] | tuple[float]
"""kVA for all lines; unlimited; (factor,) times what can flow below the line."""


@dataclass(frozen=True)
class Request:
    """All options; units as in the instance folder. ``roads``, ``feeder``: a source to read, or what was read.

    ``tables``: name (see given_tables.SCHEMAS) -> file. ``stations_at``: (node, bus). ``price_box``: lowest,
    highest [, cap on the mean]. ``vehicle``: start, least, most, final kWh.
    """

    name: str
    roads: str | RoadData
    feeder: str | FeederData
    trips: Path | None = None
    coordinates: Path | None = None
    tables: Mapping[str, Path] = field(default_factory=dict)
    stations_at: tuple[tuple[str, str], ...] = ()
    hours: float | None = None
    km: float | None = None
    traffic_scale: float = 1.0
    lane_capacity: float | None = None
    kwh_per_km: float | None = None
    pairs: int | None = None
    trips_share: float | None = None
    trips_per: Literal["hour", "day"] | None = None
    background: float | None = None
    station_kva: float | None = None
    power_factor: float | None = None
    pile_kw: float | None = None
    price_box: tuple[float, ...] | None = None
    vehicle: tuple[float, ...] | None = None
    substation_kva: float | None = None
    line_rating: Rating | None = None
    root_voltage: float | None = None
    voltage_limits: tuple[float, ...] | None = None
    currency: str | None = None
    kappa: float | None = None
    xi: float | None = None
    voll: float | None = None
    curtailment: float | None = None
    tariff: Literal["fixed", "dlmp", "regulated"] | None = None
    assume: bool = False
