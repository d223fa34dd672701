"""Coordinates of the heuristic: every hour's price level, and the stations' distances from each other.

Where drivers can choose among stations, the distances between an hour's prices decide where they charge, and the
level decides what they pay. A position in [0, 1]^((1 + M) T) holds, hour by hour, the level's share y of the room
that the distances leave, and the distances z:

    d[m, t]   = middle[m, t] + (z[m, t] - 1/2) (high - low)[m, t]                     money/kWh
    floor[t]  = max_m (low - d)[m, t],      ceiling[t] = min_m (high - d)[m, t]
    rho[m, t] = floor[t] + y[t] (ceiling - floor)[t] + d[m, t]

so that every level keeps the distances (distances too great for the boxes meet in their middle and are clipped). All
coordinates 1/2 is the middle of the boxes if these leave equal room above and below, and a price with the distances
of the boxes' middles otherwise.

Mean caps are met in two steps. A station whose mean distance is above the middle's, by more than its cap has room
above the scarcest one's, gives up a share of its own distances above the middle's, the same in every hour. Then all
stations come down by the same amount. So an hour with the middle's distances keeps them, and with them the users'
choice of stations, whatever the other hours do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class PriceLevels:
    """Positions (n, (1 + M) T) as prices (n, M, T) in boxes low, high (M, T) under mean caps (M,); inf: no cap."""

    low: Array
    high: Array
    cap: Array

    @property
    def dimension(self) -> int:
        """Coordinates of a position."""
        stations, periods = self.low.shape
        return int((stations + 1) * periods)

    def split(self, position: Array) -> tuple[Array, Array]:
        """Levels (n, T) and distances (n, M, T) of positions, as views."""
        stations, periods = self.low.shape
        return position[:, :periods], position[:, periods:].reshape(-1, stations, periods)

    def prices(self, position: Array) -> Array:
        """Prices (n, M, T) in their boxes, money/kWh; the mean caps may be exceeded."""
        share, _ = self.split(position)
        distance, floor, room = self._room(position)
        return self._at(floor + share * room, distance)

    def under_caps(self, position: Array) -> Array:
        """The positions with distances shortened and levels lowered until every mean cap is met (module's text).

        Levels stop at their floors. Where the distances alone exceed a cap, it stays exceeded.
        """
        share, _ = self.split(position)
        distance, floor, room = self._room(position)
        if not self._over(floor + share * room, distance).any():
            return position
        position = position.copy()
        share, distances = self.split(position)
        self._shorten(distances)
        distance, floor, room = self._room(position)
        level = floor + share * room
        over = self._over(level, distance)
        shortest, longest = np.zeros(len(position)), room.max(axis=1)
        for _ in range(60):
            middle = 0.5 * (shortest + longest)
            above = self._over(np.maximum(level - middle[:, None], floor), distance)
            shortest, longest = np.where(above, middle, shortest), np.where(above, longest, middle)
        lowered = np.maximum(level - np.where(over, longest, 0.0)[:, None], floor)
        np.divide(lowered - floor, room, out=share, where=room > 0.0)
        return position

    def _shorten(self, distances: Array) -> None:
        """The first step, in place, for positions that exceed some cap."""
        width = self.high - self.low
        slack = self.cap - 0.5 * (self.low + self.high).mean(axis=1)
        room = slack - slack.min()
        beyond = (distances - 0.5) * width
        upward = np.maximum(beyond, 0.0).mean(axis=2)
        surplus = np.clip(beyond.mean(axis=2) - room, 0.0, upward)
        kept = 1.0 - np.divide(surplus, upward, out=np.zeros_like(upward), where=upward > 0.0)
        distances[:] = np.where(distances > 0.5, 0.5 + (distances - 0.5) * kept[:, :, None], distances)

    def _room(self, position: Array) -> tuple[Array, Array, Array]:
        """Distances (n, M, T), the lowest level and the room above it (n, T), money/kWh."""
        _, share = self.split(position)
        distance = 0.5 * (self.low + self.high) + (share - 0.5) * (self.high - self.low)
        floor = (self.low - distance).max(axis=1)
        ceiling = (self.high - distance).min(axis=1)
        middle = 0.5 * (floor + ceiling)
        fits = floor <= ceiling
        return distance, np.where(fits, floor, middle), np.where(fits, ceiling - floor, 0.0)

    def _at(self, level: Array, distance: Array) -> Array:
        return np.asarray(np.clip(level[:, None, :] + distance, self.low, self.high))

    def _over(self, level: Array, distance: Array) -> Array:
        return np.asarray((self._at(level, distance).mean(axis=2) > self.cap).any(axis=1))
