"""Folders that pages are made of: judged results of small games, comparisons and studies of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from judged_game import PRICES, game

from instances.model import Instance
from mpec import result_folder
from mpec.certificate import certify
from mpec.comparison import joined, table_csv
from mpec.equilibrium import BoundStep, Equilibrium
from mpec.followers.answer import follow

NASTY = '<img src=x onerror="window.hit=1">'
"""A name that would run as a script wherever it came into the page unescaped."""


def nasty_game() -> Instance:
    """The judged game with names that are markup: currency, a station, a bus, a scenario."""
    base = game()
    first, last = base.stations[0].id, base.buses[-1].id
    stations = tuple(
        replace(s, id=NASTY if s.id == first else s.id, bus=NASTY if s.bus == last else s.bus)
        for s in base.stations
    )
    buses = tuple(replace(b, id=NASTY) if b.id == last else b for b in base.buses)
    lines = tuple(
        replace(
            ln,
            from_bus=NASTY if ln.from_bus == last else ln.from_bus,
            to_bus=NASTY if ln.to_bus == last else ln.to_bus,
        )
        for ln in base.lines
    )
    farms = tuple(replace(f, bus=NASTY) if f.bus == last else f for f in base.wind_farms)
    tariff = {(NASTY if station == first else station, t): row for (station, t), row in base.tariff.items()}
    ending = "</script><script>window.hit=2</script>"
    first_scenario = base.scenarios[0].id
    scenarios = tuple(replace(s, id=ending) if s.id == first_scenario else s for s in base.scenarios)
    wind = {(ending if s == first_scenario else s, t, farm): kw for (s, t, farm), kw in base.wind.items()}
    return replace(
        base,
        currency=NASTY,
        scenarios=scenarios,
        wind=wind,
        stations=stations,
        buses=buses,
        lines=lines,
        wind_farms=farms,
        tariff=tariff,
    )


def answered(instance: Instance | None = None) -> Equilibrium:
    """The followers' answer, with bounds as a solver would state them."""
    result = follow(instance or game(), PRICES)
    profit = result.profit
    assert profit is not None
    steps = (
        BoundStep(1, 0.5, None, profit + 900.0),
        BoundStep(2, 1.0, profit, profit + 90.0),
        BoundStep(3, 2.0, profit, profit + 40.0),
    )
    upper = profit + 40.0
    return replace(
        result, lower_bound=profit, upper_bound=upper, bounds=steps, seconds=2.5, method="decomposed"
    )


def heuristic_of(result: Equilibrium) -> Equilibrium:
    """The same point as the heuristic would store it, with two runs."""
    profit = result.profit
    assert profit is not None
    runs = [
        {"seed": 0, "best": [profit - 20.0, profit - 5.0, profit], "mean": [0.0, 0.0, 0.0]},
        {"seed": 0, "best": [None, profit - 7.0], "mean": [0.0, 0.0]},
    ]
    steps = (BoundStep(0, 0.2, profit - 20.0, None), BoundStep(1, 0.4, profit, None))
    return replace(result, method="heuristic", upper_bound=None, options={"runs": runs}, bounds=steps)


def write_result(folder: Path, result: Equilibrium | None = None, *, judged: bool = True) -> Path:
    """A result folder of the answer, judged without the (slow) pessimistic bound."""
    result = result or answered()
    certificate = certify(result.instance, result, pessimistic_seconds=0) if judged else None
    result_folder.write(result, certificate, folder)
    return folder


def write_comparison(folder: Path, instance: Instance | None = None) -> Path:
    """exact/, heuristic/ and comparison.csv, as `mpec compare` leaves them."""
    exact = answered(instance)
    results = {"exact": exact, "heuristic": heuristic_of(exact)}
    judged = {n: certify(r.instance, r, pessimistic_seconds=0) for n, r in results.items()}
    for name, result in results.items():
        (folder / name).mkdir(parents=True)
        result_folder.write(result, judged[name], folder / name)
    (folder / "comparison.csv").write_text(table_csv(joined(results, judged).rows))
    return folder


def write_study(folder: Path) -> Path:
    """Two runs, one that was cut off, and everything a study makes of them."""
    exact = answered()
    profit = exact.profit
    assert profit is not None
    write_result(folder / "runs" / "exact-1", exact)
    write_result(folder / "runs" / "heuristic-1", heuristic_of(exact))
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / "equilibrium.json").write_text("{")
    (folder / "study.toml").write_text('question = "Does <b>it</b> pay?"\n')
    (folder / "rows.csv").write_text(
        f"run,method,gap,certified_upper\nexact-1,exact,0.0123,\nheuristic-1,heuristic,,{profit + 40.0!r}\n"
    )
    (folder / "README.md").write_text(
        "<!-- made -->\n# What we found\n\nThe **first** claim [holds](http://x.test), see the [rows](rows.csv).\n\n"
        "![Both bounds](figures/curve.svg)\n\n![Out](../runs/x.svg)\n"
    )
    (folder / "table_1.md").write_text("| case | best |\n|---|---:|\n| `one` | 12.5 |\n| two |\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "curve.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><text>curve</text></svg>'
    )
    return folder
