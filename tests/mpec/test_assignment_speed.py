"""The table of assignment's speed: judged by one yardstick, honest about what was not measured."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from mpec import assignment_speed
from mpec.assignment import assign
from mpec.network_files import read_network, read_trips
from mpec.road_network import RoadNetwork, TripTable

NETWORK_FILES = "SiouxFalls/SiouxFalls"


@pytest.fixture(scope="module")
def sioux_falls(shared_data: Path) -> tuple[RoadNetwork, TripTable]:
    files = shared_data / "tntp" / NETWORK_FILES
    network = read_network(Path(f"{files}_net.tntp"))
    return network, read_trips(Path(f"{files}_trips.tntp"), network)


def test_the_yardstick_agrees_with_the_assignments_own_gap(sioux_falls: tuple[RoadNetwork, TripTable]):
    """A rough answer's gap, by paths there and by links here; the published potential is the least."""
    network, trips = sioux_falls
    rough = assign(network, trips, gap=1e-3)
    gap, potential = assignment_speed.judged(network, trips, rough.flow)
    assert gap == pytest.approx(rough.relative_gap, rel=1e-6)
    assert potential > 4231335.28710744
    everything_on_shortest = assign(network, trips, rounds=1).flow
    assert assignment_speed.judged(network, trips, everything_on_shortest)[0] > 1e-2


def test_ours_reaches_the_aim_on_sioux_falls(sioux_falls: tuple[RoadNetwork, TripTable]):
    answer = assignment_speed.ours(*sioux_falls)
    assert answer["relative_gap"] <= 1e-12
    assert answer["potential"] == pytest.approx(4231335.28710744, rel=1e-14)


def test_without_a_peer_the_table_says_so(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    only = {"Sioux Falls": assignment_speed.NETWORKS["Sioux Falls"]}
    monkeypatch.setattr(assignment_speed, "NETWORKS", only)
    assert assignment_speed.main([str(shared_data / "tntp"), "--out", str(tmp_path)]) == 0
    assert "| not measured | not measured | not measured |" in (tmp_path / "assignment.md").read_text()
    [row] = csv.DictReader((tmp_path / "assignment.csv").read_text().splitlines())
    assert (row["network"], row["solver"]) == ("Sioux Falls", "evcs-mpec")
    assert float(row["relative_gap"]) <= 1e-12


def test_a_peer_is_handed_the_network_and_judged_by_our_yardstick(
    sioux_falls: tuple[RoadNetwork, TripTable], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A stand-in for the peer's script that claims a gap of 0 and answers with free-flow shortest paths."""
    network, trips = sioux_falls
    flow = assign(network, trips, rounds=1).flow
    np.save(tmp_path / "flow.npy", flow)
    script = tmp_path / "peer.py"
    script.write_text(
        "import sys, numpy as np\n"
        "data = np.load(sys.argv[1])\n"
        "assert int(data['zones']) == 24 and not bool(data['closed']) and len(data['tail']) == 76\n"
        "assert float(data['trips'].sum()) == 360600.0 and float(sys.argv[3]) == 5.0\n"
        f"np.savez(sys.argv[2], flow=np.load({str(tmp_path / 'flow.npy')!r}), gap=0.0, least_gap=0.0,\n"
        "         iterations=3, seconds=1.5, wall_seconds=2.5, version='0.0')\n"
    )
    monkeypatch.setattr(assignment_speed, "_PEER", script)
    answer = assignment_speed.peer(network, trips, Path(sys.executable), 5.0)
    assert answer["own_gap"] == 0.0
    assert answer["relative_gap"] == pytest.approx(assignment_speed.judged(network, trips, flow)[0])
    script.write_text("raise SystemExit('no such algorithm')")
    with pytest.raises(RuntimeError, match="no such algorithm"):
        assignment_speed.peer(network, trips, Path(sys.executable), 5.0)
