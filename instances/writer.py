"""From an :class:`Instance` to the files of its folder; reading them back gives the same instance."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from instances.model import Instance, Node
from instances.schema import SETTINGS_FILE, TABLES

Value = str | float | int | bool | None

_SELDOM = ("owner", "price_step")
"""Columns that are written only where some row has a value."""


def save(instance: Instance, folder: str | os.PathLike[str]) -> Path:
    """Write the instance's files into ``folder`` (made if need be) and return it.

    ``load`` of the folder equals the instance, floats to the last bit. Files of an earlier instance
    that this one does not have are removed.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    files = files_of(instance)
    for file, text in files.items():
        (path / file).write_text(text, encoding="utf-8", newline="")
    for schema in TABLES:
        if schema.file not in files:
            (path / schema.file).unlink(missing_ok=True)
    return path


def files_of(instance: Instance) -> dict[str, str]:
    """File name -> text, for every file that the instance needs."""
    rows = _rows(instance)
    if not _has_nodes(instance):
        del rows["nodes.csv"]
    if instance.route_set is None:
        del rows["route_set.csv"]
    if not instance.tariff:
        del rows["tariff.csv"]
    if not instance.rival_prices:
        del rows["rival_prices.csv"]
    files = {SETTINGS_FILE: _settings(instance)}
    for schema in TABLES:
        if schema.file in rows:
            header = [column.name for column in schema.columns]
            kept = [i for i, name in enumerate(header) if name not in _SELDOM or _given(rows[schema.file], i)]
            cells = ([row[i] for i in kept] for row in rows[schema.file])
            files[schema.file] = _csv([header[i] for i in kept], cells)
    return files


def _given(rows: Sequence[Sequence[Value]], column: int) -> bool:
    return any(row[column] is not None for row in rows)


def number(value: float) -> str:
    """The shortest text that reads back as the same float; whole numbers without '.0'."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value
    return "" if math.isinf(value) else number(value)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return stream.getvalue()


def _has_nodes(instance: Instance) -> bool:
    """Whether nodes.csv says more than roads.csv does."""
    names = dict.fromkeys(name for road in instance.roads for name in (road.from_node, road.to_node))
    return instance.nodes != tuple(Node(name) for name in names)


def _rows(i: Instance) -> dict[str, list[tuple[Value, ...]]]:
    """The cells of every table, in the column order of the schema."""
    return {
        "buses.csv": [(b.id, b.load_kw, b.load_kvar, b.vmin_pu, b.vmax_pu) for b in i.buses],
        "lines.csv": [(x.id, x.from_bus, x.to_bus, x.r_ohm, x.x_ohm, x.rating_kva) for x in i.lines],
        "wind_farms.csv": [(f.id, f.bus, f.power_factor) for f in i.wind_farms],
        "scenarios.csv": [(s.id, s.probability) for s in i.scenarios],
        "wind.csv": [(*key, kw) for key, kw in i.wind.items()],
        "periods.csv": [(p.id, p.load_factor, p.import_price_per_kwh) for p in i.periods],
        "nodes.csv": [(n.id, n.x, n.y, n.through) for n in i.nodes],
        "roads.csv": [
            (
                r.id,
                r.from_node,
                r.to_node,
                r.length_km,
                r.free_flow_h,
                r.capacity_veh_per_h,
                r.energy_kwh,
                r.bpr_alpha,
                r.bpr_beta,
                r.background_veh_per_h,
            )
            for r in i.roads
        ],
        "trips.csv": [(*key, flow) for key, flow in i.trips.items()],
        "vehicles.csv": [
            (p.origin, p.destination, p.initial_kwh, p.min_kwh, p.max_kwh, p.final_kwh, p.outside_cost)
            for p in i.pairs
        ],
        "stations.csv": [
            (
                s.id,
                s.node,
                s.bus,
                s.rated_kva,
                s.power_factor,
                s.pile_kw,
                s.available,
                s.price_min,
                s.price_max,
                s.price_mean_max,
                None if s.owner == "leader" else s.owner,
                s.price_step,
            )
            for s in i.stations
        ],
        "tariff.csv": [
            (*key, row.price_per_kwh, row.price_min, row.price_max, row.price_mean_max)
            for key, row in i.tariff.items()
        ],
        "rival_prices.csv": [(*key, price) for key, price in i.rival_prices.items()],
        "route_set.csv": [
            (r.origin, r.destination, ">".join(r.path), ";".join(f"{s}:{number(kwh)}" for s, kwh in r.plan))
            for r in i.route_set or ()
        ],
    }


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes, and the one control character that JSON leaves as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _settings(instance: Instance) -> str:
    users, feeder = instance.users, instance.feeder
    tau = '"period"' if users.tau_money is None else number(users.tau_money)
    lines = [
        f"name = {_text(instance.name)}",
        f"currency = {_text(instance.currency)}",
        f"period_h = {number(instance.period_h)}",
        f"periods = {len(instance.periods)}",
        "",
        "[users]",
        f"kappa_per_h = {number(users.kappa_per_h)}",
        f"xi = {number(users.xi)}",
        f"tau = {tau}",
        f"initial_residual = {number(users.initial_residual)}",
        "",
        "[feeder]",
        f"base_kv = {number(feeder.base_kv)}",
        f"base_kva = {number(feeder.base_kva)}",
        f"root_bus = {_text(feeder.root_bus)}",
        f"root_voltage_pu = {number(feeder.root_voltage_pu)}",
        f"substation_kva = {number(feeder.substation_kva)}",
        f"polygon = {_text(feeder.polygon)}",
        f"voll_per_kwh = {number(feeder.voll_per_kwh)}",
        f"curtailment_per_kwh = {number(feeder.curtailment_per_kwh)}",
        "",
        "[tariff]",
        f"mode = {_text(instance.tariff_mode)}",
        "",
        "[source]",
        *(f"{_text(key)} = {_text(value)}" for key, value in instance.source.items()),
    ]
    return "\n".join(lines) + "\n"
