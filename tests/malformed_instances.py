"""Malformed instances: each is one change to a good one, with what its refusal must say."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from instances import files_of, load

Files = dict[str, bytes]
Change = Callable[[Files], None]


@dataclass(frozen=True)
class Expected:
    """What some problem of the refusal must say; None means that it must be None, "" that any will do."""

    file: str
    row: int | str | None
    column: str | None
    says: str


def good_files() -> Files:
    return dict(_good_files())


@cache
def _good_files() -> Files:
    """Two periods of the bundled city, with its wind, tariff, nodes and a declared route set."""
    files = {
        name: text.encode() for name, text in files_of(load("ieee33-road16").select(periods=(8, 9))).items()
    }
    rows = ["origin,destination,path,plan"]
    # enough of a route set: one route per pair, charged in one or two stops
    for origin, destination, path, plan in (
        ("1", "12", "1-5>5-9>9-10>10-11>11-12", "C:18.9"),
        ("5", "16", "5-9>9-13>13-14>14-15>15-16", "D:17"),
        ("9", "4", "9-10>10-6>6-7>7-8>8-4", "F:19"),
        ("13", "8", "13-14>14-15>15-16>16-12>12-8", "D:17"),
        ("12", "1", "12-8>8-4>4-3>3-2>2-1", "A:17"),
        ("16", "5", "16-15>15-14>14-13>13-9>9-5", "D:17"),
        ("4", "9", "4-8>8-7>7-6>6-5>5-9", "B:10;E:7"),
        ("8", "13", "8-12>12-16>16-15>15-14>14-13", "D:17"),
    ):
        rows.append(f"{origin},{destination},{path},{plan}")
    files["route_set.csv"] = ("\n".join(rows) + "\n").encode()
    return files


def table(files: Files, file: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(files[file].decode())))


def put(files: Files, file: str, rows: list[list[str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    files[file] = stream.getvalue().encode()


def cell(file: str, row: int, column: str, value: str) -> Change:
    """``row`` is the line of the file, the header is 1."""

    def change(files: Files) -> None:
        rows = table(files, file)
        rows[row - 1][rows[0].index(column)] = value
        put(files, file, rows)

    return change


def cells(*changes: Change) -> Change:
    def change(files: Files) -> None:
        for one in changes:
            one(files)

    return change


def add(file: str, *values: str) -> Change:
    def change(files: Files) -> None:
        put(files, file, [*table(files, file), list(values)])

    return change


def drop_row(file: str, row: int) -> Change:
    def change(files: Files) -> None:
        rows = table(files, file)
        del rows[row - 1]
        put(files, file, rows)

    return change


def rename(file: str, column: str, name: str) -> Change:
    def change(files: Files) -> None:
        rows = table(files, file)
        rows[0][rows[0].index(column)] = name
        put(files, file, rows)

    return change


def drop_column(file: str, column: str) -> Change:
    def change(files: Files) -> None:
        rows = table(files, file)
        at = rows[0].index(column)
        put(files, file, [row[:at] + row[at + 1 :] for row in rows])

    return change


def content(file: str, data: bytes) -> Change:
    return lambda files: files.__setitem__(file, data)


def missing(file: str) -> Change:
    return lambda files: files.__delitem__(file)


def swap(file: str, old: str, new: str) -> Change:
    def change(files: Files) -> None:
        assert old.encode() in files[file], (file, old)
        files[file] = files[file].replace(old.encode(), new.encode(), 1)

    return change


def bad(file: str, row: int, column: str, value: str, says: str) -> tuple[Change, Expected]:
    """One cell spoiled, and refused at that very place."""
    return cell(file, row, column, value), Expected(file, row, column, says)


def header_only(file: str) -> Change:
    return lambda files: files.__setitem__(file, files[file].split(b"\n")[0] + b"\n")


def new_column(name: str, *values: str) -> Change:
    """A further column of stations.csv; rows without a value are blank."""

    def change(files: Files) -> None:
        rows = table(files, "stations.csv")
        given = [*values, *[""] * (len(rows) - 1 - len(values))]
        put(files, "stations.csv", [[*row, v] for row, v in zip(rows, [name, *given], strict=True)])

    return change


def owners(*values: str) -> Change:
    return new_column("owner", *values)


def steps(*values: str) -> Change:
    return new_column("price_step", *values)


def posted(*rows: str) -> Change:
    return content("rival_prices.csv", "\n".join(["station,period,price", *rows, ""]).encode())


TOML = "instance.toml"
CASES: dict[str, tuple[Change, Expected]] = {
    # files
    **{
        f"no {file}": (missing(file), Expected(file, None, None, "missing"))
        for file in (
            TOML,
            "buses.csv",
            "lines.csv",
            "scenarios.csv",
            "periods.csv",
            "roads.csv",
            "trips.csv",
            "vehicles.csv",
            "stations.csv",
        )
    },
    "no wind.csv": (missing("wind.csv"), Expected("wind.csv", None, "available_kw", "rows are missing")),
    "empty file": (content("roads.csv", b""), Expected("roads.csv", None, None, "empty")),
    "blank lines only": (content("roads.csv", b"\n \n\n"), Expected("roads.csv", None, None, "empty")),
    "empty toml": (content(TOML, b""), Expected(TOML, None, "name", "missing")),
    "header only": (header_only("roads.csv"), Expected("roads.csv", None, None, "no row")),
    "no bus": (header_only("buses.csv"), Expected("buses.csv", None, None, "no row")),
    "binary": (content("buses.csv", bytes(range(256))), Expected("buses.csv", None, None, "not text")),
    "picture": (
        content("trips.csv", b"\x89PNG\r\n\x1a\n\xff\xd8"),
        Expected("trips.csv", None, None, "UTF-8"),
    ),
    "binary toml": (content(TOML, b"\xff\xfe\x00"), Expected(TOML, None, None, "UTF-16")),
    "latin-1": (
        swap("stations.csv", "A,2", "\xc4,2"),
        Expected("stations.csv", "", "", ""),
    ),
    "utf-16": (
        lambda f: f.update({"nodes.csv": f["nodes.csv"].decode().encode("utf-16")}),
        Expected("nodes.csv", None, None, "UTF-16"),
    ),
    "semicolons": (
        lambda f: f.update({"buses.csv": f["buses.csv"].replace(b",", b";")}),
        Expected("buses.csv", 1, None, "semicolons"),
    ),
    "tabs": (
        lambda f: f.update({"buses.csv": f["buses.csv"].replace(b",", b"\t")}),
        Expected("buses.csv", 1, None, "tabs"),
    ),
    "html": (
        content("roads.csv", b"<html><body>404 Not Found</body></html>\n"),
        Expected("roads.csv", 1, None, "none of the columns"),
    ),
    "open quotation mark": (
        swap("nodes.csv", "1,0,15.5", '"1,0,15.5'),
        Expected("nodes.csv", 2, None, "CSV"),
    ),
    "huge field": (
        cell("buses.csv", 3, "bus", "x" * 200_000),
        Expected("buses.csv", 3, None, "CSV"),
    ),
    "not toml": (content(TOML, b"name: ieee33\n"), Expected(TOML, None, None, "not TOML")),
    "toml key twice": (swap(TOML, "xi = ", "xi = 0.1\nxi = "), Expected(TOML, None, None, "not TOML")),
    # headers
    "column missing": (drop_column("lines.csv", "r_ohm"), Expected("lines.csv", 1, "r_ohm", "missing")),
    "column misspelt": (
        rename("lines.csv", "rating_kva", "rating_kVA"),
        Expected("lines.csv", 1, None, "not a column"),
    ),
    "optional column misspelt": (
        rename("stations.csv", "price_mean_max", "price_mean_maxx"),
        Expected("stations.csv", 1, None, "not a column"),
    ),
    "column twice": (
        rename("buses.csv", "load_kvar", "load_kw"),
        Expected("buses.csv", 1, "load_kw", "more than"),
    ),
    "no header": (
        lambda f: f.update({"buses.csv": f["buses.csv"].split(b"\n", 1)[1]}),
        Expected("buses.csv", 1, None, "none of the columns"),
    ),
    "short row": (
        swap("buses.csv", "2,100,60,0.95,1.05", "2,100,60,0.95"),
        Expected("buses.csv", 3, None, "4 fields"),
    ),
    "decimal comma": (
        swap("buses.csv", "2,100,60,0.95,1.05", "2,100,60,0,95,1,05"),
        Expected("buses.csv", 3, None, "7 fields"),
    ),
    # cells
    "text in a number": bad("lines.csv", 4, "r_ohm", "low", "not a number"),
    "NaN": bad("buses.csv", 5, "load_kw", "nan", "finite"),
    "infinity": bad("roads.csv", 5, "capacity_veh_per_h", "inf", "finite"),
    "overflow": bad("roads.csv", 5, "length_km", "1e400", "finite"),
    "beyond any city": bad("roads.csv", 5, "length_km", "1e300", "1e+15"),
    "underscore": bad("buses.csv", 5, "load_kw", "1_000", "not a number"),
    "hexadecimal": bad("buses.csv", 5, "load_kw", "0x10", "not a number"),
    "other digits": bad("buses.csv", 5, "load_kw", "٣٤", "not a number"),
    "thousands": bad("buses.csv", 5, "load_kw", "1,000", "not a number"),
    "unit in a cell": bad("buses.csv", 5, "load_kw", "90 kW", "not a number"),
    "blank number": bad("buses.csv", 5, "load_kw", "", "blank"),
    "blank id": bad("buses.csv", 5, "bus", "  ", "blank"),
    "negative length": bad("roads.csv", 5, "length_km", "-1", "negative"),
    "negative time": bad("roads.csv", 5, "free_flow_h", "-0.1", "negative"),
    "negative demand": bad("trips.csv", 5, "veh_per_h", "-1", "negative"),
    "negative wind": bad("wind.csv", 5, "available_kw", "-1", "negative"),
    "negative load": bad("buses.csv", 5, "load_kw", "-90", "negative"),
    "negative resistance": bad("lines.csv", 5, "r_ohm", "-1", "negative"),
    "negative energy": bad("roads.csv", 5, "energy_kwh", "-1", "negative"),
    "negative price": bad("stations.csv", 2, "price_min", "-1", "negative"),
    "negative load factor": bad("periods.csv", 2, "load_factor", "-1", "negative"),
    "capacity 0": bad("roads.csv", 5, "capacity_veh_per_h", "0", "above 0"),
    "capacity tiny": bad("roads.csv", 5, "capacity_veh_per_h", "1e-300", "smaller"),
    "line rating 0": bad("lines.csv", 5, "rating_kva", "0", "above 0"),
    "station rating 0": bad("stations.csv", 2, "rated_kva", "0", "above 0"),
    "pile 0": bad("stations.csv", 2, "pile_kw", "0", "above 0"),
    "power factor 0": bad("stations.csv", 2, "power_factor", "0", "above 0"),
    "power factor 1.2": bad("stations.csv", 2, "power_factor", "1.2", "above 1"),
    "farm's power factor": bad("wind_farms.csv", 2, "power_factor", "-0.9", "above 0"),
    "bpr_beta 0.5": bad("roads.csv", 7, "bpr_beta", "0.5", "convex"),
    "bpr_beta huge": bad("roads.csv", 7, "bpr_beta", "1000", "above 100"),
    "bpr_alpha negative": bad("roads.csv", 7, "bpr_alpha", "-0.15", "negative"),
    "background negative": bad("roads.csv", 7, "background_veh_per_h", "-9", "negative"),
    "flag in words": bad("stations.csv", 3, "available", "yes", "0 nor 1"),
    "flag 2": bad("nodes.csv", 3, "through", "2", "0 nor 1"),
    "period as a float": bad("trips.csv", 3, "period", "8.0", "integer"),
    "period huge": bad("trips.csv", 3, "period", "9" * 5000, "integer"),
    "id with a newline": bad("nodes.csv", 3, "node", "a\nb", "control"),
    "id with an escape": bad("nodes.csv", 3, "node", "\x1b[31m", "control"),
    "id too long": bad("nodes.csv", 3, "node", "n" * 101, "longer"),
    "road id with >": bad("roads.csv", 3, "road", "a>b", "'>'"),
    "station id with :": bad("stations.csv", 3, "station", "a:b", "':'"),
    "road called outside": bad("roads.csv", 3, "road", "outside", "reserved"),
    # keys
    "bus twice": bad("buses.csv", 5, "bus", "2", "twice"),
    "line twice": bad("lines.csv", 5, "line", "1-2", "twice"),
    "station twice": bad("stations.csv", 3, "station", "A", "twice"),
    "station twice but for blanks": bad("stations.csv", 3, "station", " A ", "twice"),
    "trip twice": (add("trips.csv", "1", "12", "8", "3"), Expected("trips.csv", 18, None, "twice")),
    "vehicle twice": (
        add("vehicles.csv", "1", "12", "9", "5", "40", "22", ""),
        Expected("vehicles.csv", 10, None, "twice"),
    ),
    "scenario twice": bad("scenarios.csv", 3, "scenario", "low", "twice"),
    "route twice": (
        add("route_set.csv", "5", "16", "5-9>9-13>13-14>14-15>15-16", "D:17"),
        Expected("route_set.csv", 10, None, "twice"),
    ),
    # references
    "station at an unknown bus": bad("stations.csv", 4, "bus", "99", "1 ... 33"),
    "station at an unknown node": bad("stations.csv", 4, "node", "99", "not a node"),
    "farm at an unknown bus": bad("wind_farms.csv", 2, "bus", "B7", "not a bus"),
    "line to an unknown bus": bad("lines.csv", 4, "to_bus", "4.0", "not a bus"),
    "road to an unknown node": bad("roads.csv", 4, "to_node", "Z", "nodes.csv"),
    "unknown root": (
        swap(TOML, 'root_bus = "1"', "root_bus = 77"),
        Expected(TOML, None, "feeder.root_bus", "not a bus"),
    ),
    "trip from an unknown node": bad("trips.csv", 2, "origin", "77", "not a node"),
    "trip without a vehicle": bad("trips.csv", 2, "origin", "2", "vehicles.csv"),
    "trip out of range": bad("trips.csv", 2, "period", "25", "8 ... 9"),
    "period 0": bad("trips.csv", 2, "period", "0", "8 ... 9"),
    "wind out of range": bad("wind.csv", 2, "period", "-8", "8 ... 9"),
    "wind of an unknown farm": bad("wind.csv", 2, "farm", "W9", "not a farm"),
    "wind of an unknown scenario": bad("wind.csv", 2, "scenario", "calm", "not a scenario"),
    "wind row missing": (drop_row("wind.csv", 4), Expected("wind.csv", None, "available_kw", "1 row")),
    "tariff of an unknown station": bad("tariff.csv", 2, "station", "Z", "not a station"),
    "tariff out of range": bad("tariff.csv", 2, "period", "1", "8 ... 9"),
    "trip to its origin": (
        cells(cell("vehicles.csv", 2, "destination", "1")),
        Expected("vehicles.csv", 2, "destination", "origin"),
    ),
    "road to its start": bad("roads.csv", 4, "to_node", "2", "starts"),
    # periods and scenarios
    "gap in the periods": (
        cell("periods.csv", 3, "period", "10"),
        Expected("periods.csv", None, "period", "9 is missing"),
    ),
    "periods miscounted": (
        swap(TOML, "periods = 2", "periods = 24"),
        Expected(TOML, None, "periods", "periods.csv (2)"),
    ),
    "no periods": (swap(TOML, "periods = 2", "periods = 0"), Expected(TOML, None, "periods", "whole number")),
    "probabilities below 1": (
        cell("scenarios.csv", 2, "probability", "0.2"),
        Expected("scenarios.csv", None, "probability", "add up to 0.9"),
    ),
    "probability 0": bad("scenarios.csv", 2, "probability", "0", "above 0"),
    "probability 1.3": bad("scenarios.csv", 2, "probability", "1.3", "above 1"),
    # feeder
    "tie lines closed": (
        cells(
            add("lines.csv", "T1", "21", "8", "2", "2", ""),
            add("lines.csv", "T2", "18", "33", "0.5", "0.5", ""),
        ),
        Expected("lines.csv", None, None, "close a loop"),
    ),
    "parallel lines": (
        add("lines.csv", "T", "2", "3", "1", "1", ""),
        Expected("lines.csv", None, None, "2-3, T close a loop"),
    ),
    "bus cut off": (drop_row("lines.csv", 18), Expected("buses.csv", 19, "bus", "not connected")),
    "feeder in two parts": (drop_row("lines.csv", 7), Expected("buses.csv", 8, "bus", "second root")),
    "two roots": (
        swap(TOML, 'root_bus = "1"', 'root_bus = ["1", "18"]'),
        Expected(TOML, None, "feeder.root_bus", "not a text"),
    ),
    "line to itself": bad("lines.csv", 4, "to_bus", "3", "starts"),
    "no line": (header_only("lines.csv"), Expected("buses.csv", 3, "bus", "not connected")),
    "root voltage too high": (
        swap(TOML, "root_voltage_pu = 1.04", "root_voltage_pu = 1.1"),
        Expected("buses.csv", 2, "vmax_pu", "1.1 p.u."),
    ),
    "root voltage too low": bad("buses.csv", 9, "vmin_pu", "1.045", "root voltage"),
    "limits the wrong way round": bad("buses.csv", 9, "vmin_pu", "1.06", "above vmax_pu"),
    "kvar without kW": (
        cell("buses.csv", 9, "load_kw", "0"),
        Expected("buses.csv", 9, "load_kvar", "without kW"),
    ),
    "base voltage 0": (
        swap(TOML, "base_kv = 12.66", "base_kv = 0"),
        Expected(TOML, None, "feeder.base_kv", "above 0"),
    ),
    "unknown polygon": (
        swap(TOML, '"outer"', '"round"'),
        Expected(TOML, None, "feeder.polygon", "not known"),
    ),
    # users and prices
    "kappa negative": (
        swap(TOML, "kappa_per_h = 100", "kappa_per_h = -1"),
        Expected(TOML, None, "users.kappa_per_h", "negative"),
    ),
    "kappa in words": (
        swap(TOML, "kappa_per_h = 100", 'kappa_per_h = "100"'),
        Expected(TOML, None, "users.kappa_per_h", "not a number"),
    ),
    "kappa true": (
        swap(TOML, "kappa_per_h = 100", "kappa_per_h = true"),
        Expected(TOML, None, "users.kappa_per_h", "not a number"),
    ),
    "xi nan": (swap(TOML, "xi = 0.5", "xi = nan"), Expected(TOML, None, "users.xi", "finite")),
    "xi huge integer": (
        swap(TOML, "xi = 0.5", "xi = 1" + "0" * 400),
        Expected(TOML, None, "users.xi", "large"),
    ),
    "xi missing": (swap(TOML, "xi = 0.5", ""), Expected(TOML, None, "users.xi", "missing")),
    "tau in words": (
        swap(TOML, 'tau = "period"', 'tau = "hour"'),
        Expected(TOML, None, "users.tau", "not known"),
    ),
    "tau 0": (swap(TOML, 'tau = "period"', "tau = 0"), Expected(TOML, None, "users.tau", "above 0")),
    "period of no length": (
        swap(TOML, "period_h = 1", "period_h = 0"),
        Expected(TOML, None, "period_h", "above 0"),
    ),
    "unknown tariff mode": (
        swap(TOML, 'mode = "dlmp"', 'mode = "nodal"'),
        Expected(TOML, None, "tariff.mode", "not known"),
    ),
    "unknown key": (
        swap(TOML, "xi = 0.5", "xi = 0.5\nchi = 1"),
        Expected(TOML, None, "users.chi", "not a key"),
    ),
    "section missing": (swap(TOML, "[users]", "[user]"), Expected(TOML, None, None, "[users] is missing")),
    "name is a path": (
        swap(TOML, 'name = "ieee33-road16"', 'name = "../../etc"'),
        Expected(TOML, None, "name", "folder"),
    ),
    "name is a number": (
        swap(TOML, 'name = "ieee33-road16"', "name = 33"),
        Expected(TOML, None, "name", "not a text"),
    ),
    "source is no text": (
        swap(TOML, "[source]", "[source]\nyear = 1989"),
        Expected(TOML, None, "source.year", "not a text"),
    ),
    "price_min above price_max": bad("stations.csv", 2, "price_min", "9", "above price_max"),
    "mean cap below price_min": bad("stations.csv", 2, "price_mean_max", "0.1", "no price is allowed"),
    # owners, posted prices, steps
    "unknown owner": (owners("leader", "me"), Expected("stations.csv", 3, "owner", "no owner")),
    "every station a rival's": (
        cells(owners(*["rival"] * 6), drop_column("stations.csv", "price_mean_max")),
        Expected("stations.csv", None, "owner", "every station is a rival's"),
    ),
    "rival without posted prices": (
        owners("leader", "rival"),
        Expected("rival_prices.csv", None, "price", "the file is missing; 2 posted prices"),
    ),
    "rival without one posted price": (
        cells(owners("leader", "rival"), posted("B,8,1.0")),
        Expected("rival_prices.csv", None, "price", "'B', period 9"),
    ),
    "posted price of the leader": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,1.0", "A,8,1.0")),
        Expected("rival_prices.csv", 4, "station", "not a rival's"),
    ),
    "posted price without any rival": (
        posted("A,8,1.0"),
        Expected("rival_prices.csv", 2, "station", "not a rival's"),
    ),
    "posted price at an unknown station": (
        posted("Z,8,1.0"),
        Expected("rival_prices.csv", 2, "station", "not a station"),
    ),
    "posted price in an unknown period": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,1.0", "B,10,1.0")),
        Expected("rival_prices.csv", 4, "period", "not a period"),
    ),
    "posted price twice": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,1.0", "B,8,1.1")),
        Expected("rival_prices.csv", 4, None, "twice"),
    ),
    "posted price blank": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,")),
        Expected("rival_prices.csv", 3, "price", "blank"),
    ),
    "posted price negative": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,-1")),
        Expected("rival_prices.csv", 3, "price", "negative"),
    ),
    "posted price in words": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,cheap")),
        Expected("rival_prices.csv", 3, "price", "not a number"),
    ),
    "posted price outside the rival's box": (
        cells(
            owners("leader", "rival"),
            posted("B,8,1.0", "B,9,2.5"),
            cell("stations.csv", 3, "price_mean_max", ""),
        ),
        Expected("rival_prices.csv", 3, "price", "outside the price box"),
    ),
    "rival with a mean cap": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,1.0")),
        Expected("stations.csv", 3, "price_mean_max", "rival's station"),
    ),
    "rival with a step": (
        cells(owners("leader", "rival"), posted("B,8,1.0", "B,9,1.0"), steps("", "0.1")),
        Expected("stations.csv", 3, "price_step", "rival's station"),
    ),
    "leader without a box": (
        cell("stations.csv", 2, "price_min", ""),
        Expected("stations.csv", 2, "price_min", "blank"),
    ),
    "step of 0": (steps("0"), Expected("stations.csv", 2, "price_step", "not above 0")),
    "step in words": (steps("coarse"), Expected("stations.csv", 2, "price_step", "not a number")),
    "step without a price in the box": (
        steps("3"),
        Expected("stations.csv", 2, "price_step", "no multiple in the price box"),
    ),
    "step without a price under the cap": (
        steps("1.3"),
        Expected("stations.csv", 2, "price_step", "the mean cap"),
    ),
    "start below the minimum": bad("vehicles.csv", 2, "initial_kwh", "1", "below min_kwh"),
    "start above the maximum": bad("vehicles.csv", 2, "initial_kwh", "99", "above max_kwh"),
    "end above the maximum": bad("vehicles.csv", 2, "final_kwh", "99", "above max_kwh"),
    "minimum above the maximum": bad("vehicles.csv", 2, "min_kwh", "99", "above max_kwh"),
    "outside cost negative": bad("vehicles.csv", 2, "outside_cost", "-1", "negative"),
    # tariff
    "fixed mode without a tariff": (
        cells(swap(TOML, 'mode = "dlmp"', 'mode = "fixed"'), missing("tariff.csv")),
        Expected("tariff.csv", None, "price_per_kwh", "12 missing"),
    ),
    "fixed mode with a blank": (
        cells(swap(TOML, 'mode = "dlmp"', 'mode = "fixed"'), cell("tariff.csv", 3, "price_per_kwh", "")),
        Expected("tariff.csv", None, "price_per_kwh", "1 missing"),
    ),
    "regulated mode without a floor": (
        cells(swap(TOML, 'mode = "dlmp"', 'mode = "regulated"'), drop_column("tariff.csv", "price_min")),
        Expected("tariff.csv", None, "price_min", "12 missing"),
    ),
    "regulated cap too low": (
        cells(*(cell("tariff.csv", row, "price_mean_max", "0.01") for row in (2, 3))),
        Expected("tariff.csv", 2, "price_mean_max", "no tariff is allowed"),
    ),
    "regulated cap changes": bad("tariff.csv", 3, "price_mean_max", "5", "differs"),
    "tariff floor above ceiling": bad("tariff.csv", 3, "price_min", "5", "above price_max"),
    # declared routes
    "route of an unknown road": bad("route_set.csv", 2, "path", "1-5>5-99", "not a road"),
    "route with a gap": bad("route_set.csv", 2, "path", "1-5>9-10>10-11>11-12", "breaks"),
    "route to elsewhere": bad("route_set.csv", 2, "path", "1-5>5-9>9-10>10-11", "goes from"),
    "route in a circle": bad("route_set.csv", 2, "path", "1-5>5-1>1-5>5-9>9-10>10-11>11-12", "twice"),
    "route through a closed node": (
        cell("nodes.csv", 6, "through", "0"),
        Expected("route_set.csv", 2, "path", "through is 0"),
    ),
    "route without a path": bad("route_set.csv", 2, "path", "", "blank"),
    "plan without an amount": bad("route_set.csv", 2, "plan", "C", "form"),
    "plan at an unknown station": bad("route_set.csv", 2, "plan", "Z:20", "not a station"),
    "plan off the path": bad("route_set.csv", 2, "plan", "A:20", "does not pass"),
    "plan in words": bad("route_set.csv", 2, "plan", "C:full", "not a number"),
    "plan with too little": bad("route_set.csv", 2, "plan", "C:5", "final_kwh"),
    "plan with too much": bad("route_set.csv", 2, "plan", "C:20", "max_kwh"),
    "plan beyond the pile": bad("route_set.csv", 2, "plan", "C:61", "pile"),
    "plan at a closed station": (
        cell("stations.csv", 4, "available", "0"),
        Expected("route_set.csv", 2, "plan", "not available"),
    ),
    "car runs dry": (
        cell("vehicles.csv", 3, "initial_kwh", "6"),
        Expected("route_set.csv", 3, "plan", "below min_kwh"),
    ),
    "route of an unknown pair": bad("route_set.csv", 2, "origin", "2", "not a pair"),
    "pair without a route": (
        drop_row("route_set.csv", 3),
        Expected("route_set.csv", None, None, "from '5' to '16'"),
    ),
    "outside without a price": bad("route_set.csv", 2, "path", "outside", "outside_cost"),
}
