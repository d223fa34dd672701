"""A feeder from a pandapower net: a JSON file, or `pandapower:case33bw`, a network of the package.

Read from the element tables: loads (with scaling) per bus, lines (r, x and rating by length, `parallel` and `df`),
two-winding transformers (short-circuit impedance), switches; what is out of service or behind an open switch
is open. Closed bus-bus switches join their buses. The external grid is the root. Impedances are in ohm at the
root's voltage. Shunts, line charging and magnetising currents are left out and counted.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from instances.errors import Problem, listing
from instances.model import Bus, Line
from mpec.importing.feeder_tree import Branch, load_problems, radial
from mpec.importing.pieces import FeederData, fingerprint, missing_package, problem, refusal, tidy

_INSTALL = (
    "pip install 'evcs-mpec[import]' (pandapower from 3.5 needs pandas 2: use an environment of its own)"
)
_UNLIMITED_KA = 9999.0
"""pandapower's networks write 99999 kA where no rating is known."""


def named_network(name: str) -> FeederData:
    """The feeder of a function of pandapower.networks that needs no argument."""
    networks = _pandapower(f"pandapower:{name}").networks
    make = getattr(networks, name, None)
    if not callable(make) or name.startswith("_"):
        cure = "Give a function of pandapower.networks, such as case33bw or create_cigre_network_mv."
        raise refusal("", "is not a network of pandapower.", cure, value=name)
    try:
        net = make()
    except TypeError as error:
        cure = "Make the network in Python, write it with pandapower.to_json, and give that file."
        raise refusal("", f"can't be made without arguments ({error}).", cure, value=name) from error
    import pandapower

    said = f"pandapower.networks.{name}, pandapower {pandapower.__version__}"
    return feeder_from_net(net, name=f"pandapower:{name}", source=said)


def feeder_from_json(path: Path) -> FeederData:
    """The feeder of a file written by pandapower.to_json."""
    said = f"pandapower net {fingerprint(path)}"
    pandapower = _pandapower(str(path))
    try:
        net = pandapower.from_json(str(path))
        for table in ("bus", "line", "ext_grid"):
            getattr(net, table)
    except Exception as error:
        # pandapower raises whatever it meets in a file that is no net; JSON of something else has no such tables.
        what = f"is not a net that pandapower reads ({type(error).__name__})."
        raise refusal(path.name, what, "Write it with pandapower.to_json(net, file).") from error
    return feeder_from_net(net, name=path.name, source=said)


def _pandapower(source: str) -> Any:
    try:
        import pandapower
        import pandapower.networks
    except ImportError as error:
        raise missing_package(source, "pandapower", _INSTALL) from error
    return pandapower


def feeder_from_net(net: Any, *, name: str, source: str) -> FeederData:
    """The feeder of a pandapower net. Raises InstanceError: meshed, several roots, or beyond the game."""
    problems: list[Problem] = []
    roots = net.ext_grid[net.ext_grid.in_service]
    if len(roots) != 1:
        what = f"has {len(roots)} external grids in service."
        raise refusal(name, what, "Leave one: the bus that the substation feeds.", column="ext_grid")
    _refuse_elements(net, name, problems)
    joined = _joined_buses(net)
    root_index = roots.bus.iloc[0]
    root = joined[root_index]
    base_kv = float(net.bus.vn_kv.at[root_index])
    buses = _buses(net, joined, roots)
    problems += load_problems(name, buses, {})
    open_: list[str] = []
    branches = _lines(net, name, joined, base_kv, open_, problems)
    branches += _transformers(net, name, joined, base_kv, open_, problems)
    listed, lines, notes = radial(buses, branches, root, problems)
    notes += _left_out(net, open_)
    return FeederData(
        base_kv=base_kv,
        base_kva=float(net.sn_mva) * 1000.0,
        root_bus=root,
        root_voltage_pu=float(roots.vm_pu.iloc[0]),
        buses=listed,
        lines=lines,
        source={"feeder": f"{source}; base voltage, base power and root of the net"},
        notes=tuple(notes),
    )


def _refuse_elements(net: Any, name: str, problems: list[Problem]) -> None:
    """Elements in service that the game has no place for."""
    for table in (
        "gen",
        "sgen",
        "storage",
        "trafo3w",
        "impedance",
        "xward",
        "ward",
        "dcline",
        "asymmetric_load",
    ):
        elements = net.get(table)
        if elements is None or not len(elements):
            continue
        count = int(elements.in_service.sum())
        if count:
            what = f"{count} in service: the game has loads, lines, transformers, wind farms and one root."
            cure = "Take them out of service; give wind or sun as wind farms (wind_farms.csv, wind.csv)."
            problems.append(problem(name, what, cure, column=table))


def _joined_buses(net: Any) -> dict[Any, str]:
    """Bus index -> name of the electrical bus: buses that closed bus-bus switches join are one."""
    leader = {bus: bus for bus in net.bus.index}

    def find(bus: Any) -> Any:
        while leader[bus] != bus:
            bus = leader[bus]
        return bus

    for switch in net.switch[(net.switch.et == "b") & net.switch.closed].itertuples():
        one, other = find(switch.bus), find(switch.element)
        leader[max(one, other)] = min(one, other)
    return {bus: str(find(bus)) for bus in leader}


def _buses(net: Any, joined: dict[Any, str], roots: Any) -> dict[str, Bus]:
    """The electrical buses in service with their loads, kW and kvar, and voltage limits."""
    kw, kvar = dict.fromkeys(joined.values(), 0.0), dict.fromkeys(joined.values(), 0.0)
    for load in net.load[net.load.in_service].itertuples():
        if not net.bus.in_service.at[load.bus]:
            continue
        kw[joined[load.bus]] += load.p_mw * load.scaling * 1000.0
        kvar[joined[load.bus]] += load.q_mvar * load.scaling * 1000.0
    buses: dict[str, Bus] = {}
    for bus in net.bus[net.bus.in_service].itertuples():
        name = joined[bus.Index]
        low, high = _limit(bus, "min_vm_pu", 0.9), _limit(bus, "max_vm_pu", 1.1)
        if name in buses:
            low, high = max(low, buses[name].vmin_pu), min(high, buses[name].vmax_pu)
        buses[name] = Bus(name, tidy(kw[name]), tidy(kvar[name]), low, high)
    return buses


def _limit(bus: Any, column: str, default: float) -> float:
    value = float(getattr(bus, column, math.nan))
    return value if math.isfinite(value) and value > 0 else default


def _lines(
    net: Any, file: str, joined: dict[Any, str], base_kv: float, open_: list[str], problems: list[Problem]
) -> list[Branch]:
    """Lines in service without an open switch, referred to the root's voltage."""
    switched = {s.element for s in net.switch[(net.switch.et == "l") & ~net.switch.closed].itertuples()}
    live, found = net.bus.in_service, []
    for line in net.line.itertuples():
        name = f"{joined[line.from_bus]}-{joined[line.to_bus]}"
        dead = not (live[line.from_bus] and live[line.to_bus])
        if dead or not line.in_service or line.Index in switched:
            open_.append(f"line {line.Index} ({name})")
            continue
        kv = float(net.bus.vn_kv.at[line.from_bus])
        factor = line.length_km / line.parallel * (base_kv / kv) ** 2
        r, x = line.r_ohm_per_km * factor, line.x_ohm_per_km * factor
        most = float(getattr(line, "max_loading_percent", 100.0))
        ka = float(line.max_i_ka) * line.df * line.parallel
        unlimited = not math.isfinite(ka) or ka >= _UNLIMITED_KA
        share = most / 100.0 if math.isfinite(most) else 1.0
        rating = math.inf if unlimited else math.sqrt(3.0) * kv * ka * share * 1000.0
        if r < 0 or x < 0:
            what = f"line {line.Index} has a negative resistance or reactance."
            problems.append(problem(file, what, "Correct it.", column="line"))
        ends = joined[line.from_bus], joined[line.to_bus]
        found.append(Branch(Line(f"line-{line.Index}", *ends, tidy(r), tidy(x), tidy(rating)), file, None))
    return found


def _transformers(
    net: Any, file: str, joined: dict[Any, str], base_kv: float, open_: list[str], problems: list[Problem]
) -> list[Branch]:
    """Two-winding transformers by their short-circuit impedance; taps off neutral are refused."""
    switched = {s.element for s in net.switch[(net.switch.et == "t") & ~net.switch.closed].itertuples()}
    live, found = net.bus.in_service, []
    for trafo in net.trafo.itertuples():
        dead = not (live[trafo.hv_bus] and live[trafo.lv_bus])
        if dead or not trafo.in_service or trafo.Index in switched:
            open_.append(f"transformer {trafo.Index}")
            continue
        kv = float(net.bus.vn_kv.at[trafo.hv_bus]), float(net.bus.vn_kv.at[trafo.lv_bus])
        neutral, position = float(trafo.tap_neutral), float(trafo.tap_pos)
        turned = math.isfinite(position) and position != (neutral if math.isfinite(neutral) else 0.0)
        if turned or not math.isclose(trafo.vn_hv_kv / trafo.vn_lv_kv, kv[0] / kv[1], rel_tol=1e-6):
            what = (
                f"transformer {trafo.Index} has a ratio other than its buses' voltages: the game has no taps."
            )
            cure = (
                "Set tap_pos to tap_neutral, and the root's voltage (--root-voltage) to what the tap gives."
            )
            problems.append(problem(file, what, cure, column="trafo"))
        rated = trafo.sn_mva * trafo.parallel
        # ohm at the high-voltage side, then referred to the root's voltage
        ohm = trafo.vn_hv_kv**2 / rated * (base_kv / kv[0]) ** 2
        r = trafo.vkr_percent / 100.0 * ohm
        x = math.sqrt(max(trafo.vk_percent**2 - trafo.vkr_percent**2, 0.0)) / 100.0 * ohm
        ends = joined[trafo.hv_bus], joined[trafo.lv_bus]
        line = Line(f"transformer-{trafo.Index}", *ends, tidy(r), tidy(x), tidy(rated * trafo.df * 1000.0))
        found.append(Branch(line, file, None))
    return found


def _left_out(net: Any, open_: list[str]) -> list[str]:
    notes = []
    if open_:
        notes.append(f"open or out of service, left out: {listing(open_, 12)}")
    if "min_vm_pu" not in net.bus or "max_vm_pu" not in net.bus or net.bus.min_vm_pu.isna().any():
        notes.append("assumed: voltage limits 0.9 and 1.1 p.u. where the net gives none")
    charging = int((net.line.c_nf_per_km != 0).sum())
    if charging:
        notes.append(f"line charging of {charging} lines left out: the linearised DistFlow has none")
    shunts = int(net.shunt.in_service.sum()) if len(net.shunt) else 0
    if shunts:
        notes.append(f"{shunts} shunts left out: the linearised DistFlow has none")
    if net.bus.vn_kv.nunique() > 1:
        notes.append("several voltages: impedances are in ohm referred to the root's voltage")
    return notes
