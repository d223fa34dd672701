"""Roads from TNTP, GMNS and networkx: every number by hand, every trap of a unit, every refusal with its place."""

from __future__ import annotations

import json
import math
from pathlib import Path

import networkx
import pytest

from instances.errors import InstanceError
from instances.model import Node, Road
from mpec.importing.pieces import RoadUnits
from mpec.importing.roads_gmns import roads_from_gmns
from mpec.importing.roads_graph import roads_from_graph, roads_from_graph_file
from mpec.importing.roads_tntp import roads_from_tntp
from mpec.importing.sources import read_roads

TNTP = """~ a comment before the tags
<NUMBER OF NODES> 4
<FIRST THRU NODE> 3\t~ zones 1 and 2 are closed
<NUMBER OF LINKS> 4
<END OF METADATA>

~ init term capacity length fftt b power speed toll type ;
1\t3\t1000\t5\t6\t0.15\t4\t0\t0\t1;
3 4 2000 2.5 3 0.5 0 0 0 1 ;
3 4 500 2.5 3 1.0 1 0 0 1 ~ the second of two parallel roads, without semicolon
4 2 1500 10 12 0 4 ;
"""


def tntp(folder: Path, text: str = TNTP) -> Path:
    path = folder / "small_net.tntp"
    path.write_text(text)
    return path


def refused(call) -> str:
    with pytest.raises(InstanceError) as caught:
        call()
    return str(caught.value)


class TestTntp:
    def test_every_number_is_converted(self, tmp_path: Path):
        """Minutes and miles; capacities at a tenth; 0.2 kWh/km: by hand."""
        data = roads_from_tntp(tntp(tmp_path), RoadUnits(0.2, hours=1 / 60, km=1.609344, scale=0.1))
        assert data.roads == (
            Road("1-3", "1", "3", 8.04672, 0.1, 100.0, 1.609344, 0.15, 4.0),
            # power 0: the constant time 3 min (1 + 0.5)
            Road("3-4", "3", "4", 4.02336, 0.075, 200.0, 0.804672, 0.0, 0.0),
            Road("3-4.2", "3", "4", 4.02336, 0.05, 50.0, 0.804672, 1.0, 1.0),
            Road("4-2", "4", "2", 16.09344, 0.2, 150.0, 3.218688, 0.0, 4.0),
        )
        assert data.nodes == (Node("1", through=False), Node("2", through=False), Node("3"), Node("4"))
        assert any("2 zones below FIRST THRU NODE" in note for note in data.notes)
        assert "small_net.tntp, SHA-256" in data.source["roads"]

    def test_units_are_asked_for_and_never_guessed(self, tmp_path: Path):
        said = refused(lambda: roads_from_tntp(tntp(tmp_path), RoadUnits(0.2)))
        assert "--time-unit" in said
        assert "--length-unit" in said
        assert "2 problems" in said

    def test_a_power_below_one_is_refused_with_the_road(self, tmp_path: Path):
        path = tntp(tmp_path, TNTP.replace("0.15\t4", "0.15\t0.5"))
        said = refused(lambda: roads_from_tntp(path, RoadUnits(0.2, 1.0, 1.0)))
        assert "small_net.tntp, column power: '0.5' road 1-3" in said
        assert "Give the road the power 0" in said

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("<NUMBER OF LINKS> 4", "<NUMBER OF LINKS> 5", "4 roads, but <NUMBER OF LINKS> says 5"),
            ("1500 10 12", "1500 ten 12", "line 11: not a row of numbers"),
            ("4 2 1500", "4 9 1500", "line 11: nodes must be whole numbers from 1 to 4"),
            ("4 2 1500 10 12 0 4", "4 2 1500", "line 11: 3 numbers"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, tmp_path: Path, old: str, new: str, told: str):
        path = tntp(tmp_path, TNTP.replace(old, new))
        assert told in refused(lambda: roads_from_tntp(path, RoadUnits(0.2, 1.0, 1.0)))

    def test_coordinates_come_from_a_node_file(self, tmp_path: Path):
        places = tmp_path / "node.tntp"
        places.write_text("Node\tX\tY\t;\n1\t-96.5\t43.25 ;\n3 2 1;\n")
        data = roads_from_tntp(tntp(tmp_path), RoadUnits(0.2, 1.0, 1.0), places)
        assert data.nodes[0] == Node("1", -96.5, 43.25, through=False)
        assert data.nodes[2] == Node("3", 2.0, 1.0)
        places.write_text("Node X Y\n9 1 1\n")
        said = refused(lambda: roads_from_tntp(tntp(tmp_path), RoadUnits(0.2, 1.0, 1.0), places))
        assert "node.tntp, row 2: '9' is not a node" in said

    def test_sioux_falls_has_its_known_size(self, sioux_falls: Path):
        data = read_roads(str(sioux_falls / "SiouxFalls_net.tntp"), RoadUnits(0.2, 0.01, 1.0))
        assert (len(data.nodes), len(data.roads)) == (24, 76)
        # the first link of the file: 1 to 2, capacity 25900.20064, time 6 hundredths of an hour
        assert data.roads[0] == Road("1-2", "1", "2", 6.0, 0.06, 25900.20064, 1.2, 0.15, 4.0)


NODES = "node_id,x_coord,y_coord,node_type,zone_id\n1,0,0,,10\n2,3,4,,\n3,1,1,centroid,30\n"
LINKS = (
    "link_id,from_node_id,to_node_id,directed,length,free_speed,lanes,capacity,allowed_uses,vdf_alpha,vdf_beta\n"
    'A,1,2,1,2,50,2,900,"auto,bike",,\n'
    "B,2,3,0,1,25,1,600,,0.2,3\n"
    "C,1,2,1,1,5,1,100,bike,,\n"
    "D,1,3,1,1,50,0,900,,,\n"
)


def gmns(folder: Path, links: str = LINKS, nodes: str = NODES, config: str | None = None) -> Path:
    (folder / "node.csv").write_text(nodes)
    (folder / "link.csv").write_text(links)
    if config:
        (folder / "config.csv").write_text(config)
    return folder


class TestGmns:
    def test_every_number_is_converted(self, tmp_path: Path):
        """Miles and mph; capacity is per lane; an undirected link is two roads; a cycle path is none."""
        folder = gmns(tmp_path, config="long_length,speed\nmi,mph\n")
        data = roads_from_gmns(folder, RoadUnits(0.1))
        assert data.roads == (
            Road("A", "1", "2", 3.218688, 0.04, 1800.0, 0.3218688, 0.15, 4.0),
            Road("B", "2", "3", 1.609344, 0.04, 600.0, 0.1609344, 0.2, 3.0),
            Road("B-back", "3", "2", 1.609344, 0.04, 600.0, 0.1609344, 0.2, 3.0),
        )
        assert data.nodes == (Node("1"), Node("2", 3.0, 4.0), Node("3", 1.0, 1.0, through=False))
        assert data.zones == {"10": "1", "30": "3"}
        assert "1 links not for cars are left out" in data.notes
        assert "1 links without lanes are left out" in data.notes

    def test_without_config_the_unit_is_asked_for(self, tmp_path: Path):
        assert "--length-unit" in refused(lambda: roads_from_gmns(gmns(tmp_path), RoadUnits(0.1)))
        roads = roads_from_gmns(gmns(tmp_path), RoadUnits(0.1, km=1.0)).roads
        assert (roads[0].length_km, roads[0].free_flow_h) == (2.0, 0.04)

    def test_all_bad_cells_are_told_at_once(self, tmp_path: Path):
        links = LINKS.replace("A,1,2,1,2,50,2,900", "A,1,7,1,-2,fast,2,").replace("0.2,3", "0.2,0.5")
        said = refused(lambda: roads_from_gmns(gmns(tmp_path, links), RoadUnits(0.1, km=1.0)))
        for told in (
            "link.csv, row 2, column to_node_id: '7' is not a node",
            "link.csv, row 2, column length: '-2' is not a number >= 0",
            "link.csv, row 2, column free_speed: 'fast' is not a number",
            "link.csv, row 2, column capacity: is blank",
            "link.csv, row 3, column vdf_beta: '0.5' lies between 0 and 1",
            "5 problems",
        ):
            assert told in said

    def test_a_missing_column_is_told(self, tmp_path: Path):
        folder = gmns(tmp_path, LINKS.replace("to_node_id", "head"))
        assert "link.csv, row 1: the column to_node_id is missing" in refused(
            lambda: roads_from_gmns(folder, RoadUnits(0.1, km=1.0))
        )

    def test_lane_capacity_fills_blank_capacities(self, tmp_path: Path):
        folder = gmns(tmp_path, LINKS.replace("50,2,900", "50,2,"))
        roads = roads_from_gmns(folder, RoadUnits(0.1, km=1.0, lane_capacity=700.0)).roads
        assert roads[0].capacity_veh_per_h == 1400.0


class TestGraph:
    UNITS = RoadUnits(0.2, lane_capacity=800.0)

    def graph(self) -> networkx.MultiDiGraph:
        """One road in the project's names, one in OSMnx's, and one parallel to it."""
        graph = networkx.MultiDiGraph()
        graph.add_node("a", x=1.5, y=2.5)
        graph.add_node("b", through=0)
        graph.add_edge("a", "b", length_km=3.0, free_flow_h=0.05, capacity_veh_per_h=900.0, bpr_alpha=0.3)
        graph.add_edge("b", "a", length=1500.0, travel_time=90.0, lanes="[2, 3]")
        graph.add_edge("b", "a", length=2000.0, speed_kph=40.0)
        return graph

    EXPECTED = (
        Road("a-b", "a", "b", 3.0, 0.05, 900.0, 0.6, 0.3, 4.0),
        Road("b-a", "b", "a", 1.5, 0.025, 1600.0, 0.3, 0.15, 4.0),
        Road("b-a.2", "b", "a", 2.0, 0.05, 800.0, 0.4, 0.15, 4.0),
    )

    def test_every_number_is_converted(self):
        data = roads_from_graph(self.graph(), self.UNITS)
        assert data.roads == self.EXPECTED
        assert data.nodes == (Node("a", 1.5, 2.5), Node("b", through=False))

    def test_files_say_the_same(self, tmp_path: Path):
        networkx.write_graphml(self.graph(), tmp_path / "city.graphml")
        (tmp_path / "city.json").write_text(json.dumps(networkx.node_link_data(self.graph(), edges="links")))
        for name in ("city.graphml", "city.json"):
            assert read_roads(str(tmp_path / name), self.UNITS).roads == self.EXPECTED

    def test_an_undirected_edge_is_two_roads(self):
        graph = networkx.Graph()
        graph.add_edge(1, 2, length_km=1.0, free_flow_h=0.02, capacity_veh_per_h=500.0)
        roads = roads_from_graph(graph, self.UNITS).roads
        assert [(road.id, road.from_node, road.to_node) for road in roads] == [
            ("1-2", "1", "2"),
            ("2-1", "2", "1"),
        ]

    def test_all_problems_are_told_with_their_edge(self):
        graph = networkx.DiGraph()
        graph.add_edge(1, 2, length_km=1.0)
        graph.add_edge(2, 1, length_km=math.inf, free_flow_h=0.1, capacity_veh_per_h=9.0, bpr_beta=0.5)
        said = refused(lambda: roads_from_graph(graph, RoadUnits(0.2), name="city"))
        for told in (
            "column free_flow_h: edge 1-2: is missing",
            "edge 1-2: has no capacity_veh_per_h",
            "column length_km: 'inf' edge 2-1: is not a number >= 0",
            "column bpr_beta: '0.5' edge 2-1: lies between 0 and 1",
        ):
            assert told in said

    def test_what_is_no_graph_is_refused(self, tmp_path: Path):
        path = tmp_path / "city.graphml"
        path.write_text("<graphml")
        assert "city.graphml: is not a graph that networkx reads" in refused(
            lambda: roads_from_graph_file(path, self.UNITS)
        )


def test_unknown_formats_are_refused_with_the_known_ones(tmp_path: Path):
    (tmp_path / "roads.shp").write_text("")
    assert "TNTP net file (.tntp)" in refused(lambda: read_roads(str(tmp_path / "roads.shp"), RoadUnits(0.2)))
    assert "is not a file" in refused(lambda: read_roads("nowhere.tntp", RoadUnits(0.2)))


def test_a_bundled_instance_is_a_source_too():
    data = read_roads("ieee33-road16", RoadUnits(0.2))
    assert (len(data.nodes), len(data.roads)) == (16, 42)
