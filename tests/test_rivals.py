"""Rival stations at posted prices, and closed ones: derived answers, second truths, and lies about who earns what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import instances
import mpec
from formulations.prices import owned, price_box
from formulations.routes import route_set
from instances.model import Instance, Station
from mpec.commands.game import read_prices
from mpec.containment import check_containment
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import Follower, follow
from mpec.followers.dispatch import DispatchSolver
from mpec.gravitational_search import best_response
from mpec.judging import judge
from mpec.price_search import best_price
from mpec.random_games import Size, random_game, with_rivals

POSTED = 0.35


def tie_with_rival(tariff: str, posted: float = POSTED) -> Instance:
    """The bundled game `tie` with a rival's station beside the leader's, in all but the price the same.

    2000 kWh are charged; electricity costs 0.1. The leader earns 2000 (rho - 0.1) up to rho = posted price, where
    it is a tie, and nothing above: the optimum is 2000 (posted - 0.1), as against an outside option of that cost.
    """
    game = instances.load("tie").select(tariff=tariff)  # type: ignore[arg-type]
    rival = replace(game.stations[0], id="B", owner="rival", price_min=posted, price_max=posted)
    return replace(
        game,
        stations=(*game.stations, rival),
        tariff={**game.tariff, ("B", 1): game.tariff["A", 1]},
        rival_prices={("B", 1): posted},
    )


@pytest.mark.parametrize(
    ("tariff", "method"),
    [
        ("fixed", "decomposed"),
        ("dlmp", "decomposed"),
        ("regulated", "decomposed"),
        ("dlmp", "monolithic"),
    ],
)
def test_a_rival_beside_the_leader_caps_its_price(tariff: str, method: str) -> None:
    game = tie_with_rival(tariff)
    found = mpec.solve(game, gap=1e-4, method=method, workers=1)
    certificate = judge(found, gap=1e-4, recheck=True)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.lower_bound == pytest.approx(500.0, rel=1e-6)
    assert certificate.upper_bound == pytest.approx(500.0, rel=1e-4)
    assert certificate.pessimistic_profit is not None
    assert certificate.pessimistic_profit.found == pytest.approx(0.0, abs=1e-3)
    assert found.point is not None
    assert found.point.prices[:, 0] == pytest.approx([POSTED, POSTED], rel=1e-6)


def test_a_rival_is_worth_what_the_same_outside_option_is() -> None:
    """Driving and charging cost 5, 20 kWh at the posted price: an outside cost of 5 + 20 * 0.35."""
    game = instances.load("tie").select(tariff="fixed")
    pair = replace(game.pairs[0], outside_cost=5.0 + 20.0 * POSTED)
    outside = mpec.solve(replace(game, pairs=(pair,)), gap=1e-4, workers=1)
    rival = mpec.solve(tie_with_rival("fixed"), gap=1e-4, workers=1)
    assert rival.profit == pytest.approx(outside.profit, rel=1e-9)


def congested(posted: float) -> Instance:
    """The bundled game `line-limit` with a rival at the leader's own bus, behind the line that sets the price."""
    game = instances.load("line-limit").select(tariff="dlmp")
    first = game.stations[0]
    labels = [p.id for p in game.periods]
    rival = replace(first, id="rival", owner="rival", price_min=posted, price_max=posted, price_mean_max=None)
    tariff = {
        **game.tariff,
        **{("rival", t): game.tariff[first.id, t] for t in labels if (first.id, t) in game.tariff},
    }
    return replace(
        game,
        stations=(*game.stations, rival),
        tariff=tariff,
        rival_prices={("rival", t): posted for t in labels},
    )


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_rival_at_the_same_congested_bus(share: float) -> None:
    """Its load makes the leader's electricity dear; no price on a grid beats the bound."""
    first = instances.load("line-limit").stations[0]
    game = congested(first.price_min + share * (first.price_max - first.price_min))
    assert instances.problems_of(game) == []
    found = mpec.solve(game, gap=1e-2, time_limit=None, sweeps=1, workers=1)
    certificate = judge(found, gap=1e-2, pessimistic_seconds=1.0)
    assert certificate.failures == ()
    grid = best_price(game, Follower(game), count=150, searches=1)
    assert grid.profit is not None
    assert found.upper_bound is not None
    assert found.profit is not None
    assert grid.profit <= found.upper_bound * (1 + 1e-6) + 1e-6
    assert found.profit >= grid.profit - 1e-3 * abs(grid.profit)
    if share == 0.3:
        # everybody charges at the rival, beyond the line's limit: electricity costs the value of lost load
        assert found.point is not None
        assert found.profit == 0.0
        assert found.point.load_kw[:, 0] == pytest.approx([0.0, 300.0])
        assert found.point.electricity_price[0, 0] == pytest.approx(game.feeder.voll_per_kwh)


@pytest.mark.parametrize("seed", [10, 17, 19, 21, 25])
def test_scip_agrees_on_random_games_with_rivals(seed: int) -> None:
    pytest.importorskip("pyscipopt", reason="SCIP is in the extra [scip]")
    from mpec.exact_minlp import exact_minlp

    game = with_rivals(random_game(seed, Size(2, 1, 1)), seed)
    assert instances.problems_of(game) == []
    found = mpec.solve(game, gap=1e-3, time_limit=6.0, workers=1)
    exact = exact_minlp(game, 6.0)
    if found.status == "infeasible":
        assert exact.best is None
        return
    assert judge(found, gap=1e-3, pessimistic_seconds=2.0).failures == ()
    assert found.upper_bound is not None
    room = 1e-4 * (1.0 + abs(found.upper_bound))
    if exact.prices is not None:
        # SCIP's own value is worth its tolerance on products; its prices are answered exactly
        profit, excess = Follower(game).evaluate(exact.prices)
        assert excess > 0.0 or profit <= found.upper_bound + 1e-6 * (1.0 + abs(found.upper_bound))
        assert exact.best is not None
        assert exact.best <= found.upper_bound + 10 * room
    if exact.bound is not None and found.profit is not None:
        assert found.profit <= exact.bound + room


@pytest.mark.parametrize("seed", [4, 5])
def test_true_equilibria_are_points_of_the_relaxation(seed: int) -> None:
    """Tariff `dlmp`: the rivals' share of the bill is relaxed, in every form of the hour's model."""
    game = with_rivals(random_game(seed, Size(3, 1, 2)), seed).select(tariff="dlmp")
    outcome = check_containment(route_set(game), prices=1, seed=seed)
    assert outcome.violations == []
    assert outcome.checks > 0


def test_random_games_without_rivals_stay_as_they_were() -> None:
    game = random_game(19, Size(3, 2, 2))
    rivals = with_rivals(game, 19)
    assert rivals.roads == game.roads
    assert 0 < owned(rivals).sum() < len(rivals.stations)
    assert all(s.owner == "leader" for s in game.stations)


# ---- who earns what ------------------------------------------------------------------------------
def answered(prices: tuple[float, float]) -> Equilibrium:
    return follow(tie_with_rival("dlmp"), np.array(prices)[:, None])


def failures(eq: Equilibrium) -> set[str]:
    return {check.name for check in mpec.certify(eq.instance, eq, pessimistic_seconds=0).failures}


def test_what_a_rival_earns_is_not_the_leaders() -> None:
    eq = answered((0.5, POSTED))
    assert eq.point is not None
    assert eq.point.load_kw[:, 0] == pytest.approx([0.0, 2000.0])
    assert eq.point.profit == 0.0
    assert failures(eq) == set()
    margin = float((eq.point.prices - eq.point.electricity_price)[1, 0] * eq.point.load_kw[1, 0])
    assert margin == pytest.approx(500.0)
    lie = replace(eq, point=replace(eq.point, profit=eq.point.profit + margin))
    assert failures(lie) == {"profit"}


def test_a_rival_asks_what_it_posts() -> None:
    assert "posted_prices" in failures(answered((0.3, POSTED * (1 + 1e-12))))
    assert failures(answered((0.3, POSTED))) == set()


def test_a_leader_that_calls_its_station_a_rivals_is_judged_by_the_data() -> None:
    """The judge takes the owner from the instance, not from the point."""
    eq = answered((0.3, POSTED))
    assert eq.point is not None
    swapped = tuple(
        replace(s, owner="rival" if s.owner == "leader" else "leader") for s in eq.instance.stations
    )
    other = replace(eq.instance, stations=swapped, rival_prices={("A", 1): 0.3})
    found = {c.name for c in mpec.certify(other, eq, pessimistic_seconds=0).failures}
    assert "profit" in found


def test_at_a_kink_the_price_suits_the_leader_not_its_rival() -> None:
    """The least bill of the leader's stations over the optimal duals: never more than that of other choices."""
    found = 0
    for seed in range(1, 24, 3):
        game = random_game(seed, Size(3, 1, 2))
        if len(game.stations) < 2:
            continue
        mixed = with_rivals(game, seed)
        own = owned(mixed)
        base = np.full(len(game.stations), 0.3 * game.feeder.substation_kva / len(game.stations))
        for load in _kinks(DispatchSolver(game), base):
            # so near a kink what is remembered decides on which side a load is: both begin afresh
            mine = float(DispatchSolver(mixed).prices(0, load[None])[0][0] @ (own * load))
            theirs = float(DispatchSolver(game).prices(0, load[None])[0][0] @ (own * load))
            assert mine <= theirs + 1e-6 * (1.0 + abs(theirs))
            found += 1
    assert found > 5


def _kinks(solver: DispatchSolver, base: np.ndarray) -> list[np.ndarray]:
    """Loads along a ray where the price jumps, by bisection."""
    shares = np.linspace(0.0, 3.0, 13)
    prices = solver.prices(0, shares[:, None] * base)[0].sum(axis=1)
    out = []
    for i in np.flatnonzero(np.abs(np.diff(prices)) > 1e-6)[:2]:
        low, high = shares[i], shares[i + 1]
        for _ in range(60):
            middle = 0.5 * (low + high)
            same = abs(solver.prices(0, middle * base[None])[0].sum() - prices[i]) <= 1e-6
            low, high = (middle, high) if same else (low, middle)
        out.append(low * base)
    return out


# ---- what else sees stations -----------------------------------------------------------------------
def test_the_heuristic_searches_the_leaders_prices_only() -> None:
    game = tie_with_rival("fixed")
    found = best_response(game, runs=1, population=8, iterations=15)
    assert found.point is not None
    assert found.point.prices[1, 0] == POSTED
    assert 400.0 < found.point.profit <= 500.0


def test_posted_prices_change_by_period_and_with_the_selection(tmp_path: Path) -> None:
    game = with_rivals(random_game(3, Size(2, 2, 1)), 3)
    low, high = price_box(game)
    rival = owned(game) == 0.0
    assert (low[rival] == high[rival]).all()
    assert instances.load(instances.save(game, tmp_path / "game")) == game
    last = game.periods[-1].id
    chosen = game.select(periods=(last, last))
    assert set(chosen.rival_prices) == {key for key in game.rival_prices if key[1] == last}
    assert instances.load(instances.save(chosen, tmp_path / "part")) == chosen


def test_a_blank_box_of_a_rival_is_what_it_posts() -> None:
    game = with_rivals(random_game(3, Size(2, 2, 1)), 3)
    files = {name: text.encode() for name, text in instances.files_of(game).items()}
    lines = files["stations.csv"].decode().splitlines()
    at = [lines[0].split(",").index(name) for name in ("price_min", "price_max")]
    for i, line in enumerate(lines):
        cells = line.split(",")
        if "rival" in cells:
            lines[i] = ",".join("" if j in at else cell for j, cell in enumerate(cells))
    files["stations.csv"] = ("\n".join(lines) + "\n").encode()
    again = instances.parse(files)
    for station in again.stations:
        if station.owner == "rival":
            prices = [p for (name, _), p in game.rival_prices.items() if name == station.id]
            assert (station.price_min, station.price_max) == (min(prices), max(prices))


def test_prices_to_respond_to_may_leave_rivals_out(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("station,period,charging_price\nA,1,0.3\n")
    assert read_prices(file, tie_with_rival("fixed")).tolist() == [[0.3], [POSTED]]


# ---- closed stations ---------------------------------------------------------------------------------
def test_where_everything_is_closed_everybody_stays_outside() -> None:
    game = instances.load("tie")
    closed = replace(game, stations=tuple(replace(s, available=False) for s in game.stations))
    found = mpec.solve(closed, gap=0.01, workers=1)
    certificate = judge(found, gap=0.01, recheck=True)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.lower_bound == 0.0
    assert found.point is not None
    assert found.point.load_kw.sum() == 0.0
    assert all(route.outside for route in found.point.routes)


def test_a_closed_station_holds_nobody_back_and_is_not_searched() -> None:
    """Its mean cap binds nothing: the other's prices are the same as without it."""
    game = instances.load("tie")
    shut: Station = replace(game.stations[0], id="shut", available=False, price_min=0.0, price_mean_max=0.01)
    more = replace(game, stations=(*game.stations, shut))
    found = mpec.solve(more, gap=1e-4, workers=1)
    assert found.profit == pytest.approx(600.0, rel=1e-6)
    tried = best_response(more, runs=1, population=6, iterations=10, seed=1)
    alone = best_response(game, runs=1, population=6, iterations=10, seed=1)
    assert tried.profit == pytest.approx(alone.profit, rel=1e-9)
