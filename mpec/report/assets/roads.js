// The road map of one period: width by flow, shade by slowdown, stations with their loads.

function slowdowns(roads, hour) {
  return roads.time_h.map((times, a) => (roads.free_h[a] > 0 ? times[hour] / roads.free_h[a] : null));
}

/** Ends of every road in drawing units, moved to its right-hand side so that both directions show. */
function roadLines(roads, unit, narrow) {
  return roads.ends.map(([from, to]) => {
    const [a, b] = [roads.place[from], roads.place[to]];
    const long = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const along = [(b[0] - a[0]) / long, (b[1] - a[1]) / long];
    const aside = (narrow ? 4.5 : 6) * unit, cut = Math.min((narrow ? 9 : 12) * unit, 0.3 * long);
    const shift = [along[1] * aside, -along[0] * aside];
    return {
      start: [a[0] + along[0] * cut + shift[0], a[1] + along[1] * cut + shift[1]],
      end: [b[0] - along[0] * cut + shift[0], b[1] - along[1] * cut + shift[1]],
      along,
      right: [along[1], -along[0]],
    };
  });
}

function drawRoads() {
  const shown = view(), roads = shown.roads, hour = chosen.hour, place = byId("road-map");
  // A sheet of paper is narrow too: a map as wide as it can be says more than long labels.
  const wide = width(place), narrow = wide < 720;
  const spanX = Math.max(range(roads.place.map((p) => p[0]))[1], 1e-9), spanY = range(roads.place.map((p) => p[1]))[1];
  const margin = narrow ? 58 : 112, beside = narrow ? 0 : 104;
  const unit = Math.max(spanX / (wide - beside - 2 * margin), spanY / (narrow ? 560 : 640));
  // The scale of colours stands below a map that is too narrow or too low for it at its side.
  const below = narrow || spanY / unit < 240;
  const lines = roadLines(roads, unit, narrow);
  const most = Math.max(range(roads.flow)[1], 1e-12);
  const slow = slowdowns(roads, hour), all = range(roads.time_h.map((_, a) => shown.periods.map((_, t) => slowdowns(roads, t)[a])));
  const worst = Math.max(all ? all[1] : 1, 1.05);
  const flow = roads.flow.map((row) => row[hour]);
  const used = flow.map((value) => value > 1e-6 * most);
  const order = flow.map((_, a) => a).sort((a, b) => flow[a] - flow[b]);
  const traces = order.map((a) => {
    const size = used[a] ? 1 + (narrow ? 4 : 6) * (flow[a] / most) : 0.8;
    const color = used[a] ? shade(slow[a], 1, worst) : "#a0a0a0";
    return {
      x: [lines[a].start[0], lines[a].end[0]],
      y: [lines[a].start[1], lines[a].end[1]],
      mode: "lines+markers",
      line: { width: size, color, dash: used[a] ? "solid" : "dot" },
      marker: { symbol: ["circle", "arrow"], size: [0, 5 + 1.6 * size], angleref: "previous", color, line: { width: 0 } },
      hoverinfo: "skip",
      cliponaxis: false,
    };
  });
  traces.push(slowdownScale(worst, below), roadHover(shown, lines, flow, slow));
  // The numbers come last: the style sheet gives the last trace's text a white edge.
  traces.push(nodeMarks(roads, narrow), stationMarks(shown, hour, narrow), roadNumbers(lines, flow, slow, used, unit, narrow));
  const [padX, padY] = [margin * unit, (narrow ? 30 : 44) * unit];
  draw(
    "road-map",
    traces,
    {
      height: Math.max((spanY + 2 * padY) / unit, 140) + (below ? 80 : 20),
      margin: { l: 0, r: below ? 0 : beside, t: 10, b: below ? 70 : 10, autoexpand: false },
      xaxis: hidden({ range: [-padX, spanX + padX] }),
      yaxis: hidden({ range: [-padY, spanY + padY], scaleanchor: "x" }),
      annotations: stationLabels(shown, hour, narrow),
    },
    "pan"
  );
  byId("road-caption").textContent =
    `Period ${shown.periods[hour]}. Arrow width: flow, the widest ${text(most, 0)} veh/h in any period; darker: slower; ` +
    "dotted: unused. Squares: stations, by load (number: kW). " +
    (chosen.roadLabel === "slowdown" ? "Numbers: road time / free-flow time where it is 1.05 or more. " : "") +
    (roads.placed ? "" : "The instance gives no positions: nodes are placed by road distances.");
}

function roadHover(shown, lines, flow, slow) {
  const roads = shown.roads, hour = chosen.hour;
  return {
    x: lines.map((line) => 0.5 * (line.start[0] + line.end[0])),
    y: lines.map((line) => 0.5 * (line.start[1] + line.end[1])),
    mode: "markers",
    marker: { size: 16, opacity: 0 },
    hoverinfo: "text",
    hovertext: lines.map((_, a) => {
      const [from, to] = roads.ends[a].map((n) => plain(roads.nodes[n]));
      const name = `road ${plain(roads.ids[a])}: ${from} to ${to}`;
      const minutes = `${text(60 * roads.time_h[a][hour], 2)} min, free ${text(60 * roads.free_h[a], 2)} min (×${text(slow[a], 3)})`;
      return `${name}<br>${text(flow[a], 1)} veh/h, capacity ${text(roads.capacity[a], 0)}<br>${minutes}`;
    }),
  };
}

function roadNumbers(lines, flow, slow, used, unit, narrow) {
  const bySlowdown = chosen.roadLabel === "slowdown";
  const wanted = (a) => used[a] && chosen.roadLabel !== "none" && (!bySlowdown || (known(slow[a]) && slow[a] >= 1.05));
  const shown = lines.map((_, a) => a).filter(wanted);
  const away = (narrow ? 9 : 12) * unit;
  return {
    x: shown.map((a) => 0.5 * (lines[a].start[0] + lines[a].end[0]) + lines[a].right[0] * away),
    y: shown.map((a) => 0.5 * (lines[a].start[1] + lines[a].end[1]) + lines[a].right[1] * away),
    text: shown.map((a) => (bySlowdown ? text(slow[a], 2) : text(flow[a], 0))),
    mode: "text",
    textfont: { size: narrow ? 9 : 10 },
    hoverinfo: "skip",
  };
}

function nodeMarks(roads, narrow) {
  return {
    x: roads.place.map((p) => p[0]),
    y: roads.place.map((p) => p[1]),
    mode: "markers+text",
    text: roads.nodes.map((name) => short(name, 4)),
    textfont: { size: narrow ? 9 : 10 },
    marker: { size: narrow ? 16 : 20, color: "#ffffff", line: { color: "#1a1a1a", width: 1 } },
    hoverinfo: "text",
    hovertext: roads.nodes.map((name) => "node " + plain(name)),
  };
}

/** Squares behind no node: the area grows with the load, over all periods. */
function stationMarks(shown, hour, narrow) {
  const { roads, prices, stations } = shown, most = Math.max(range(prices.load)[1], 1e-12);
  const at = stations.map((_, m) => roads.place[roads.station_node[m]]);
  return {
    x: at.map((p) => p[0]),
    y: at.map((p) => p[1]),
    mode: "markers",
    marker: {
      symbol: "square-open",
      size: prices.load.map((row) => (narrow ? 18 : 22) + (narrow ? 12 : 18) * Math.sqrt(row[hour] / most)),
      color: "#000000",
      line: { width: 2 },
    },
    hoverinfo: "text",
    hovertext: stations.map((station, m) => stationWords(shown, m, hour).join("<br>")),
    name: "stations",
  };
}

function stationWords(shown, m, hour) {
  const { prices, stations, currency } = shown, station = stations[m];
  const limit = known(station.limit_kw) ? ` of ${text(station.limit_kw, 0)} kW` : " kW";
  return [
    `station ${plain(station.id)}${station.open ? "" : " (closed)"}, node ${plain(station.node)}, bus ${plain(station.bus)}`,
    `load ${text(prices.load[m][hour], 1)}${limit}`,
    `charging ${text(prices.charging[m][hour], 4)}, electricity ${text(prices.electricity[m][hour], 4)} ${plain(currency)}/kWh`,
  ];
}

/** Load and price beside every node with stations; several at one node share one label. */
function stationLabels(shown, hour, narrow) {
  const { roads, prices, stations } = shown, groups = new Map();
  stations.forEach((station, m) => {
    const node = roads.station_node[m];
    const words = station.open
      ? `<b>${short(station.id)}</b> ${text(prices.load[m][hour], 0)}${narrow ? "" : ` kW at ${text(prices.charging[m][hour], 2)}`}`
      : `<b>${short(station.id)}</b> closed`;
    groups.set(node, { words: [...(groups.get(node)?.words || []), words], angle: roads.label_angle[m] });
  });
  return [...groups].map(([node, { words, angle }]) => ({
    x: roads.place[node][0],
    y: roads.place[node][1],
    text: words.join("<br>"),
    showarrow: true,
    arrowhead: 0,
    arrowwidth: 1,
    arrowcolor: "#1a1a1a",
    standoff: 12,
    ax: Math.cos(angle) * (narrow ? 20 : 30),
    ay: -Math.sin(angle) * (narrow ? 24 : 38),
    xanchor: Math.cos(angle) > 0.4 ? "left" : Math.cos(angle) < -0.4 ? "right" : "center",
    font: { size: narrow ? 9.5 : 11 },
    bgcolor: "rgba(255,255,255,0.92)",
    bordercolor: "#1a1a1a",
    borderpad: 2,
  }));
}

/** An invisible trace that carries the scale of slowdowns. */
function slowdownScale(worst, below) {
  const bar = below
    ? { orientation: "h", y: -0.02, yanchor: "top", thickness: 10, len: 0.9 }
    : { thickness: 14, len: 0.8, x: 1.02 };
  return {
    x: [null],
    y: [null],
    mode: "markers",
    marker: {
      color: [1],
      cmin: 1,
      cmax: worst,
      colorscale: SCALE,
      showscale: true,
      colorbar: Object.assign({ title: { text: "road time / free-flow time", side: below ? "top" : "right" }, outlinewidth: 1 }, bar),
    },
    hoverinfo: "skip",
  };
}

function fillStationTable() {
  const shown = view(), hour = chosen.hour, prices = shown.prices, money = shown.currency;
  const rows = shown.stations.map((station, m) => [
    station.id + (station.open ? "" : " (closed)"),
    station.node,
    station.bus,
    text(prices.load[m][hour], 1),
    known(station.limit_kw) ? text(station.limit_kw, 0) : "no limit",
    text(prices.charging[m][hour], 4),
    `${text(station.price_min, 2)} to ${text(station.price_max, 2)}`,
    text(prices.electricity[m][hour], 4),
    text(prices.profit[m][hour], 2),
  ]);
  const header = ["station", "node", "bus", "load, kW", "limit, kW", `charging, ${money}/kWh`, "price box", `electricity, ${money}/kWh`, `profit, ${money}`];
  byId("station-table").replaceChildren(makeTable(`Stations in period ${shown.periods[hour]}`, header, rows, [3, 4, 5, 6, 7, 8]));
}

function fillRouteTable() {
  const shown = view(), label = shown.periods[chosen.hour];
  const rows = shown.routes
    .filter((route) => route[0] === label)
    .sort((a, b) => b[5] - a[5])
    .map(([, from, to, path, plan, flow, cost, cheapest]) => [from, to, path, plan || "none", text(flow, 2), text(cost, 3), text(cheapest, 3)]);
  const header = ["from", "to", "roads", "charging, station: kWh", "veh/h", `cost, ${shown.currency}`, "cheapest"];
  const caption = rows.length ? `${rows.length} used routes in period ${label}, the busiest first` : `No route is used in period ${label}.`;
  byId("route-table").replaceChildren(makeTable(caption, header, rows, [4, 5, 6]));
}
