"""The command that makes an instance folder from people's own networks: new."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mpec.commands.common import EXIT_DONE, UsageError, print_json
from mpec.commands.new_options import TABLES

if TYPE_CHECKING:
    from mpec.importing.city import City
    from mpec.importing.request import Request


def new(arguments: argparse.Namespace) -> int:
    """Write DIR, or nothing: exit 2 with all that is wrong or still missing."""
    from mpec.importing.folder import check_new, write_folder

    folder: Path = arguments.folder
    if arguments.template:
        return _template(arguments, folder)
    lacking = [f"--{name}" for name in ("roads", "feeder") if getattr(arguments, name) is None]
    if lacking:
        raise UsageError(
            f"mpec new: {' and '.join(lacking)} is needed.\n"
            "  Give both, or --template to get the tables that are to be filled in."
        )
    check_new(folder)
    from mpec.importing.city import new_city

    city = new_city(_request(arguments, folder))
    write_folder(folder, city.files)
    _report(arguments, folder, city)
    return EXIT_DONE


def _template(arguments: argparse.Namespace, folder: Path) -> int:
    from mpec.importing.templates import write_templates

    names = write_templates(folder)
    if arguments.json:
        print_json({"command": "new", "out": str(folder), "templates": names})
    else:
        print(f"Templates to fill in are in {folder}: {', '.join(names)}.")
    return EXIT_DONE


def _request(arguments: argparse.Namespace, folder: Path) -> Request:
    from mpec.importing.given_tables import SCHEMAS
    from mpec.importing.request import Request
    from mpec.importing.units import HOURS, LENGTHS_KM

    tables: dict[str, Path] = {}
    if arguments.data is not None:
        if not arguments.data.is_dir():
            raise UsageError(f"{arguments.data} is not a folder.\n  Give the folder of the tables (--data).")
        tables = {name: p for name in SCHEMAS if (p := arguments.data / f"{name}.csv").is_file()}
    tables |= {name: getattr(arguments, name) for name in TABLES if getattr(arguments, name) is not None}
    return Request(
        name=arguments.name or folder.resolve().name,
        roads=arguments.roads,
        feeder=arguments.feeder,
        trips=arguments.trips,
        coordinates=arguments.nodes,
        tables=tables,
        stations_at=arguments.stations_at or (),
        hours=HOURS.get(arguments.time_unit or ""),
        km=LENGTHS_KM.get(arguments.length_unit or ""),
        traffic_scale=arguments.traffic_scale,
        lane_capacity=arguments.lane_capacity,
        kwh_per_km=arguments.energy_per_km,
        pairs=arguments.pairs,
        trips_share=arguments.trips_share,
        trips_per=arguments.trips_per,
        background=arguments.background,
        station_kva=arguments.station_kva,
        power_factor=arguments.power_factor,
        pile_kw=arguments.pile_kw,
        price_box=arguments.price_box,
        vehicle=arguments.vehicle,
        substation_kva=arguments.substation_kva,
        line_rating=arguments.line_rating,
        root_voltage=arguments.root_voltage,
        voltage_limits=arguments.voltage_limits,
        currency=arguments.currency,
        kappa=arguments.kappa,
        xi=arguments.xi,
        voll=arguments.voll,
        curtailment=arguments.curtailment,
        tariff=arguments.tariff,
        assume=arguments.assume,
    )


def _report(arguments: argparse.Namespace, folder: Path, city: City) -> None:
    game = city.instance
    energy = sum(game.trips.values())
    sizes = {
        "periods": len(game.periods),
        "buses": len(game.buses),
        "nodes": len(game.nodes),
        "roads": len(game.roads),
        "stations": len(game.stations),
        "pairs": len(game.pairs),
        "vehicles": energy * game.period_h,
    }
    if arguments.json:
        said = {"assumed": list(city.assumptions), "notes": list(city.notes), "source": dict(game.source)}
        print_json({"command": "new", "out": str(folder), **sizes, **said})
        return
    print(f"{folder}: " + ", ".join(f"{value:,.10g} {name}" for name, value in sizes.items()) + ".")
    for text in city.assumptions:
        print(f"  {text}")
    for text in city.notes:
        print(f"  note: {text}")
    print(f"All of this is in [source] of {folder / 'instance.toml'}. Go on with: mpec show {folder}")
