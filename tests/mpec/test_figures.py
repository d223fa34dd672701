"""Figures: files that open, the same data the same bytes, and layouts that cross nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import instances
import mpec
from mpec import feeder_map, figures, overview, road_map
from mpec.equilibrium import BoundStep, Equilibrium

NAMES = ("bounds", "prices", "loads", "roads", "feeder")


@pytest.fixture(scope="module")
def answer() -> Equilibrium:
    game = instances.load("two-period-residual")
    return mpec.respond(game, overview.middle_prices(game))


def test_every_figure_is_written_as_svg_and_png(answer: Equilibrium, tmp_path: Path):
    written = figures.draw_all({"exact": answer, "heuristic": answer}, tmp_path)
    assert {path.name for path in written} == {f"{name}.{kind}" for name in NAMES for kind in ("svg", "png")}
    for path in written:
        start = path.read_bytes()[:200]
        assert start.startswith(b"\x89PNG") if path.suffix == ".png" else b"<?xml" in start
    assert "charging, heuristic" in (tmp_path / "prices.svg").read_text()


def test_equal_data_give_equal_files(answer: Equilibrium, tmp_path: Path):
    for name in ("a", "b"):
        figures.draw_all({"exact": answer}, tmp_path / name)
    for kind in NAMES:
        assert (tmp_path / "a" / f"{kind}.svg").read_bytes() == (tmp_path / "b" / f"{kind}.svg").read_bytes()


def test_without_a_point_only_the_bounds_are_drawn(answer: Equilibrium, tmp_path: Path):
    steps = (BoundStep(0, 1.0, None, 100.0), BoundStep(1, 2.0, None, 90.0))
    empty = replace(answer, point=None, status="no_point", bounds=steps)
    written = figures.draw_all({"exact": empty}, tmp_path)
    assert {path.name for path in written} == {"bounds.svg", "bounds.png"}
    bare = replace(empty, bounds=())
    figures.draw_all({"exact": bare}, tmp_path)
    assert "no bound was found" in (tmp_path / "bounds.svg").read_text()


def test_bounds_far_outside_are_cut_off_and_it_is_said(answer: Equilibrium):
    steps = (BoundStep(0, 1.0, 10.0, 1e6), BoundStep(1, 2.0, 99.0, 100.0))
    panel = figures.bounds_figure({"exact": replace(answer, bounds=steps)}).axes[0]
    assert panel.get_ylim()[1] < 200.0
    assert "cut off" in panel.get_title()


def test_the_feeder_s_laterals_cross_no_row():
    """A connection runs down the parent's column: no bus of a row in between lies in that column."""
    game = instances.load("ieee33-road16")
    place, parent = feeder_map.tree_positions(game)
    assert len({tuple(where) for where in place.tolist()}) == len(game.buses)
    root = game.bus_index[game.feeder.root_bus]
    assert parent[root] == -1
    for child, above in enumerate(parent):
        if above == -1:
            continue
        assert place[child, 0] == place[above, 0] + 1
        rows = range(int(place[child, 1]) + 1, int(place[above, 1]))
        for row in rows:
            spans = place[place[:, 1] == row, 0]
            starts = parent[int(np.flatnonzero(place[:, 1] == row)[np.argmin(spans)])]
            assert not place[starts, 0] < place[above, 0] <= spans.max()


def test_full_lines_are_those_at_a_side_of_the_octagon():
    """|P| = S and |P + Q| = sqrt(2) S are sides of the outer octagon; the inner one is smaller."""
    game = instances.load("two-period-residual")
    game = replace(game, lines=tuple(replace(line, rating_kva=100.0) for line in game.lines))
    inner = replace(game, feeder=replace(game.feeder, polygon="inner"))

    def full(case: instances.Instance, p: float, q: float) -> bool:
        return bool(feeder_map.full_lines(case, np.array([p]), np.array([q]))[0])

    assert not full(game, 0.0, 0.0)
    assert full(game, -100.0, 30.0)
    assert full(game, 70.72, 70.72)
    assert full(game, 70.72, -70.72)
    assert not full(game, 70.0, 70.0)
    assert full(inner, 70.0, 70.0)


def test_nodes_without_coordinates_are_laid_out_by_distance():
    game = instances.load("ieee33-road16")
    bare = replace(game, nodes=tuple(replace(node, x=0.0, y=0.0) for node in game.nodes))
    place = road_map.node_positions(bare)
    assert place.shape == (len(game.nodes), 2)
    assert np.isfinite(place).all()
    assert len(np.unique(place.round(6), axis=0)) == len(game.nodes)
    assert place.min() == 0.0
    assert place.max() == 1.0


def test_nothing_that_is_drawn_lies_outside_the_axes(answer: Equilibrium):
    assert answer.point is not None
    for figure, drawn in (
        (figures.loads_figure({"exact": answer}), [answer.point.load_kw]),
        (figures.prices_figure({"exact": answer}), [answer.point.prices, answer.point.electricity_price]),
    ):
        low, high = figure.axes[0].get_ylim()
        for values in drawn:
            assert low <= values.min()
            assert values.max() <= high
