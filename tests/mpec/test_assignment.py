"""Users' equilibrium of plain networks: known answers, gap to machine precision, traps of the TNTP format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mpec.assignment import Assignment, assign, assign_files
from mpec.network_files import read_network, read_trips
from mpec.road_network import RoadNetwork, trip_table
from mpec.tntp import read_tntp_network, read_tntp_trips


def case(shared_data: Path, name: str) -> dict:  # type: ignore[type-arg]
    cases = json.loads((shared_data / "traffic_cases.json").read_text())["cases"]
    return next(c for c in cases if c["id"] == name)  # type: ignore[no-any-return]


def network_of(links: list[tuple[str, str, float, float, float, float]], **other: object) -> RoadNetwork:
    """Links (tail, head, free flow, alpha, capacity, beta)."""
    nodes = tuple(dict.fromkeys(n for link in links for n in link[:2]))
    at = {n: i for i, n in enumerate(nodes)}
    table = np.array([link[2:] for link in links], float)
    values: dict[str, object] = {
        "through": np.ones(len(nodes), bool), "background": np.zeros(len(links)),
        "fixed_cost": np.zeros(len(links)), **other,
    }  # fmt: skip
    return RoadNetwork(
        nodes=nodes,
        names=tuple(f"{a}-{b}" for a, b, *_ in links),
        tail=np.array([at[link[0]] for link in links]),
        head=np.array([at[link[1]] for link in links]),
        free_flow=table[:, 0],
        alpha=table[:, 1],
        capacity=table[:, 2],
        beta=table[:, 3],
        **values,  # type: ignore[arg-type]
    )


def write_csvs(folder: Path, links: list[list[float]], od: list[list[float]]) -> tuple[Path, Path]:
    """The case's [from, to, T, b] links as roads.csv, its O-D rows as trips.csv."""
    roads, trips = folder / "roads.csv", folder / "trips.csv"
    rows = [f"{a}-{b},{a},{b},1,{time},{cap},0" for a, b, time, cap in links]
    header = "road,from_node,to_node,length_km,free_flow_h,capacity_veh_per_h,energy_kwh"
    roads.write_text("\r\n".join([header, *rows]) + "\r\n", encoding="utf-8-sig")
    trips.write_text(
        "\n".join(["origin,destination,period,veh_per_h", *[f"{a},{b},1,{w}" for a, b, w in od]])
    )
    return roads, trips


def named(answer: Assignment) -> dict[str, float]:
    return dict(zip(answer.network.names, answer.flow.tolist(), strict=True))


def assert_wardrop(answer: Assignment) -> None:
    """Conservation at every node, and the gap recomputed from road flows and O-D costs alone."""
    network, trips = answer.network, answer.trips
    balance = np.zeros(len(network.nodes))
    np.add.at(balance, network.tail, answer.flow)
    np.subtract.at(balance, network.head, answer.flow)
    np.subtract.at(balance, trips.origin, trips.flow)
    np.add.at(balance, trips.destination, trips.flow)
    assert np.abs(balance).max() <= 1e-9 * max(1.0, trips.flow.sum())
    total = float(answer.flow @ network.cost(answer.flow))
    assert answer.total_cost == pytest.approx(total, rel=1e-12)
    assert (total - trips.flow @ answer.od_cost) / total <= 1e-11


def test_braess(shared_data: Path) -> None:
    folder = shared_data / "tntp" / "Braess-Example"
    answer = assign_files(folder / "Braess_net.tntp", folder / "Braess_trips.tntp")
    expect = case(shared_data, "braess_tntp_ue")["expect"]
    assert named(answer) == pytest.approx(expect["link_flows"], rel=1e-7)
    assert answer.od_cost[0] == pytest.approx(expect["od_cost"], rel=1e-8)
    assert answer.total_cost == pytest.approx(expect["TSTT"], rel=1e-8)
    assert answer.potential == pytest.approx(expect["beckmann"], rel=1e-8)
    assert answer.relative_gap <= 1e-12
    assert_wardrop(answer)


def test_hearn9_from_csv_files(shared_data: Path, tmp_path: Path) -> None:
    data = case(shared_data, "hearn9")
    answer = assign_files(*write_csvs(tmp_path, data["links"], data["od"]))
    expect = data["expect"]
    assert answer.converged
    assert answer.total_cost == pytest.approx(expect["UE_TSTT"], rel=1e-10)
    assert answer.potential == pytest.approx(expect["UE_beckmann"], rel=1e-10)
    assert named(answer) == pytest.approx(expect["UE_flows"], abs=1e-6)
    cost = {
        f"{answer.network.nodes[o]}-{answer.network.nodes[d]}": c
        for o, d, c in zip(answer.trips.origin, answer.trips.destination, answer.od_cost, strict=True)
    }
    assert cost == pytest.approx(expect["UE_od_cost"], rel=1e-8)
    assert_wardrop(answer)


@pytest.mark.parametrize(
    ("folder", "stem", "key"),
    [
        ("SiouxFalls", "SiouxFalls", "SiouxFalls"),
        ("Eastern-Massachusetts", "EMA", "EasternMassachusetts_BPR"),
        ("Anaheim", "Anaheim", "Anaheim"),
    ],
)
def test_benchmark_networks_to_machine_precision(shared_data: Path, folder: str, stem: str, key: str) -> None:
    base = shared_data / "tntp" / folder
    answer = assign_files(base / f"{stem}_net.tntp", base / f"{stem}_trips.tntp")
    expect = case(shared_data, "tntp_best_known")["expect"][key]
    assert answer.relative_gap <= 1e-12
    assert answer.potential == pytest.approx(expect["beckmann"], rel=1e-11)
    assert answer.total_cost == pytest.approx(expect["TSTT"], rel=1e-9)
    assert_wardrop(answer)


def test_published_flows_of_sioux_falls(shared_data: Path) -> None:
    base = shared_data / "tntp" / "SiouxFalls"
    answer = assign_files(base / "SiouxFalls_net.tntp", base / "SiouxFalls_trips.tntp")
    lines = (base / "SiouxFalls_flow.tntp").read_text().split("\n")[1:]
    published = {f"{r[0]}-{r[1]}": float(r[2]) for r in (line.split() for line in lines) if len(r) >= 3}
    assert named(answer) == pytest.approx(published, rel=1e-9)


def test_zones_below_first_thru_node_are_not_driven_through() -> None:
    """a -> z -> b would be shorter, but z is a zone; a trip may still end or start there."""
    links = [("a", "z", 1.0, 0.0, 1.0, 0.0), ("z", "b", 1.0, 0.0, 1.0, 0.0), ("a", "b", 5.0, 0.0, 1.0, 0.0)]
    free = network_of(links)
    at = {n: i for i, n in enumerate(free.nodes)}
    trips = trip_table(*(np.array(v) for v in ([at["a"]], [at["b"]], [7.0])))
    assert named(assign(free, trips)) == {"a-z": 7.0, "z-b": 7.0, "a-b": 0.0}
    through = np.ones(3, bool)
    through[at["z"]] = False
    closed = network_of(links, through=through)
    both = trip_table(
        *(np.array(v) for v in ([at["a"], at["a"], at["z"]], [at["b"], at["z"], at["b"]], [7, 2, 3]))
    )
    assert named(assign(closed, both)) == {"a-z": 2.0, "z-b": 3.0, "a-b": 7.0}


def test_parallel_roads_level_their_cost() -> None:
    """Costs 1 + x and 2 + x with 5 vehicles: 3 and 2."""
    network = network_of([("a", "b", 1.0, 1.0, 1.0, 1.0), ("a", "b", 2.0, 1.0, 2.0, 1.0)])
    answer = assign(network, trip_table(np.array([0]), np.array([1]), np.array([5.0])))
    np.testing.assert_allclose(answer.flow, [3.0, 2.0], rtol=1e-12)
    assert answer.od_cost[0] == pytest.approx(4.0)


def test_constant_roads_zero_times_and_small_powers() -> None:
    """Power 0 costs t0 (1 + b); power 0.5 is levelled too: 1 + sqrt(x) = 3 at x = 4; a free way costs 0."""
    network = network_of([("a", "b", 1.0, 1.0, 1.0, 0.5), ("a", "b", 1.5, 1.0, 1.0, 0.0)])
    answer = assign(network, trip_table(np.array([0]), np.array([1]), np.array([10.0])))
    np.testing.assert_allclose(answer.flow, [4.0, 6.0], rtol=1e-9)
    free = network_of(
        [("a", "b", 0.0, 0.0, 1.0, 4.0), ("b", "c", 0.0, 0.0, 1.0, 4.0), ("a", "c", 1.0, 0.0, 1.0, 4.0)]
    )
    nothing = assign(free, trip_table(np.array([0]), np.array([2]), np.array([10.0])))
    np.testing.assert_allclose(nothing.flow, [10.0, 10.0, 0.0])
    assert nothing.relative_gap == 0.0


def test_no_trips_and_trips_within_a_zone() -> None:
    network = network_of([("a", "b", 1.0, 0.15, 10.0, 4.0)])
    table = trip_table(np.array([0, 0]), np.array([0, 1]), np.array([5.0, 0.0]))
    assert table.inside == 5.0
    answer = assign(network, table)
    assert answer.flow.sum() == 0.0
    assert answer.relative_gap == 0.0


def test_no_way_is_said() -> None:
    network = network_of([("a", "b", 1.0, 0.15, 10.0, 4.0)])
    with pytest.raises(ValueError, match="no way from b to a"):
        assign(network, trip_table(np.array([1]), np.array([0]), np.array([1.0])))


NET = """<NUMBER OF ZONES> 2
<number of nodes> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 2
<END OF METADATA>
~ a comment ;
	1	3	10	1	0.5	0.15	4	0	2	1;
	3	2	10	1	0.5	0.15	4	0	0	1	;   ~ another
"""


def test_reader_minds_styles_and_tolls(tmp_path: Path) -> None:
    (tmp_path / "net.tntp").write_text(NET)
    network = read_tntp_network(tmp_path / "net.tntp", toll_factor=0.5, distance_factor=2.0)
    assert network.names == ("1-3", "3-2")
    np.testing.assert_array_equal(network.through, [False, False, True])
    np.testing.assert_allclose(network.cost(np.zeros(2)), [0.5 + 1.0 + 2.0, 0.5 + 2.0])
    (tmp_path / "trips.tntp").write_text(
        "<TOTAL OD FLOW> 4\n<END OF METADATA>\nOrigin 1\n 1 : 1.0; 2 :\t3;\n"
    )
    trips = read_tntp_trips(tmp_path / "trips.tntp", network)
    assert (trips.flow.tolist(), trips.inside) == ([3.0], 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NET.replace("<NUMBER OF LINKS> 2", "<NUMBER OF LINKS> 3"), "NUMBER OF LINKS"),
        (NET.replace("<FIRST THRU NODE> 3\n", ""), "FIRST THRU NODE"),
        (
            NET.replace("0.5	0.15	4	0	2", "half	0.15	4	0	2"),
            "line 7: not a row of numbers",
        ),
        (NET.replace("	1	3	10", "	1	9	10"), "line 7: nodes"),
        (NET.replace("	1	3	10", "	1	3	0"), "road 1-3 has capacity 0"),
        (
            NET.replace("	1	3	10	1	0.5", "	1	3	10	1	-0.5"),
            "road 1-3 has free_flow -0.5",
        ),
        (NET.replace("	0.15	4	0	2	1;", ""), "line 7: 5 numbers"),
    ],
)
def test_bad_networks_are_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "net.tntp"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_tntp_network(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Origin 1\n 2 : many;", "line 1|line 2"),
        ("Origin 1\n 7 : 1.0;", "outside the network"),
        (" 2 : 1.0;", "outside the network"),
        ("Origin 1\n 2 : 1.0; 2 : 2.0;", "listed twice"),
        ("Origin 1\n 2 : -1.0;", "finite numbers"),
        ("<TOTAL OD FLOW> 9\nOrigin 1\n 2 : 1.0;", "TOTAL OD FLOW"),
    ],
)
def test_bad_trips_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.tntp").write_text(NET)
    network = read_tntp_network(tmp_path / "net.tntp")
    path = tmp_path / "trips.tntp"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_tntp_trips(path, network)


def test_csv_problems_name_file_row_and_column(tmp_path: Path) -> None:
    roads, trips = write_csvs(tmp_path, [[1, 2, 0.5, 10.0]], [[1, 2, 5.0]])
    network = read_network(roads)
    trips.write_text("origin,destination,period,veh_per_h\n1,2,1,5\n1,2,2,6\n")
    with pytest.raises(ValueError, match=r"trips.csv has the periods 1 ... 2"):
        read_trips(trips, network)
    assert read_trips(trips, network, period=2).flow.tolist() == [6.0]
    trips.write_text("origin,destination,veh_per_h\n1,5,5\n")
    with pytest.raises(ValueError, match="row 2, column destination"):
        read_trips(trips, network)
    roads.write_text("road,from_node,to_node,free_flow_h\n")
    with pytest.raises(ValueError, match="column capacity_veh_per_h is missing"):
        read_network(roads)
