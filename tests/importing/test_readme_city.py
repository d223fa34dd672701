"""README, "Your own city": its commands run, and make the mid-size pairings that they say."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import instances

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[str]:
    """The `mpec` lines of the block marked city, continued lines joined."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```sh city\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    return block[1].replace("\\\n", " ").splitlines()


@pytest.mark.usefixtures("matpower_cases")
def test_its_commands_run(shared_data: Path, tmp_path: Path):
    for name in ("SiouxFalls", "Eastern-Massachusetts"):
        for file in (shared_data / "tntp" / name).glob("*.tntp"):
            shutil.copy(file, tmp_path)
    assert len(commands()) == 4
    for command in commands():
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    city = instances.load(tmp_path / "siouxfalls-141")
    assert (len(city.nodes), len(city.roads), len(city.buses), len(city.lines)) == (24, 76, 141, 140)
    assert (len(city.periods), len(city.pairs), len(city.stations)) == (24, 30, 12)
    # the largest O-D pair of the file has 4400 trips; scale 0.1, share 0.04, in the busiest hour
    assert max(city.trips.values()) == pytest.approx(17.6)
    # at most 10 kWh and the way's energy per vehicle: a third of the feeder's 11.9 MW
    busiest = max(sum(f for (_, _, t), f in city.trips.items() if t == p.id) for p in city.periods)
    assert busiest * 10.0 == pytest.approx(3380.0)
    assert sum(s.capacity_kw for s in city.stations) > 2 * busiest * 10.0
    ema = instances.load(tmp_path / "ema-69")
    assert (len(ema.nodes), len(ema.roads), len(ema.buses), len(ema.stations)) == (74, 258, 69, 13)
    assert sum(bus.load_kw for bus in ema.buses) == pytest.approx(3802.1)
