"""From a folder (or a bundled name) to an :class:`Instance`, or an error that lists all problems."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from instances.errors import InstanceError, Problem
from instances.model import (
    Bus,
    DeclaredRoute,
    Instance,
    Line,
    Node,
    Pair,
    Period,
    Road,
    Scenario,
    Station,
    TariffRow,
    WindFarm,
)
from instances.rival_checks import is_rival
from instances.route_checks import OUTSIDE, split_path, split_plan
from instances.schema import FILES, SETTINGS_FILE, TABLES
from instances.settings import Settings, read_settings
from instances.tables import Row, Table, read_table
from instances.validation import check

DATA = Path(__file__).parent / "data"
LARGEST_FILE_BYTES = 64 * 1024 * 1024
"""A larger file is refused unread: no city of the size this project can solve needs it."""


def bundled_names() -> list[str]:
    """The names of the instances that come with the package, in alphabetical order."""
    return sorted(folder.name for folder in DATA.iterdir() if (folder / SETTINGS_FILE).is_file())


def load(name_or_path: str | os.PathLike[str]) -> Instance:
    """Read an instance: a bundled name, or a folder (``./name`` where both exist).

    Raises InstanceError with every problem of the instance; nothing is read from elsewhere.
    """
    if isinstance(name_or_path, str) and name_or_path in bundled_names():
        return parse(_folder_files(DATA / name_or_path, name_or_path), name_or_path)
    shown = os.fspath(name_or_path)
    bundled = (
        f"Give a folder with {SETTINGS_FILE}, or one of the bundled names: {', '.join(bundled_names())}."
    )
    try:
        folder = Path(name_or_path)
        if not folder.is_dir():
            what = (
                "is a file, not a folder." if folder.exists() else "is neither a folder nor a bundled name."
            )
            raise InstanceError([Problem("", None, None, shown, what, bundled)])
    except (OSError, ValueError) as error:
        if isinstance(error, InstanceError):
            raise
        raise InstanceError([Problem("", None, None, shown, "is not a possible path.", bundled)]) from error
    name = folder.resolve().name
    return parse(_folder_files(folder, name), name)


def _folder_files(folder: Path, name: str) -> dict[str, bytes]:
    """The bytes of the folder's files; raises InstanceError for what is not a plain, readable file."""
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    for file in FILES:
        try:
            data, message, cure = _read_file(folder / file)
        except OSError as error:
            reason = (error.strerror or "error").lower()
            data, message, cure = None, f"the file can't be read ({reason}).", "Make it readable."
        if message:
            problems.append(Problem(file, None, None, None, message, cure))
        elif data is not None:
            files[file] = data
    if problems:
        raise InstanceError(problems, name)
    return files


def _read_file(path: Path) -> tuple[bytes | None, str, str]:
    """(bytes, "", "") of a plain file, (None, "", "") if it is absent, else what is wrong and the cure."""
    try:
        kind = os.stat(path)
    except FileNotFoundError:
        if path.is_symlink():
            return None, "the file is a link to nowhere.", "Put the file itself there."
        return None, "", ""
    # opening a pipe or a device would wait or read for ever
    if not stat.S_ISREG(kind.st_mode):
        return None, "is not a plain file.", "Put a text file there."
    if kind.st_size > LARGEST_FILE_BYTES:
        size = kind.st_size / 1024 / 1024
        limit = LARGEST_FILE_BYTES // 1024 // 1024
        return (
            None,
            f"the file has {size:.0f} MiB, more than {limit} MiB.",
            "Give a smaller network or horizon.",
        )
    with open(path, "rb") as stream:
        return stream.read(LARGEST_FILE_BYTES + 1), "", ""


def parse(files: Mapping[str, bytes], name: str = "") -> Instance:
    """The instance held by the files' bytes (file name -> content).

    Raises InstanceError listing all problems; ``name`` stands before file names in messages.
    """
    problems: list[Problem] = []
    settings = read_settings(files.get(SETTINGS_FILE), problems)
    tables = {schema.file: read_table(schema, files.get(schema.file), problems) for schema in TABLES}
    check(tables, settings, problems)
    if problems or settings is None:
        order = {file: i for i, file in enumerate(FILES)}
        problems.sort(key=lambda p: (order.get(p.file, -1), p.row or 0))
        raise InstanceError(problems, name)
    return _instance(settings, tables)


def problems_of(instance: Instance) -> list[Problem]:
    """What the reader would refuse in an instance made in Python; [] if nothing."""
    from instances.writer import files_of

    try:
        parse({file: text.encode() for file, text in files_of(instance).items()}, instance.name)
    except InstanceError as error:
        return error.problems
    return []


def _instance(settings: Settings, tables: Mapping[str, Table]) -> Instance:
    """Build the records; every cell that is needed is known to be there."""
    assert settings.name is not None
    assert settings.currency is not None
    assert settings.period_h is not None
    assert settings.users is not None
    assert settings.feeder is not None
    assert settings.tariff_mode is not None
    rows = {file: table.rows for file, table in tables.items()}
    posted = {(_t(r, "station"), _p(r)): _v(r, "price") for r in rows["rival_prices.csv"]}
    return Instance(
        name=settings.name,
        currency=settings.currency,
        period_h=settings.period_h,
        users=settings.users,
        feeder=settings.feeder,
        tariff_mode=settings.tariff_mode,
        buses=tuple(
            Bus(_t(r, "bus"), _v(r, "load_kw"), _v(r, "load_kvar"), _v(r, "vmin_pu"), _v(r, "vmax_pu"))
            for r in rows["buses.csv"]
        ),
        lines=tuple(_line(r) for r in rows["lines.csv"]),
        wind_farms=tuple(
            WindFarm(_t(r, "farm"), _t(r, "bus"), _v(r, "power_factor")) for r in rows["wind_farms.csv"]
        ),
        scenarios=tuple(Scenario(_t(r, "scenario"), _v(r, "probability")) for r in rows["scenarios.csv"]),
        periods=tuple(
            sorted(
                (
                    Period(_p(r), _v(r, "load_factor"), _v(r, "import_price_per_kwh"))
                    for r in rows["periods.csv"]
                ),
                key=lambda period: period.id,
            )
        ),
        nodes=_nodes(tables["nodes.csv"], rows["roads.csv"]),
        roads=tuple(_road(r) for r in rows["roads.csv"]),
        pairs=tuple(_pair(r) for r in rows["vehicles.csv"]),
        stations=tuple(_station(r, posted) for r in rows["stations.csv"]),
        trips={(_t(r, "origin"), _t(r, "destination"), _p(r)): _v(r, "veh_per_h") for r in rows["trips.csv"]},
        wind={(_t(r, "scenario"), _p(r), _t(r, "farm")): _v(r, "available_kw") for r in rows["wind.csv"]},
        tariff={(_t(r, "station"), _p(r)): _tariff_row(r) for r in rows["tariff.csv"]},
        route_set=_route_set(tables["route_set.csv"]),
        rival_prices=posted,
        source=settings.source,
    )


def _t(row: Row, column: str) -> str:
    value = row.text(column)
    assert value is not None, (row.number, column)
    return value


def _v(row: Row, column: str) -> float:
    value = row.value(column)
    assert value is not None, (row.number, column)
    return value


def _p(row: Row) -> int:
    value = row.period()
    assert value is not None, row.number
    return value


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _line(row: Row) -> Line:
    rating = _or(row.value("rating_kva"), math.inf)
    return Line(
        _t(row, "line"), _t(row, "from_bus"), _t(row, "to_bus"), _v(row, "r_ohm"), _v(row, "x_ohm"), rating
    )


def _nodes(table: Table, roads: list[Row]) -> tuple[Node, ...]:
    if table.present:
        return tuple(
            Node(_t(r, "node"), _v(r, "x"), _v(r, "y"), r.flag("through") is not False) for r in table.rows
        )
    names = dict.fromkeys(name for r in roads for name in (_t(r, "from_node"), _t(r, "to_node")))
    return tuple(Node(name) for name in names)


def _road(row: Row) -> Road:
    return Road(
        id=_t(row, "road"),
        from_node=_t(row, "from_node"),
        to_node=_t(row, "to_node"),
        length_km=_v(row, "length_km"),
        free_flow_h=_v(row, "free_flow_h"),
        capacity_veh_per_h=_v(row, "capacity_veh_per_h"),
        energy_kwh=_v(row, "energy_kwh"),
        bpr_alpha=_or(row.value("bpr_alpha"), 0.15),
        bpr_beta=_or(row.value("bpr_beta"), 4.0),
        background_veh_per_h=_or(row.value("background_veh_per_h"), 0.0),
    )


def _pair(row: Row) -> Pair:
    return Pair(
        origin=_t(row, "origin"),
        destination=_t(row, "destination"),
        initial_kwh=_v(row, "initial_kwh"),
        min_kwh=_v(row, "min_kwh"),
        max_kwh=_v(row, "max_kwh"),
        final_kwh=_v(row, "final_kwh"),
        outside_cost=row.value("outside_cost"),
    )


def _station(row: Row, posted: Mapping[tuple[str, int], float]) -> Station:
    name = _t(row, "station")
    # a rival's box may be left blank: it is what its posted prices span
    prices = [price for (station, _), price in posted.items() if station == name]
    return Station(
        id=name,
        node=_t(row, "node"),
        bus=_t(row, "bus"),
        rated_kva=_v(row, "rated_kva"),
        power_factor=_v(row, "power_factor"),
        pile_kw=_v(row, "pile_kw"),
        available=row.flag("available") is True,
        price_min=_or(row.value("price_min"), min(prices, default=0.0)),
        price_max=_or(row.value("price_max"), max(prices, default=0.0)),
        price_mean_max=row.value("price_mean_max"),
        owner="rival" if is_rival(row) else "leader",
        price_step=row.value("price_step"),
    )


def _tariff_row(row: Row) -> TariffRow:
    return TariffRow(*(row.value(c) for c in ("price_per_kwh", "price_min", "price_max", "price_mean_max")))


def _route_set(table: Table) -> tuple[DeclaredRoute, ...] | None:
    if not table.present:
        return None
    routes = []
    for row in table.rows:
        # the outside route follows from outside_cost; a row may name it, but adds nothing
        if _t(row, "path") == OUTSIDE:
            continue
        plan = split_plan(row.text("plan") or "") or []
        routes.append(
            DeclaredRoute(
                _t(row, "origin"),
                _t(row, "destination"),
                split_path(_t(row, "path")),
                tuple((station, float(kwh)) for station, kwh in plan),
            )
        )
    return tuple(routes)
