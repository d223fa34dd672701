"""Better prices for one hour by trying many near good ones, each answered exactly by the followers.

A relaxation's prices are nearly right where its point is nearly true; where it isn't, the users' answer may lie
on the dear side of a jump of the electricity price or above a station's capacity, and polish, which keeps the
used routes, can't cross over. Sampling can: what counts is the hour's Lagrangian at the followers' answer.
"""

from __future__ import annotations

import numpy as np

from formulations.prices import owned, price_box
from formulations.routes import RouteSet
from mpec.coupling import Multipliers
from mpec.followers.dispatch import DispatchSolver
from mpec.followers.users import Users

Array = np.ndarray

OVERLOAD = 3.0
"""money per kWh above a station's capacity: polish brings small excesses back, large ones are no use."""


def sample_hour(
    routes: RouteSet,
    t: int,
    incoming: Array,
    centers: Array,
    multipliers: Multipliers,
    tariff: Array | None,
    *,
    count: int = 40,
    generations: int = 6,
    seed: int = 0,
    keep: int = 2,
) -> Array:
    """The best prices, (keep, M) at most, found around ``centers`` (K, M) in hour ``t``, by their Lagrangian value.

    ``incoming`` (N,) residuals arrive; ``tariff`` (M,) is the electricity price where the operator's LP doesn't
    set it. Every generation draws around the best prices so far, ever closer; single stations are moved
    as well as all of them.
    """
    instance = routes.instance
    users = Users(routes)
    operator = DispatchSolver(instance) if tariff is None else None
    low, high = (ends[:, t] for ends in price_box(instance))
    rng = np.random.default_rng([seed, t])
    # In the dearest hours the limits themselves are good prices.
    elite = np.clip(np.vstack([centers, high]), low, high)
    values = _values(users, operator, t, elite, incoming, multipliers, tariff)
    scale = 0.06
    for number in range(generations):
        parents = elite[rng.integers(len(elite), size=count)]
        moved = [parents + _steps(rng, count, scale * (high - low))]
        moved += [_ladder(one, scale * (high - low)) for one in elite[: 3 if number == 0 else 1]]
        children = np.clip(np.vstack(moved), low, high)
        elite = np.vstack([elite, children])
        values = np.concatenate(
            [values, _values(users, operator, t, children, incoming, multipliers, tariff)]
        )
        order = np.argsort(-values)[:6]
        elite, values = elite[order], values[order]
        scale *= 0.55
    return np.asarray(elite[:keep])


def _ladder(prices: Array, size: Array) -> Array:
    """From ``prices`` (M,): every station alone, and all the others together, down and up by several lengths."""
    stations = len(prices)
    out = []
    for length in (0.4, 1.0, 2.0):
        for m in range(stations):
            alone = np.where(np.arange(stations) == m, length * size, 0.0)
            others = np.where(np.arange(stations) == m, 0.0, length * float(size.mean()))
            out += [prices - alone, prices + alone, prices - others, prices + others]
    return np.array(out)


def _steps(rng: np.random.Generator, count: int, size: Array) -> Array:
    """Moves (count, M) of typical size (M,): all stations, a few, and all but a few by a common amount.

    The users look at differences of prices, so a station is best made dearer, where its own price is at its limit,
    by lowering all the others by the same.
    """
    step = rng.normal(size=(count, len(size))) * size
    third = count // 3
    few = rng.random((count, len(size))) < 1.5 / len(size)
    step[:third] *= few[:third]
    common = rng.normal(size=(third, 1)) * float(size.mean())
    step[third : 2 * third] = np.where(few[third : 2 * third], 0.1 * step[third : 2 * third], common)
    return np.asarray(step)


def _values(
    users: Users,
    operator: DispatchSolver | None,
    t: int,
    prices: Array,
    incoming: Array,
    multipliers: Multipliers,
    tariff: Array | None,
) -> Array:
    """profit - cap.rho + link_{t+1}.r at the followers' answers to prices (K, M), less what overloads cost."""
    instance = users.routes.instance
    flows, _ = users.solve(t, prices, np.tile(incoming, (len(prices), 1)))
    residual, _, load = users.residual(flows)
    paid = np.zeros_like(load)
    if operator is not None:
        paid, _ = operator.prices(t, load)
    elif tariff is not None:
        paid = np.broadcast_to(tariff, load.shape)
    capacity = np.array([s.capacity_kw for s in instance.stations])
    margin = (prices - paid) * owned(instance)
    value = instance.period_h * (margin * load).sum(axis=1) - prices @ multipliers.cap
    if t + 1 < multipliers.link.shape[1]:
        value += residual @ multipliers.link[:, t + 1]
    excess = np.maximum(load - capacity, 0.0).sum(axis=1)
    return np.asarray(value - OVERLOAD * instance.period_h * excess)
