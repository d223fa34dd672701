"""The feeder's true voltages and losses at given loads: an AC power flow by backward/forward sweep.

The dispatch of the paper, (7)-(9), is lossless and linear in the squared voltages. This is the check on
it: constant-power loads S_b, series impedances z_l = r_l + j x_l, no shunts, root voltage V_0 fixed.

    backward   I_l = sum over the buses b fed through l of conj(S_b / V_b)
    forward    V_far(l) = V_near(l) - z_l I_l

until the voltages stand still. Source: Shirmohammadi, Hong, Semlyen, Luo, A compensation-based power flow
method for weakly meshed distribution and transmission networks, IEEE Trans. Power Systems 3(2), 1988.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.feeder_tree import feeder_tree
from instances.model import Instance

Array = np.ndarray[Any, Any]

STILL_PU = 1e-12
"""The sweep ends when no voltage moves by more than this, p.u."""

MOST_SWEEPS = 500
"""A solvable feeder needs about ten; beyond the point of voltage collapse the sweep never ends."""


class NoPowerFlowError(ArithmeticError):
    """The loads are beyond what the feeder can carry: there is no AC power flow, or none was reached."""


@dataclass(frozen=True)
class PowerFlow:
    """voltage (B,) complex p.u.; line_kva (L,) complex kW + j kvar that enter each line at its end towards
    the root; loss_kva complex kW + j kvar lost in all lines; sweeps needed."""

    voltage: Array
    line_kva: Array
    loss_kva: complex
    sweeps: int

    @property
    def voltage_pu(self) -> Array:
        """(B,) voltage magnitudes, p.u."""
        return np.abs(self.voltage)


def ac_sweep(
    instance: Instance, load_kw: Array, load_kvar: Array, *, root_voltage_pu: float | None = None
) -> PowerFlow:
    """AC power flow at net loads ``load_kw``, ``load_kvar``, shape (B,), generation negative.

    ``root_voltage_pu`` defaults to the instance's. Raises NoPowerFlowError when the sweep does not settle
    (loads beyond voltage collapse).
    """
    feeder, tree = instance.feeder, feeder_tree(instance)
    root = feeder.root_voltage_pu if root_voltage_pu is None else root_voltage_pu
    load = (np.asarray(load_kw, float) + 1j * np.asarray(load_kvar, float)) / feeder.base_kva
    impedance = np.array([line.r_ohm + 1j * line.x_ohm for line in instance.lines]) / feeder.base_ohm
    # V_b = V_0 - sum of z_l I_l over the lines between root and b: the transpose of the downstream matrix
    downstream = tree.downstream
    voltage = np.full(len(instance.buses), complex(root))
    for sweep in range(1, MOST_SWEEPS + 1):
        current = downstream @ np.conj(load / voltage)
        moved = root - downstream.T @ (impedance * current)
        change = float(np.max(np.abs(moved - voltage), initial=0.0))
        voltage = moved
        if not np.isfinite(change) or np.any(voltage == 0):
            break
        if change <= STILL_PU:
            current = downstream @ np.conj(load / voltage)
            loss = impedance * np.abs(current) ** 2
            entering = voltage[list(tree.near)] * np.conj(current)
            return PowerFlow(
                voltage, entering * feeder.base_kva, complex(loss.sum() * feeder.base_kva), sweep
            )
    raise NoPowerFlowError(
        f"the AC power flow of {instance.name} did not settle in {MOST_SWEEPS} sweeps at a total load of "
        f"{float(np.sum(load_kw)):.0f} kW: the feeder can't carry it. Lower the loads."
    )
