"""The readers of files that people write, each with good files and with what it may raise: fuzz tests spoil these."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import networkx
from judged_game import PRICES, game
from malformed_instances import good_files

from instances import files_of, load, parse
from mpec import result_folder
from mpec.bilevel_files import BilevelFileError, read_bilevel
from mpec.checkpoint import load_checkpoint, store_checkpoint
from mpec.commands.common import UsageError, input_errors
from mpec.commands.game import read_prices
from mpec.followers.answer import follow
from mpec.importing import Request, new_city
from mpec.network_files import read_network, read_trips
from mpec.studies.study_file import read_study


@dataclass(frozen=True)
class Reader:
    """``read`` gets a folder with the files of one of ``seeds``, perhaps spoiled; ``refusals``: what it may raise."""

    name: str
    seeds: tuple[Mapping[str, bytes], ...]
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]


NET = b"""~ a comment
<NUMBER OF NODES> 3
<FIRST THRU NODE> 1
<NUMBER OF LINKS> 3
<END OF METADATA>
~ init term capacity length fftt b power speed toll type ;
1 2 1000 10 6 0.15 4 0 0 1 ;
2 3 1000 20 12 0.15 4 ;
3 1 1000 30 18 0.15 0 ;
"""
TRIPS = b"""<NUMBER OF ZONES> 3
<TOTAL OD FLOW> 1805
<END OF METADATA>
Origin 1
1 : 5; 2 : 300; 3 : 1000;
Origin 2
3 : 500;
"""
FEW_TRIPS = b"<NUMBER OF ZONES> 3\n<TOTAL OD FLOW> 1300\n<END OF METADATA>\nOrigin 1\n2 : 300; 3 : 1000;\n"
"""Those that one station at node 2 can serve."""

TABLES = {
    "stations.csv": b"station,node,bus,rated_kva,power_factor,pile_kw,available,price_min,price_max,"
    b"price_mean_max\nWest,2,2,300,0.95,50,1,0.5,1.5,\nEast,3,3,400,1,60,1,0.6,1.6,1.1\n",
    "vehicles.csv": b"origin,destination,initial_kwh,min_kwh,max_kwh,final_kwh\n1,2,10,2,30,15\n*,*,12,4,40,20\n",
    "periods.csv": b"period,load_factor,import_price_per_kwh,trips_factor\n8,0.7,0.9,0.5\n7,0.6,0.8,0.25\n",
}
CASE = b"""function mpc = small
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [ % id type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin
\t1\t3\t0\t0\t0\t0\t1\t1\t0\t20\t1\t1\t1;
\t2\t1\t400\t100\t0\t0\t1\t1\t0\t20\t1\t1.1\t0.9;
\t3\t1\t250\t0\t0\t0\t1\t1\t0\t20\t1\t1.1\t0.9;
];
mpc.gen = [
\t1\t0\t0\t10\t-10\t1.02\t10\t1\t10\t0;
];
mpc.branch = [ % from to r x b rateA rateB rateC ratio angle status
\t1\t2\t0.4\t0.8\t0\t5\t0\t0\t0\t0\t1\t-360\t360;
\t2\t3\t1.2\t1.6\t0\t0\t0\t0\t0\t0\t1\t-360\t360;
];
Vbase = mpc.bus(1, 10) * 1e3;
Sbase = mpc.baseMVA * 1e6;
mpc.branch(:, [3 4]) = mpc.branch(:, [3 4]) / (Vbase^2 / Sbase);
mpc.bus(:, [3, 4]) = mpc.bus(:, [3, 4]) / 1e3;
"""
MPS = b"""NAME general
ROWS
 L  R0
 L  R2
 L  R3
 N  R4
COLUMNS
    INT1 'MARKER' 'INTORG'
    C0   R0       -3   R2 2
    C0   R3       -2   R4 -1
    INT1END 'MARKER' 'INTEND'
    C1   R0       2   R2 -1
    C1   R3       4   R4 -7
RHS
    B    R0       12   R2 7
    B    R3       16
BOUNDS
 UP BOUND C0      10
 UP BOUND C1      5
ENDATA
"""
AUX = (
    b"@NUMVARS\n1\n@NUMCONSTRS\n2\n@VARSBEGIN\nC1 1.\n@VARSEND\n@CONSTRSBEGIN\nR2\nR3\n@CONSTRSEND\n"
    b"@NAME\nGeneral\n@MPS\ngeneral.mps\n"
)
AUX_BY_INDEX = b"N 1\nM 2\nLC 1\nLR 1\nLR 2\nLO 1\nOS 1\n"
STUDY = b"""question = "What does it do?"
[all]
instance = "two-period-residual"
xi = [0.0, 0.5]
quick = { periods = 1 }
[[runs]]
name = "exact"
method = "exact"
gap = 0.01
quick = { gap = 0.1 }
[[runs]]
name = "heuristic"
method = "heuristic"
seeds = 3
population = [4, 8]
"""
GMNS = {
    "node.csv": b"node_id,x_coord,y_coord,zone_id\n1,0,0,1\n2,1,0,2\n3,1,1,3\n",
    "link.csv": b"link_id,from_node_id,to_node_id,directed,length,free_speed,capacity,lanes\n"
    b"a,1,2,1,3,50,900,1\nb,2,3,0,4,60,1800,2\nc,3,1,1,5,50,900,1\n",
    "demand.csv": b"o_zone_id,d_zone_id,volume\n1,2,300\n1,3,100\n",
}


def _graph() -> dict[str, bytes]:
    graph = networkx.DiGraph()
    for start, end, length in (("1", "2", 3.0), ("2", "3", 4.0), ("3", "1", 5.0)):
        graph.add_edge(start, end, length_km=length, speed_kph=50.0, capacity_veh_per_h=900.0)
    trips = b"origin,destination,veh_per_h\n1,2,300\n1,3,100\n"
    return {"roads.json": json.dumps(networkx.node_link_data(graph)).encode(), "trips.csv": trips}


def _graphml() -> dict[str, bytes]:
    graph = networkx.node_link_graph(json.loads(_graph()["roads.json"]))
    return {
        "roads.graphml": "\n".join(networkx.generate_graphml(graph)).encode(),
        "trips.csv": _graph()["trips.csv"],
    }


def _new(folder: Path, roads: str, trips: str, feeder: str, tables: bool) -> object:
    """`mpec new --assume` on the folder's files; what is not in them comes from options."""
    return new_city(
        Request(
            name="spoiled",
            roads=str(folder / roads),
            feeder=str(folder / feeder) if feeder.endswith((".m", ".json")) else feeder,
            trips=folder / trips,
            tables={name.removesuffix(".csv"): folder / name for name in TABLES} if tables else {},
            stations_at=() if tables else (("2", "2"),),
            hours=1.0 / 60.0,
            km=1.0,
            lane_capacity=900.0,
            trips_share=0.1,
            trips_per="hour",
            line_rating="unlimited",
            assume=True,
        )
    )


def _assign(folder: Path) -> object:
    """The files of `mpec assign`; what it makes of them is a ValueError or a network with trips."""
    return read_trips(folder / "trips.tntp", read_network(folder / "net.tntp"))


def _assign_csv(folder: Path) -> object:
    return read_trips(folder / "trips.csv", read_network(folder / "roads.csv"), period=1)


def _instance(folder: Path) -> object:
    """What is accepted is written and read again as the same instance."""
    found = parse({path.name: path.read_bytes() for path in folder.iterdir()})
    assert parse({file: text.encode() for file, text in files_of(found).items()}) == found
    return found


def _texts(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _result() -> dict[str, bytes]:
    """A small stored result, its checkpoint beside it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "result"
        with result_folder.begin(folder):
            result_folder.write(follow(game(), PRICES), None, folder)
        store_checkpoint(folder, {"sweep": 1, "states": [{"low": [0.0, 1.0]}], "upper": 3.5})
        return _texts(folder)


def _small() -> dict[str, bytes]:
    return {file: text.encode() for file, text in files_of(load("two-period-residual")).items()}


def _prices(folder: Path) -> object:
    return read_prices(folder / "prices.csv", game())


def _pandapower() -> dict[str, bytes]:
    import pandapower
    import pandapower.networks

    net = pandapower.networks.case33bw()
    return {"feeder.json": pandapower.to_json(net).encode(), "net.tntp": NET, "trips.tntp": FEW_TRIPS}


def readers() -> list[Reader]:
    """All readers whose packages are there."""
    refused = (*input_errors(), UsageError)
    game_files = {file: text.encode() for file, text in files_of(load("two-period-residual")).items()}
    result = _result()
    found = [
        Reader("instance", (_small(), good_files()), _instance, refused),
        Reader("TNTP, tables", ({"net.tntp": NET, "trips.tntp": TRIPS, **TABLES},), partial(
            _new, roads="net.tntp", trips="trips.tntp", feeder="ieee33-road16", tables=True), refused),
        Reader("GMNS", (GMNS,), partial(
            _new, roads="link.csv", trips="demand.csv", feeder="ieee33-road16", tables=False), refused),
        Reader("node-link JSON", (_graph(),), partial(
            _new, roads="roads.json", trips="trips.csv", feeder="ieee33-road16", tables=False), refused),
        Reader("GraphML", (_graphml(),), partial(
            _new, roads="roads.graphml", trips="trips.csv", feeder="ieee33-road16", tables=False), refused),
        Reader("assign, TNTP", ({"net.tntp": NET, "trips.tntp": TRIPS},), _assign, (*refused, ValueError)),
        Reader("assign, CSV", ({"roads.csv": game_files["roads.csv"], "trips.csv": game_files["trips.csv"]},),
               _assign_csv, (*refused, ValueError)),
        Reader("MPS and AUX", ({"general.mps": MPS, "general.aux": AUX},
                               {"general.mps": MPS, "general.aux": AUX_BY_INDEX}),
               lambda folder: read_bilevel(folder / "general.mps", folder / "general.aux"),
               (*refused, BilevelFileError)),
        Reader("study", ({"study.toml": STUDY},), lambda folder: read_study(folder / "study.toml"), refused),
        Reader("prices", ({"prices.csv": result["prices.csv"]},), _prices, refused),
        Reader("result", (result,), result_folder.read, refused),
        Reader("checkpoint", ({"checkpoint.npz": result["checkpoint.npz"]},), load_checkpoint, refused),
    ]  # fmt: skip
    case_of = partial(_new, roads="net.tntp", trips="trips.tntp", tables=False)
    networks = {"net.tntp": NET, "trips.tntp": FEW_TRIPS}
    if find_spec("matpowercaseframes"):
        files = {"small.m": CASE, **networks}
        found.append(Reader("MATPOWER", (files,), partial(case_of, feeder="small.m"), refused))
    if find_spec("pandapower"):
        found.append(Reader("pandapower", (_pandapower(),), partial(case_of, feeder="feeder.json"), refused))
    return found
