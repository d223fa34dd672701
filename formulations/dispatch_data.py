"""The numbers of the operator's program for one period and scenario, pulled from the instance here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from instances.model import Instance

INNER_SCALE = math.cos(math.pi / 8.0)
"""Scales a rating so that the octagon around the scaled circle lies inside the true circle."""

OBLIQUE_SIDES: dict[str, tuple[float, float]] = {
    "P+Q": (1.0, 1.0),
    "P-Q": (1.0, -1.0),
    "-P+Q": (-1.0, 1.0),
    "-P-Q": (-1.0, -1.0),
}
"""The four oblique sides of the octagon: a P + b Q <= sqrt2 S."""


@dataclass(frozen=True)
class DispatchData:
    """The numbers of one period's and scenario's program, pulled from the instance once.

    base_kw, base_kvar: by bus id. available_kw: by farm id. substation_kva and line_kva: after the
    polygon's scaling; line_kva holds only the lines that have a rating. r_pu_per_kw, x_pu_per_kvar: by
    line id, p.u. resistance and reactance divided by the base power. weight: probability times hours.
    """

    weight: float
    import_price: float
    curtailment_price: float
    voll: float
    root_v: float
    substation_kva: float
    base_kw: dict[str, float]
    base_kvar: dict[str, float]
    available_kw: dict[str, float]
    line_kva: dict[str, float]
    r_pu_per_kw: dict[str, float]
    x_pu_per_kvar: dict[str, float]
    v_min: dict[str, float]
    v_max: dict[str, float]

    @property
    def shedding_buses(self) -> list[str]:
        """The buses with base load, in the instance's order: only they can shed."""
        return [bus for bus, kw in self.base_kw.items() if kw > 0.0]

    @classmethod
    def of(cls, instance: Instance, period_index: int, scenario_index: int) -> DispatchData:
        """The numbers of one program; indices into `instance.periods` and `instance.scenarios`.

        Raises KeyError where wind.csv's data for this scenario, period and farm is missing.
        """
        feeder, period = instance.feeder, instance.periods[period_index]
        scenario = instance.scenarios[scenario_index]
        scale = INNER_SCALE if feeder.polygon == "inner" else 1.0
        per_unit = 1.0 / (feeder.base_ohm * feeder.base_kva)
        return cls(
            weight=scenario.probability * instance.period_h,
            import_price=period.import_price_per_kwh,
            curtailment_price=feeder.curtailment_per_kwh,
            voll=feeder.voll_per_kwh,
            root_v=feeder.root_voltage_pu**2,
            substation_kva=feeder.substation_kva * scale,
            base_kw={bus.id: bus.load_kw * period.load_factor for bus in instance.buses},
            base_kvar={bus.id: bus.load_kvar * period.load_factor for bus in instance.buses},
            available_kw={f.id: instance.wind[scenario.id, period.id, f.id] for f in instance.wind_farms},
            line_kva={
                line.id: line.rating_kva * scale for line in instance.lines if math.isfinite(line.rating_kva)
            },
            r_pu_per_kw={line.id: line.r_ohm * per_unit for line in instance.lines},
            x_pu_per_kvar={line.id: line.x_ohm * per_unit for line in instance.lines},
            v_min={bus.id: bus.vmin_pu**2 for bus in instance.buses},
            v_max={bus.id: bus.vmax_pu**2 for bus in instance.buses},
        )
