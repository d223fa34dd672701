"""From what people have (TNTP, GMNS, networkx; MATPOWER, pandapower) to an instance folder: `mpec new`.

`roads_*` and `feeder_*` read one format each into the pieces of `pieces`; `city` joins them with the tables
and options that say what the formats lack; `folder` writes the folder or nothing.

From Python: `new_city(Request(name=…, roads=roads_from_graph(graph, RoadUnits(kwh_per_km=0.2)), feeder=…))`.
"""

from mpec.importing.city import City, new_city
from mpec.importing.pieces import FeederData, RoadData, RoadUnits
from mpec.importing.request import Request
from mpec.importing.roads_graph import roads_from_graph

__all__ = ["City", "FeederData", "Request", "RoadData", "RoadUnits", "new_city", "roads_from_graph"]
