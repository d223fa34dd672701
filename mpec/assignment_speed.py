"""How fast and how exact plain road assignment is: results/performance/assignment.csv and .md.

    python -m mpec.assignment_speed FOLDER [--peer-python PATH] [--peer-seconds 100] [--out results/performance]

FOLDER holds SiouxFalls, Eastern-Massachusetts and Anaheim as the TransportationNetworks collection has them.
Ours: `mpec.assignment.assign` to a relative gap of 1e-12, the median of three runs after reading. The peer:
AequilibraE's bi-conjugate Frank-Wolfe in its own environment (``PATH``: that environment's Python), given
``--peer-seconds`` on each network, one core as ours. Times are processor seconds of all threads, so that other work on
the machine counts little; wall seconds are in the CSV file. Both flows are judged by the same two numbers, computed
here: relative gap (sum x c - sum trips u) / sum x c with u from Dijkstra's algorithm, and Beckmann's potential.
Without --peer-python the peer is not measured, and the table says so.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpec import __version__
from mpec.assignment import PathSearch, assign
from mpec.network_files import read_network, read_trips
from mpec.road_network import RoadNetwork, TripTable

Array = np.ndarray[Any, Any]

NETWORKS = {
    "Sioux Falls": ("SiouxFalls/SiouxFalls", 1.0, 4231335.28710744),
    "Eastern Massachusetts": ("Eastern-Massachusetts/EMA", 10.0, 26160.3459228),
    "Anaheim": ("Anaheim/Anaheim", 10.0, 1286032.171096032),
}
"""Name -> files, seconds that are aimed at, published least potential."""

GAP = 1e-12
RUNS = 3
_PEER = Path(__file__).with_name("assignment_peer.py")


def judged(network: RoadNetwork, trips: TripTable, flow: Array) -> tuple[float, float]:
    """Relative gap and potential of flows (A,) on the roads, by an own shortest-path search.

    Link flows alone: the difference of two sums, so that nothing below about 1e-15 can be told.
    """
    cost = network.cost(flow)
    search = PathSearch(network, trips)
    distance, _, _ = search.run(cost)
    place = np.searchsorted(search.origins, trips.origin)
    least = math.fsum(trips.flow * distance[place, trips.destination])
    total = math.fsum(flow * cost)
    return (total - least) / total, network.potential(flow)


def ours(network: RoadNetwork, trips: TripTable) -> dict[str, Any]:
    """Median seconds of RUNS assignments to GAP, with gap and potential."""
    seconds, wall = [], []
    for _ in range(RUNS):
        began, started = time.process_time(), time.perf_counter()
        found = assign(network, trips, gap=GAP)
        seconds.append(time.process_time() - began)
        wall.append(time.perf_counter() - started)
    by_links, potential = judged(network, trips, found.flow)
    return {
        "version": __version__,
        "seconds": statistics.median(seconds),
        "wall_seconds": statistics.median(wall),
        "relative_gap": found.relative_gap,
        "relative_gap_by_links": by_links,
        "potential": potential,
        "iterations": found.iterations,
        "paths": found.paths,
    }


def peer(network: RoadNetwork, trips: TripTable, python: Path, seconds: float) -> dict[str, Any]:
    """AequilibraE's flows after about so many seconds, judged as ours. Raises RuntimeError where it fails."""
    zones = int(max(trips.origin.max(), trips.destination.max())) + 1
    closed = np.flatnonzero(~network.through)
    if len(closed) not in (0, zones):
        raise RuntimeError("only networks whose zones are all closed, or all open, can be handed over")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "network.npz", Path(folder) / "answer.npz"
        np.savez(
            source,
            tail=network.tail,
            head=network.head,
            capacity=network.capacity,
            free_flow=network.free_flow,
            alpha=network.alpha,
            beta=network.beta,
            zones=zones,
            closed=len(closed) > 0,
            origin=trips.origin,
            destination=trips.destination,
            trips=trips.flow,
        )
        # -P: the folder of the script has modules that would hide others of the same name
        done = subprocess.run(
            [str(python), "-P", str(_PEER), str(source), str(target), str(seconds)],
            env={**os.environ, "AEQ_SHOW_PROGRESS": "FALSE", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the peer failed: {done.stderr.strip().splitlines()[-1:]}")
        with np.load(target) as answer:
            gap, potential = judged(network, trips, answer["flow"])
            return {
                "seconds": float(answer["seconds"]),
                "wall_seconds": float(answer["wall_seconds"]),
                "relative_gap": gap,
                "own_gap": float(answer["gap"]),
                "least_own_gap": float(answer["least_gap"]),
                "potential": potential,
                "iterations": int(answer["iterations"]),
                "version": str(answer["version"]),
            }


def measure(folder: Path, python: Path | None, seconds: float) -> dict[str, Any]:
    """Both on all networks, in one run."""
    rows: dict[str, Any] = {}
    for name, (files, aim, least) in NETWORKS.items():
        network = read_network(folder / f"{files}_net.tntp")
        trips = read_trips(folder / f"{files}_trips.tntp", network)
        rows[name] = {
            "nodes": len(network.nodes),
            "roads": network.roads,
            "pairs": len(trips.flow),
            "aim_seconds": aim,
            "published_potential": least,
            "ours": ours(network, trips),
            "peer": peer(network, trips, python, seconds) if python is not None else None,
        }
    return {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "networks": rows,
    }


COLUMNS = (
    *("network", "solver", "version", "seconds", "wall_seconds", "relative_gap", "own_gap", "potential"),
    *("published_potential", "iterations"),
)


def as_csv(record: dict[str, Any]) -> str:
    """A row for each network and solver; ``relative_gap`` by our yardstick, ``own_gap`` as the peer tells it."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for name, row in record["networks"].items():
        for solver in ("ours", "peer"):
            if row[solver] is not None:
                said = "evcs-mpec" if solver == "ours" else "AequilibraE bfw"
                potential = row["published_potential"]
                writer.writerow(
                    {"network": name, "solver": said, "published_potential": potential, **row[solver]}
                )
    return stream.getvalue()


def table(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    rows = record["networks"]
    peers = [row["peer"] for row in rows.values() if row["peer"]]
    name = f"AequilibraE {peers[0]['version']}" if peers else "AequilibraE"
    lines = [
        "# Plain road assignment, and a peer",
        "",
        "Generated by `python -m mpec.assignment_speed`. Processor seconds (ours: median of 3); relative gap "
        "(Σ x c − Σ trips u) / Σ x c, u by Dijkstra's algorithm; excess: Beckmann's potential over the published "
        f"least one, relative. Machine: {record['machine']}.",
        "",
        f"| network | nodes, roads, O-D pairs | ours: s | gap | excess | {name} (bfw): s | gap | excess |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, row in rows.items():
        mine, other = row["ours"], row["peer"]
        cells = [f"{mine['seconds']:.2f}", f"{mine['relative_gap']:.1e}", _excess(mine, row)]
        if other is None:
            cells += ["not measured"] * 3
        else:
            cells += [f"{other['seconds']:.0f}", f"{other['relative_gap']:.1e}", _excess(other, row)]
        size = f"{row['nodes']}, {row['roads']}, {row['pairs']:,}"
        lines.append(f"| {network} | {size} | " + " | ".join(cells) + " |")
    aims = [
        f"{network} {'met' if row['ours']['seconds'] <= row['aim_seconds'] else 'MISSED'}"
        for network, row in rows.items()
    ]
    lines += ["", f"Aims (gap ≤ 1e-12; Sioux Falls within 1 s, the others within 10 s): {', '.join(aims)}."]
    return "\n".join(lines) + "\n"


def _excess(answer: dict[str, Any], row: dict[str, Any]) -> str:
    return f"{answer['potential'] / row['published_potential'] - 1.0:.1e}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write both files."""
    parser = argparse.ArgumentParser(prog="python -m mpec.assignment_speed", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--peer-seconds", type=float, default=100.0)
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    arguments = parser.parse_args(argv)
    record = measure(arguments.folder, arguments.peer_python, arguments.peer_seconds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "assignment.csv").write_text(as_csv(record), encoding="utf-8")
    (arguments.out / "assignment.md").write_text(table(record), encoding="utf-8")
    print(table(record))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
