"""The walk over a small linear program's vertices: as good as a general solver, and one answer whatever the basis."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from mpec.followers.vertex_walk import best_step

Array = np.ndarray


def null_space(matrix: Array) -> Array:
    _, values, right = np.linalg.svd(matrix)
    return right[int((values > 1e-9).sum()) :].T


def random_program(rng: np.random.Generator) -> tuple[Array, ...]:
    """Moves that keep totals, so that the set is bounded; some flows 0, some limits exceeded."""
    while True:
        n, d = int(rng.integers(4, 20)), int(rng.integers(1, 6))
        totals = rng.integers(0, 2, (max(n - d, 1), n)).astype(float)
        totals[0] = 1.0
        moves = null_space(totals)
        if moves.shape[1]:
            break
    now = 10.0 * rng.random(n) * (rng.random(n) < 0.7)
    plan = (rng.random((int(rng.integers(0, 5)), n)) < 0.3) * rng.choice([10.0, 20.0, 25.0])
    effect = np.where(np.abs(plan @ moves) > 1e-12, plan @ moves, 0.0)
    return moves, now, effect, rng.uniform(-60.0, 120.0, len(plan)), rng.normal(size=n) @ moves, rng.random(n)


def lexicographic(moves: Array, now: Array, effect: Array, room: Array, favour: Array) -> tuple[float, float]:
    """Least total excess and, with it, the largest favour, by a general solver."""
    limits, size = len(room), moves.shape[1]
    cost = np.r_[np.zeros(size), np.ones(limits)]
    rows = np.vstack(
        [np.hstack([-moves, np.zeros((len(now), limits))]), np.hstack([effect, -np.eye(limits)])]
    )
    bounds = [(None, None)] * size + [(0.0, None)] * limits
    least = linprog(cost, A_ub=rows, b_ub=np.r_[now, room], bounds=bounds)
    second = linprog(
        np.r_[-favour, np.zeros(limits)],
        A_ub=np.vstack([rows, cost]),
        b_ub=np.r_[now, room, least.fun + 1e-9],
        bounds=bounds,
    )
    assert least.status == second.status == 0
    return float(least.fun), -float(second.fun)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_as_good_as_a_general_solver(seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        moves, now, effect, room, favour, weights = random_program(rng)
        step = best_step(moves, now, effect, room, favour, weights @ moves)
        assert step is not None
        least, best = lexicographic(moves, now, effect, room, favour)
        assert (now + moves @ step).min() >= -1e-9
        assert np.maximum(effect @ step - room, 0.0).sum() == pytest.approx(least, abs=1e-7)
        assert favour @ step == pytest.approx(best, abs=1e-5)


def test_another_basis_of_the_moves_gives_the_same_flows():
    rng = np.random.default_rng(9)
    for _ in range(60):
        moves, now, effect, room, favour, weights = random_program(rng)
        turn, _ = np.linalg.qr(rng.normal(size=(moves.shape[1],) * 2))
        flows = []
        for basis in (np.eye(moves.shape[1]), turn):
            turned = moves @ basis
            step = best_step(turned, now, effect @ basis, room, favour @ basis, weights @ turned)
            assert step is not None
            flows.append(now + turned @ step)
        assert np.allclose(flows[0], flows[1], atol=1e-7)


def test_a_set_without_bounds_is_given_up():
    one = np.ones((1, 1))
    assert best_step(one, np.ones(1), np.zeros((0, 1)), np.zeros(0), np.ones(1), np.ones(1)) is None


def test_faint_entries_of_a_tangent_are_no_pivots():
    """A flow of 0 that a move changes by 5e-9 must not stop the move there."""
    moves = np.array([[0.7], [-0.7], [-5e-9]])
    now = np.array([1.0, 2.0, 0.0])
    nothing = np.zeros((0, 1)), np.zeros(0)
    curved = best_step(moves, now, *nothing, np.ones(1), np.ones(1), curved=True)
    exact = best_step(moves, now, *nothing, np.ones(1), np.ones(1))
    assert curved is not None
    assert exact is not None
    assert curved[0] == pytest.approx(2.0 / 0.7)
    assert exact[0] == pytest.approx(0.0, abs=1e-3)
