"""Orientation of the radial feeder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from formulations.feeder_tree import feeder_tree
from instances.model import Bus, Instance, Line


def test_lines_point_outward_whatever_the_file_says(game: Instance) -> None:
    """Line "3-2" is written towards the root and still feeds bus 3."""
    tree = feeder_tree(game)
    assert tree.order == (0, 1, 2, 3)
    assert tree.near == (0, 1, 1)
    assert tree.far == (1, 2, 3)
    assert tree.parent_line == (-1, 0, 1, 2)
    assert tree.children == ((0,), (1, 2), (), ())


def test_downstream_says_who_is_fed_through_a_line(game: Instance) -> None:
    assert np.array_equal(feeder_tree(game).downstream, [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_loop_is_refused_by_name(game: Instance) -> None:
    tie = Line("3-4", "3", "4", 1.0, 1.0)
    with pytest.raises(ValueError, match=r"closes a loop; the feeder must be radial"):
        feeder_tree(replace(game, lines=(*game.lines, tie)))


def test_two_lines_between_the_same_buses_are_a_loop(game: Instance) -> None:
    with pytest.raises(ValueError, match="closes a loop"):
        feeder_tree(replace(game, lines=(*game.lines, replace(game.lines[0], id="again"))))


def test_an_island_is_refused_by_name(game: Instance) -> None:
    with pytest.raises(ValueError, match="no line connects the buses 9"):
        feeder_tree(replace(game, buses=(*game.buses, Bus("9", 1.0, 0.0, 0.9, 1.1))))
