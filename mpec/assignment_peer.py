"""AequilibraE's answer to a network in an .npz file; run by its own interpreter, see `mpec.assignment_speed`.

    PEER_PYTHON mpec/assignment_peer.py network.npz answer.npz SECONDS

Needs aequilibrae and nothing of this project. Algorithm: bi-conjugate Frank-Wolfe ("bfw"). It has no time limit, so
that its speed is measured in a short run first, and the long one gets as many iterations as fit into SECONDS of
processor time.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from aequilibrae.matrix import AequilibraeMatrix
from aequilibrae.paths import Graph, TrafficAssignment, TrafficClass

TRIAL_ITERATIONS = 200
NEVER = 1e-16
"""A relative gap that is not reached, so that the number of iterations decides."""


def traffic_class(data: Any) -> TrafficClass:
    """Graph and trips; centroids are the first nodes, closed to through traffic where the data say so."""
    graph = Graph()
    graph.network = pd.DataFrame(
        {
            "link_id": np.arange(1, len(data["tail"]) + 1),
            "a_node": data["tail"] + 1,
            "b_node": data["head"] + 1,
            "direction": 1,
            "capacity": data["capacity"],
            "free_flow_time": data["free_flow"],
            "alpha": data["alpha"],
            "power": data["beta"],
        }
    )
    zones = np.arange(1, int(data["zones"]) + 1)
    graph.prepare_graph(zones)
    graph.set_graph("free_flow_time")
    graph.set_blocked_centroid_flows(bool(data["closed"]))
    matrix = AequilibraeMatrix()
    matrix.create_empty(zones=len(zones), matrix_names=["trips"], memory_only=True)
    matrix.index[:] = zones
    matrix.matrix["trips"][:, :] = 0.0
    matrix.matrix["trips"][data["origin"], data["destination"]] = data["trips"]
    matrix.computational_view(["trips"])
    return TrafficClass("car", graph, matrix)


def run(data: Any, iterations: int) -> tuple[TrafficAssignment, float, float]:
    """The assignment after so many iterations, its processor seconds (all threads) and wall seconds."""
    assignment = TrafficAssignment()
    assignment.set_classes([traffic_class(data)])
    assignment.set_vdf("BPR")
    assignment.set_vdf_parameters({"alpha": "alpha", "beta": "power"})
    assignment.set_capacity_field("capacity")
    assignment.set_time_field("free_flow_time")
    assignment.set_algorithm("bfw")
    assignment.set_cores(1)
    assignment.max_iter = iterations
    assignment.rgap_target = NEVER
    began, wall = time.process_time(), time.perf_counter()
    assignment.execute(log_specification=False)
    return assignment, time.process_time() - began, time.perf_counter() - wall


def main(source: Path, target: Path, seconds: float) -> None:
    logging.disable(logging.CRITICAL)
    data = np.load(source)
    run(data, 2)  # what is only once: caches, threads
    _, trial, _ = run(data, TRIAL_ITERATIONS)
    iterations = max(int(TRIAL_ITERATIONS * seconds / trial), TRIAL_ITERATIONS)
    assignment, spent, wall = run(data, iterations)
    report = assignment.report()
    links = assignment.results().reset_index()
    flow = np.zeros(len(data["tail"]))
    flow[links["link_id"].to_numpy() - 1] = links["trips_ab"].to_numpy()
    gaps = report["rgap"].to_numpy(float)
    np.savez(
        target,
        flow=flow,
        gap=gaps[-1],
        least_gap=np.nanmin(gaps),
        iterations=len(gaps),
        seconds=spent,
        wall_seconds=wall,
        version=importlib.metadata.version("aequilibrae"),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
