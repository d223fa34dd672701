"""The lifted rows behind derived Ms: what is rounded in them is rounded outwards."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from mpec.derivation import _most
from mpec.lifting import Lifting, _range

Row = tuple[list[int], list[float], float, float]


def rows_of(lifting: Lifting) -> list[Row]:
    matrix, low, high, _, _ = lifting.assembled()
    spans = zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    return [
        (matrix.indices[a:b].tolist(), matrix.data[a:b].tolist(), float(low[i]), float(high[i]))
        for i, (a, b) in enumerate(spans)
    ]


def broken(rows: list[Row], x: list[Fraction]) -> list[int]:
    """The rows that a point breaks, by rational numbers."""
    out = []
    for i, (columns, values, low, high) in enumerate(rows):
        total = sum((Fraction(v) * x[j] for j, v in zip(columns, values, strict=True)), Fraction(0))
        if (np.isfinite(low) and total < Fraction(low)) or (np.isfinite(high) and total > Fraction(high)):
            out.append(i)
    return out


@pytest.mark.parametrize("seed", range(20))
def test_every_product_keeps_its_rows_in_exact_arithmetic(seed: int) -> None:
    """Also where u and v stand at the ends of their intervals, where a McCormick row is an equation."""
    rng = np.random.default_rng(seed)
    low, high = -rng.random(3), rng.random(3)
    values = rng.normal(size=3) * 10.0 ** rng.integers(-3, 4, 3)
    v_low, v_high = sorted((rng.normal(size=2) * 10.0 ** rng.integers(-3, 4)).tolist())
    lifting = Lifting(
        sp.csr_matrix((0, 4)), np.zeros(0), np.zeros(0), np.append(low, v_low), np.append(high, v_high)
    )
    least, most = _range(values, low, high)
    w = lifting.product(np.arange(3), values, least, most, 3, v_low, v_high)
    rows, columns = rows_of(lifting), len(lifting.lower)
    for corner in range(16):
        ends = [high[j] if corner >> j & 1 else low[j] for j in range(3)]
        x = [Fraction(float(end)) for end in [*ends, v_high if corner >> 3 & 1 else v_low]]
        u = sum((Fraction(float(c)) * p for c, p in zip(values, x, strict=False)), Fraction(0))
        point = [*x, *([u] * (columns - 4))]
        point[w] = u * x[3]
        assert broken(rows, point) == []
        assert Fraction(least) <= u <= Fraction(most)
        # And the rows are no wider than rounding: a billionth more or less of w breaks one at every corner.
        size = 1 + sum(Fraction(abs(float(c))) for c in values) * abs(x[3])
        for off in (size, -size):
            point[w] = u * x[3] + off / 10**9
            assert broken(rows, point)


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_value_of_a_row_is_rounded_upwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = sp.csr_matrix(rng.normal(size=(5, 8)) * 10.0 ** rng.integers(-5, 6, (5, 8)))
    constant, low, high = rng.normal(size=5), -rng.random(8), rng.random(8)
    found = _most(rows, constant, low, high)
    for i in range(5):
        entries = rows.toarray()[i]
        true = Fraction(float(constant[i])) + sum(
            Fraction(float(a)) * Fraction(float(high[j] if a > 0 else low[j])) for j, a in enumerate(entries)
        )
        assert Fraction(float(found[i])) >= true
        assert found[i] == pytest.approx(float(true), rel=1e-12, abs=1e-9)


def test_a_factor_without_limits_has_a_column_of_its_own() -> None:
    """What rounding in its entries could amount to has no limit either."""
    lifting = Lifting(
        sp.csr_matrix((0, 2)), np.zeros(0), np.zeros(0), np.array([0.0, 0.1]), np.array([np.inf, 0.3])
    )
    w = lifting.product(np.array([0]), np.array([1.0 / 3.0]), 0.0, np.inf, 1, 0.1, 0.3)
    rows = rows_of(lifting)
    assert (w, len(lifting.lower)) == (2, 4)
    assert (lifting.lower[3], lifting.upper[3]) == (0.0, np.inf)
    assert [-1.0 / 3.0 in values for _, values, _, _ in rows] == [True, *[False] * (len(rows) - 1)]
