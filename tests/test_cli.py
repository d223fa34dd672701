"""The command line as its users meet it: exit codes, errors with cause and cure, JSON, result folders."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import instances
from mpec.cli import main, parser

COMMANDS = (
    "show",
    "solve",
    "heuristic",
    "respond",
    "compare",
    "certify",
    "study",
    "report",
    "diff",
    "assign",
    "solve-bilevel",
    "routes",
)


def strict(text: str) -> Any:
    """JSON that holds no NaN or Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


def write_prices(path: Path, name: str, price: float | None = None) -> Path:
    """A prices file for every station and period of a bundled instance; the box's middle by default."""
    game = instances.load(name)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["station", "period", "charging_price"])
        for station in game.stations:
            middle = 0.5 * (station.price_min + station.price_max)
            for period in game.periods:
                writer.writerow([station.id, period.id, middle if price is None else price])
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_states_the_exit_codes(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--json" in said
    assert "4 REJECTED" in said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required"),
        (["sovle", "tie"], "invalid choice"),
        (["solve", "tie", "--gap", "-0.1"], "finite number >= 0"),
        (["solve", "tie", "--gap", "nan"], "finite number"),
        (["solve", "tie", "--time-limit", "0"], "finite number > 0"),
        (["solve", "tie", "--periods", "10-8"], "runs backwards"),
        (["solve", "tie", "--periods", "morning"], "write 8-10"),
        (["solve", "tie", "--workers", "0"], "whole number >= 1"),
        (["solve", "tie", "--tariff", "flat"], "invalid choice"),
        (["heuristic", "tie", "--seed", "-1"], "whole number >= 0"),
        (["respond", "tie"], "--prices"),
        (["solve", "tie", "--resu"], "unrecognized"),
    ],
)
def test_wrong_usage_leaves_with_2_and_the_reason(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["show", "nowhere"], "bundled names"),
        (["solve", "tie", "--periods", "5-9"], "the instance has the periods"),
        (["solve", "tie", "--export", "model.txt"], ".mps or .lp"),
        (["respond", "tie", "--prices", "missing.csv"], "missing.csv"),
        (["certify", "missing"], "missing"),
        (["diff", "missing", "missing"], "missing"),
    ],
)
def test_bad_input_leaves_with_2_cause_and_cure_and_no_traceback(
    arguments: list[str],
    why: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert why in said.err
    assert "Traceback" not in said.err
    assert "Internal error" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("station,period\nA,1\n", "no column charging_price"),
        ("station,period,charging_price\n", "no column"),
        ("station,period,charging_price\nZ,1,1\n", "'Z' is no station"),
        ("station,period,charging_price\nA,one,1\n", "a whole number and a number"),
        ("station,period,charging_price\nA,1,nan\n", "not a finite number"),
        ("station,period,charging_price\nA,1,1\nA,1,1\n", "there twice"),
        ("station,period,charging_price\nA,7,1\n", "has no price in period 1"),
    ],
)
def test_a_bad_prices_file_is_refused_with_its_row(
    text: str, why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    prices = tmp_path / "prices.csv"
    prices.write_text(text)
    assert main(["respond", "tie", "--prices", str(prices), "--out", str(tmp_path / "out")]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_show_prints_sizes_and_mechanisms(capsys: pytest.CaptureFixture[str]):
    assert main(["show", "two-period-residual", "--json"]) == 0
    said = strict(capsys.readouterr().out)
    assert said["sizes"]["stations"] == 1
    assert said["sizes"]["residual share xi"] == 0.5
    assert {"name", "cases", "example"} <= set(said["mechanisms"][0])
    assert main(["show", "two-period-residual", "--xi", "0"]) == 0
    assert "residual share xi           0" in capsys.readouterr().out


def test_respond_writes_a_judged_folder_and_refuses_to_overwrite_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    prices = write_prices(tmp_path / "prices.csv", "two-period-residual")
    out = tmp_path / "answer"
    command = ["respond", "two-period-residual", "--prices", str(prices), "--out", str(out), "--json"]
    assert main(command) == 0
    said = strict(capsys.readouterr().out)
    assert said["verdict"] == "EQUILIBRIUM"
    assert said["profit"] == pytest.approx(said["lower_bound"], rel=1e-9)
    assert said["upper_bound"] is None
    assert strict((out / "equilibrium.json").read_text())["profit"] == said["profit"]
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_certify_judges_afresh_and_rejects_a_falsified_price(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    prices = write_prices(tmp_path / "prices.csv", "two-period-residual")
    out = tmp_path / "answer"
    assert main(["respond", "two-period-residual", "--prices", str(prices), "--out", str(out)]) == 0
    assert main(["certify", str(out)]) == 3
    (out / "certificate.json").write_text('{"verdict": "CERTIFIED"}')
    assert main(["certify", str(out)]) == 3
    table = (out / "prices.csv").read_text().splitlines()
    row = table[1].split(",")
    row[2] = repr(float(row[2]) * 1.01)
    (out / "prices.csv").write_text("\n".join([table[0], ",".join(row), *table[2:]]) + "\n")
    capsys.readouterr()
    assert main(["certify", str(out), "--json"]) == 4
    said = strict(capsys.readouterr().out)
    assert said["verdict"] == "REJECTED"
    assert any(not check["passed"] for check in said["checks"])


def test_diff_says_which_is_better_only_when_intervals_are_disjoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    prices = write_prices(tmp_path / "prices.csv", "tie")
    out = tmp_path / "answer"
    assert main(["respond", "tie", "--prices", str(prices), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["diff", str(out), str(out)]) == 0
    assert "can't be told" in capsys.readouterr().out


def test_the_heuristic_is_seeded_and_judged(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    small = ["--runs", "2", "--population", "8", "--iterations", "12", "--json"]
    profits = []
    for name in ("first", "second"):
        assert main(["heuristic", "closed-form-price", *small, "--out", str(tmp_path / name)]) == 0
        said = strict(capsys.readouterr().out)
        assert said["method"] == "heuristic"
        profits.append(said["profit"])
        assert len(said["options"]["runs"]) == 2
    assert profits[0] == profits[1]


def test_the_console_script_s_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "mpec", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("evcs-mpec ")


def test_an_unforeseen_error_is_called_internal_and_leaves_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(arguments: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mpec.commands.game.show", broken)
    assert main(["show", "tie"]) == 1
    said = capsys.readouterr().err
    assert "Internal error in `mpec show`: ZeroDivisionError" in said
    assert "Traceback" not in said


def test_ctrl_c_says_where_the_work_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mpec.commands.game.solve", interrupted)
    assert main(["solve", "tie"]) == 130
    assert "--resume" in capsys.readouterr().err


def test_the_defaults_are_those_of_the_interface():
    solve = parser().parse_args(["solve", "tie"])
    assert (solve.gap, solve.time_limit, solve.solver, solve.method) == (0.01, 3600.0, "highs", "decomposed")
    heuristic = parser().parse_args(["heuristic", "tie"])
    assert (heuristic.runs, heuristic.population, heuristic.iterations, heuristic.seed) == (10, 50, 100, 0)
    compare = parser().parse_args(["compare", "tie", "--periods", "8-10"])
    assert (compare.runs, compare.iterations, compare.periods) == (None, None, (8, 10))
    assert parser().parse_args(["assign", "net", "trips"]).gap == 1e-12


def test_assign_on_braess(capsys: pytest.CaptureFixture[str], shared_data: Path):
    """Flows 4/2/2/2/4, every path costs 92, potential 386."""
    folder = shared_data / "tntp" / "Braess-Example"
    files = [str(folder / "Braess_net.tntp"), str(folder / "Braess_trips.tntp")]
    assert main(["assign", *files, "--json"]) == 0
    said = strict(capsys.readouterr().out)
    assert [road["flow"] for road in said["flows"]] == pytest.approx([4, 2, 2, 2, 4], abs=1e-8)
    assert [trip["cost"] for trip in said["trips"]] == pytest.approx([92], abs=1e-6)
    assert said["potential"] == pytest.approx(386.0, abs=1e-6)
    assert said["converged"] is True
    assert main(["assign", *files]) == 0
    assert "potential 386.0" in capsys.readouterr().out


def test_assign_refuses_a_net_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    net = tmp_path / "net.tntp"
    net.write_text("<NUMBER OF NODES> four\n")
    assert main(["assign", str(net), str(net)]) == 2
    assert "net.tntp" in capsys.readouterr().err


def write_bilevel(folder: Path) -> Path:
    """min -x - y, 0 <= x <= 2, y in argmin {y : y >= 0, x - 0.01 y <= 1}: the optimum is -102 at (2, 100)."""
    mps = folder / "wrong_m.mps"
    mps.write_text(
        "NAME wrong_m\nROWS\n N obj\n L row\nCOLUMNS\n"
        " x obj -1 row 1\n y obj -1 row -0.01\n"
        "RHS\n rhs row 1\nBOUNDS\n UP bound x 2\nENDATA\n"
    )
    (folder / "wrong_m.aux").write_text("N 1\nM 1\nLC 1\nLR 0\nLO 1\nOS 1\n")
    return mps


def test_solve_bilevel_gets_the_wrong_m_trap_right(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    mps = write_bilevel(tmp_path)
    assert main(["solve-bilevel", str(mps), "--json"]) == 0
    said = strict(capsys.readouterr().out)
    assert said["verdict"] == "CERTIFIED"
    assert said["leader_objective"] == pytest.approx(-102.0, rel=1e-6)
    assert said["variables"] == pytest.approx({"x": 2.0, "y": 100.0}, rel=1e-6)
    assert main(["solve-bilevel", str(mps)]) == 0
    assert capsys.readouterr().out.startswith("CERTIFIED (optimal)")


def test_solve_bilevel_refuses_with_the_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    mps = write_bilevel(tmp_path)
    assert main(["solve-bilevel", str(mps), "--mode", "sos1", "--json"]) == 2
    said = strict(capsys.readouterr().out)
    assert (said["status"], said["verdict"], said["leader_objective"]) == ("refused", "REFUSED", None)
    assert "SOS" in said["reason"]
    (tmp_path / "wrong_m.aux").write_text("N 1\nM 1\nLC 7\nLR 0\nLO 1\nOS 1\n")
    assert main(["solve-bilevel", str(mps)]) == 2
    assert "wrong_m.aux" in capsys.readouterr().err
