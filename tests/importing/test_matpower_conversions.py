"""A case's own code: carried out exactly, or refused with its line; never skipped."""

from __future__ import annotations

import numpy as np
import pytest

from instances.errors import InstanceError
from mpec.importing.matpower_conversions import convert, statements

BASE_MVA = 10.0
INDICES = """[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN, LAM_P, LAM_Q, MU_VMAX, MU_VMIN] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, ...
    TAP, SHIFT, BR_STATUS, PF, QF, PT, QT, MU_SF, MU_ST, ...
    ANGMIN, ANGMAX, MU_ANGMIN, MU_ANGMAX] = idx_brch;
"""


def tables() -> dict[str, np.ndarray]:
    """Two buses (100 kVA at the second) and a branch of 1 + 2j ohm at 10 kV."""
    bus = np.zeros((2, 13))
    bus[:, 0], bus[:, 9] = (1, 2), 10.0
    bus[1, 2] = 100.0
    branch = np.zeros((1, 13))
    branch[0, :4] = (1, 2, 1.0, 2.0)
    return {"bus": bus, "branch": branch, "gen": np.zeros((1, 21))}


def run(code: str) -> dict[str, np.ndarray]:
    return convert("case.m", code, tables(), BASE_MVA)[0]


def test_ohms_become_per_unit():
    """Base impedance 10 kV^2 / 10 MVA = 10 ohm."""
    code = (
        INDICES
        + "Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts\nSbase = mpc.baseMVA * 1e6;\n"
        + "mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);\n"
    )
    assert run(code)["branch"][0, 2:4] == pytest.approx([0.1, 0.2], rel=1e-15)


def test_kva_become_mw_and_mvar_in_the_order_of_the_code():
    code = (
        INDICES
        + "mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;\npf = 0.85;\n"
        + "mpc.bus(:, QD) = mpc.bus(:, PD) * sin(acos(pf));\nmpc.bus(:, PD) = mpc.bus(:, PD) * pf;"
    )
    assert run(code)["bus"][1, 2:4] == pytest.approx([0.085, 0.1 * np.sqrt(1 - 0.85**2)], rel=1e-14)


@pytest.mark.parametrize(
    ("code", "kw"),
    [
        ("mpc.bus(:, 3) = mpc.bus(:, 3) ./ 1000;", 0.1),
        ("mpc.bus(2, 3) = 7;", 7.0),
        ("mpc.bus(end, 3) = -3 + 2 .^ 3;", 5.0),
        ("f = 2; mpc.bus(:, 3) = mpc.bus(:, 3) * f; mpc.bus(:, 3) = mpc.bus(:, 3) * f;", 400.0),
        ("%{\nmpc.bus(:, 3) = 0;\n%}\n", 100.0),
        ("% mpc.bus(:, 3) = 0;", 100.0),
        ("mpc.gencost = [\n2 0 0 3 0 20 0;\n];\nmpc.bus_name = {\n'a % b';\n'c';\n};", 100.0),
        ("function mpc = case2\nmpc.version = '2';\nmpc.baseMVA = 10;", 100.0),
        ("mpc.gencost(:, 5) = mpc.gencost(:, 5) * 2;", 100.0),
    ],
)
def test_what_else_is_understood(code: str, kw: float):
    assert run(code)["bus"][1, 2] == pytest.approx(kw)


@pytest.mark.parametrize(
    "code",
    [
        "mpc.bus(:, PD) = mpc.bus(:, PD) / 1e3;",  # PD was never defined
        "mpc = scale_load(2, mpc);",
        "mpc.bus(:, 3) = rescale(mpc.bus(:, 3));",
        "if 1\nmpc.bus(:, 3) = 0;\nend",
        "for k = 1:2\nmpc.bus(k, 3) = 0;\nend",
        "mpc.bus(1:2, 3) = 0;",
        "mpc.bus = mpc.bus * 2;",
        "mpc.bus(:, 3) = mpc.load(:, 1);",
        "[BUS_TYPE, PD] = idx_bus;\nmpc.bus(:, PD) = 0;",
        "mpc.bus(:, 3) = 1 / 0;",
        "define_constants",
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(code: str):
    with pytest.raises(InstanceError) as caught:
        run("\n\n" + code)
    [problem] = caught.value.problems
    assert problem.file == "case.m"
    assert problem.row in (3, 4)
    assert "savecase" in problem.cure


def test_statements_keep_their_lines():
    assert statements("a = 1; b = 2 % c = 3;\nd = [1 2\n3 4];\ne = ...\n 5;") == [
        (1, "a = 1"),
        (1, "b = 2"),
        (2, "d = [1 2 3 4]"),
        (4, "e =    5"),
    ]
