"""The AC power flow against published figures of the 33-bus feeder and against closed forms."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from formulations.ac_sweep import NoPowerFlowError, ac_sweep
from formulations.feeder_tree import feeder_tree
from instances import Instance, load
from instances.model import Bus, Line


def base_load(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    return np.array([b.load_kw for b in instance.buses]), np.array([b.load_kvar for b in instance.buses])


def test_case33bw_facts() -> None:
    """Loss 202.677 kW, 135.141 kvar, lowest voltage 0.91309 p.u. at bus 18 (pandapower, case33bw)."""
    instance = load("ieee33-road16")
    kw, kvar = base_load(instance)
    assert kw.sum() == pytest.approx(3715.0)
    assert kvar.sum() == pytest.approx(2300.0)
    flow = ac_sweep(instance, kw, kvar, root_voltage_pu=1.0)
    assert flow.loss_kva.real == pytest.approx(202.677, abs=5e-4)
    assert flow.loss_kva.imag == pytest.approx(135.141, abs=5e-4)
    assert flow.voltage_pu.min() == pytest.approx(0.91309, abs=5e-6)
    assert instance.buses[int(flow.voltage_pu.argmin())].id == "18"


def test_every_bus_and_line_of_the_reference(shared_data: Path) -> None:
    """Impedances, loads, voltages and line flows agree with the reference; its tie lines are left out."""
    instance = load("ieee33-road16")
    with open(shared_data / "ieee33" / "buses.csv", encoding="utf-8", newline="") as stream:
        buses = list(csv.DictReader(stream))
    with open(shared_data / "ieee33" / "lines.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    lines = [row for row in rows if row["in_service"] == "True"]
    assert len(rows) - len(lines) == 5
    for bus, row in zip(instance.buses, buses, strict=True):
        assert (bus.id, bus.load_kw, bus.load_kvar) == (
            row["bus"], float(row["p_load_kw"]), float(row["q_load_kvar"]),
        )  # fmt: skip
        assert instance.feeder.base_kv == float(row["vn_kv"])
    for line, row in zip(instance.lines, lines, strict=True):
        assert (line.from_bus, line.to_bus) == (row["from_bus"], row["to_bus"])
        assert (line.r_ohm, line.x_ohm) == (float(row["r_ohm"]), float(row["x_ohm"]))
    flow = ac_sweep(instance, *base_load(instance), root_voltage_pu=1.0)
    assert flow.voltage_pu == pytest.approx([float(row["v_ac_pu"]) for row in buses], abs=1e-8)
    assert flow.line_kva.real == pytest.approx([float(row["p_from_ac_kw"]) for row in lines], abs=1e-4)
    assert flow.line_kva.imag == pytest.approx([float(row["q_from_ac_kvar"]) for row in lines], abs=1e-4)


def two_buses(r_ohm: float, x_ohm: float) -> Instance:
    tie = load("tie")
    line = Line("L", "2", "1", r_ohm, x_ohm)
    return replace(tie, buses=(Bus("1", 0.0, 0.0, 0.9, 1.1), Bus("2", 0.0, 0.0, 0.9, 1.1)), lines=(line,))


@pytest.mark.parametrize(("kw", "kvar"), [(500.0, 0.0), (500.0, 300.0), (-800.0, 100.0), (0.0, 0.0)])
def test_two_buses_solve_their_quadratic(kw: float, kvar: float) -> None:
    """|V|^4 + (2(rP + xQ) - V0^2)|V|^2 + (r^2 + x^2)(P^2 + Q^2) = 0, its larger root."""
    instance = two_buses(4.0, 3.0)
    flow = ac_sweep(instance, np.array([0.0, kw]), np.array([0.0, kvar]))
    r, x = (z / instance.feeder.base_ohm for z in (4.0, 3.0))
    p, q = kw / instance.feeder.base_kva, kvar / instance.feeder.base_kva
    half = 0.5 * (1.0 - 2 * (r * p + x * q))
    squared = half + np.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2))
    assert flow.voltage_pu[1] == pytest.approx(np.sqrt(squared), rel=1e-11)
    assert flow.voltage_pu[0] == instance.feeder.root_voltage_pu


def test_power_balances() -> None:
    """What enters at the root is the loads and the losses; every bus receives its load."""
    instance = load("ieee33-road16")
    kw, kvar = base_load(instance)
    kw = kw - 400.0 * (np.arange(33) == 16)
    flow = ac_sweep(instance, kw, kvar)
    entering = flow.line_kva[0]
    assert entering == pytest.approx(complex(kw.sum(), kvar.sum()) + flow.loss_kva, rel=1e-9)
    tree = feeder_tree(instance)
    v = flow.voltage * instance.feeder.base_kv
    z = np.array([line.r_ohm + 1j * line.x_ohm for line in instance.lines])
    current = (v[list(tree.near)] - v[list(tree.far)]) / z
    arriving = 1000.0 * v[list(tree.far)] * np.conj(current)
    leaving = np.zeros(33, complex)
    np.add.at(leaving, list(tree.near), 1000.0 * v[list(tree.near)] * np.conj(current))
    assert arriving == pytest.approx((kw + 1j * kvar + leaving)[list(tree.far)], abs=1e-6)


def test_the_direction_of_a_line_in_the_file_does_not_matter() -> None:
    instance = load("ieee33-road16")
    turned = replace(
        instance,
        lines=tuple(replace(x, from_bus=x.to_bus, to_bus=x.from_bus) for x in instance.lines[::-1]),
    )
    one, other = (ac_sweep(i, *base_load(i)) for i in (instance, turned))
    assert one.voltage == pytest.approx(other.voltage, abs=1e-13)
    assert one.line_kva == pytest.approx(other.line_kva[::-1], abs=1e-9)


def test_collapse_is_an_error_with_a_cure() -> None:
    instance = load("ieee33-road16")
    kw, kvar = base_load(instance)
    with pytest.raises(NoPowerFlowError, match="Lower the loads"):
        ac_sweep(instance, 10 * kw, 10 * kvar)
