// The feeder as a tree in one period and scenario, and the parts of the electricity price.

const LAYERS = {
  voltage: { name: "voltage, p.u.", digits: 3 },
  active: { name: "nodal price (active)", digits: 3, price: true },
  congestion: { name: "congestion part", digits: 3, price: true },
  voltage_part: { name: "voltage part", digits: 3, price: true },
  shed_kw: { name: "load shed, kW", digits: 1 },
};

/** Bus positions: the trunk to the right, on a narrow screen downwards. */
function feederPlaces(feeder, narrow) {
  return feeder.place.map(([column, row]) => (narrow ? [-row, -column] : [column, row]));
}

function drawFeeder() {
  const shown = view(), feeder = shown.feeder, hour = chosen.hour, s = chosen.scenario;
  const narrow = width(byId("feeder-tree")) < NARROW, at = feederPlaces(feeder, narrow);
  const layer = LAYERS[chosen.layer], values = feeder[chosen.layer][s][hour];
  const span = range(feeder[chosen.layer]);
  const [low, high] = span && span[1] > span[0] ? span : [span ? span[0] : 0, (span ? span[0] : 0) + 1e-3];
  // Little voltage is what matters, so the shades run the other way there: dark is low.
  const color = values.map((value) => (chosen.layer === "voltage" ? shade(known(value) ? low + high - value : null, low, high) : shade(value, low, high)));
  const columns = range(at.map((p) => p[0])), rows = range(at.map((p) => p[1]));
  const traces = [...feederLines(shown, at, narrow), feederBuses(shown, at, values, color, narrow), feederNumbers(shown, at, values, layer, narrow)];
  draw(
    "feeder-tree",
    traces,
    {
      height: narrow ? 60 + 40 * (rows[1] - rows[0] + 1) : 70 + 92 * (rows[1] - rows[0] + 1),
      margin: { l: 0, r: 0, t: 8, b: 8 },
      xaxis: hidden({ range: narrow ? narrowRange(columns, width(byId("feeder-tree"))) : [columns[0] - 0.6, columns[1] + 0.6] }),
      yaxis: hidden({ range: narrow ? [rows[0] - 0.6, rows[1] + 0.8] : [rows[0] - 0.55, rows[1] + 0.75] }),
      annotations: [...feederStations(shown, at, narrow), ...fullLabels(feeder, at, narrow)],
    },
    "pan"
  );
  byId("feeder-caption").textContent = feederWords(shown, layer, values);
}

/** Room for half a bus on the left and for a station's name on the right, in pixels. */
function narrowRange([first, last], wide) {
  const unit = Math.max(last - first, 1) / (wide - 22 - 92);
  return [first - 22 * unit, Math.max(last, first + 1) + 92 * unit];
}

function feederWords(shown, layer, values) {
  const feeder = shown.feeder, hour = chosen.hour, s = chosen.scenario;
  const most = range(feeder.line_kw.map((row) => row.map((kw) => kw.map(Math.abs))))[1];
  const unsplit = values.some((value) => !known(value));
  const price = layer.price
    ? ` Prices in ${shown.currency}/kWh, given the scenario; the energy part is the price at the root, ${text(feeder.active[s][hour][feeder.root], 4)}, at every bus.`
    : "";
  return (
    `Period ${shown.periods[hour]}, scenario ${feeder.scenarios[s]} (probability ${text(feeder.probability[s], 3)}). ` +
    `Numbers: ${layer.name}; ${chosen.layer === "voltage" ? "darker: lower" : "darker: higher"}. ` +
    `Line width: active power, the widest ${text(most, 0)} kW in any period; dashed: power flows towards the root; black with “full”: at its limit. ` +
    `Bold “low”/“high”: voltage at its limit. Import ${text(feeder.import_kw[s][hour], 1)} kW.` +
    price +
    (unsplit ? " Some parts can't be told from the stored dispatch: several splits fit, or none." : "")
  );
}

function feederLines(shown, at, narrow) {
  const feeder = shown.feeder, power = feeder.line_kw[chosen.scenario][chosen.hour];
  const full = new Set(feeder.full[chosen.scenario][chosen.hour]);
  const most = Math.max(range(feeder.line_kw.map((row) => row.map((kw) => kw.map(Math.abs))))[1], 1e-12);
  return feeder.ends.map(([above, below], n) => {
    const corner = narrow ? [at[below][0], at[above][1]] : [at[above][0], at[below][1]];
    const rating = known(feeder.rating_kva[n]) ? `, rating ${text(feeder.rating_kva[n], 0)} kVA` : ", no rating";
    return {
      x: [at[above][0], corner[0], at[below][0]],
      y: [at[above][1], corner[1], at[below][1]],
      mode: "lines",
      line: {
        width: 1.2 + (narrow ? 7 : 9) * (Math.abs(power[n]) / most),
        color: full.has(n) ? "#000000" : "#9a9a9a",
        dash: power[n] < -1e-6 * most ? "4px,3px" : "solid",
        shape: "linear",
      },
      hoverinfo: "text",
      hovertext: `line ${plain(feeder.lines[n])}: ${text(power[n], 1)} kW${rating}${full.has(n) ? ", full" : ""}`,
    };
  });
}

function feederBuses(shown, at, values, color, narrow) {
  const feeder = shown.feeder, s = chosen.scenario, hour = chosen.hour;
  const farm = new Map(feeder.farms.map((entry, f) => [entry.bus, { id: entry.id, f }]));
  return {
    x: at.map((p) => p[0]),
    y: at.map((p) => p[1]),
    mode: "markers+text",
    text: feeder.buses.map((name) => short(name, 4)),
    textfont: { size: 10, color: color.map(inkOn) },
    marker: {
      size: 24,
      symbol: feeder.buses.map((_, b) => (farm.has(b) ? "diamond" : b === feeder.root ? "square" : "circle")),
      color,
      line: { color: "#1a1a1a", width: 1 },
    },
    hoverinfo: "text",
    hovertext: feeder.buses.map((name, b) => {
      const wind = farm.get(b);
      const words = [
        `bus ${plain(name)}${b === feeder.root ? " (root)" : ""}`,
        `voltage ${text(feeder.voltage[s][hour][b], 5)} p.u.`,
        `nodal price ${text(feeder.active[s][hour][b], 5)}`,
        `  energy ${text(feeder.active[s][hour][feeder.root], 5)}, congestion ${text(feeder.congestion[s][hour][b], 5)}, voltage ${text(feeder.voltage_part[s][hour][b], 5)}`,
        `load shed ${text(feeder.shed_kw[s][hour][b], 2)} kW`,
      ];
      if (wind) words.push(`wind ${plain(wind.id)}: ${text(feeder.wind_used[s][hour][wind.f], 1)} of ${text(feeder.wind_available[wind.f][s][hour], 1)} kW`);
      return words.join("<br>");
    }),
  };
}

function feederNumbers(shown, at, values, layer, narrow) {
  const side = shown.feeder.at_limit[chosen.scenario][chosen.hour];
  return {
    x: at.map((p) => p[0] + (narrow ? 0.17 : 0)),
    y: at.map((p) => p[1] + (narrow ? 0.2 : -0.17)),
    mode: "text",
    textposition: narrow ? "middle right" : "bottom center",
    text: values.map((value, b) => {
      const number = known(value) ? text(value, layer.digits) : "?";
      return side[b] ? `<b>${number}${narrow ? " " : "<br>"}${side[b] < 0 ? "low" : "high"}</b>` : number;
    }),
    textfont: { size: 10 },
    hoverinfo: "skip",
    cliponaxis: false,
  };
}

function feederStations(shown, at, narrow) {
  const feeder = shown.feeder, groups = new Map();
  shown.stations.forEach((station, m) => {
    const words = `<b>${short(station.id)}</b> ${text(shown.prices.load[m][chosen.hour], 0)} kW`;
    groups.set(feeder.station_bus[m], [...(groups.get(feeder.station_bus[m]) || []), words]);
  });
  return [...groups].map(([bus, words]) => ({
    x: at[bus][0],
    y: at[bus][1],
    text: words.join("<br>"),
    showarrow: false,
    xshift: narrow ? 14 : 0,
    yshift: narrow ? -9 : 16,
    xanchor: narrow ? "left" : "center",
    yanchor: narrow ? "middle" : "bottom",
    font: { size: narrow ? 9.5 : 11 },
    bgcolor: "rgba(255,255,255,0.92)",
    bordercolor: "#1a1a1a",
    borderpad: 2,
  }));
}

function fullLabels(feeder, at, narrow) {
  return feeder.full[chosen.scenario][chosen.hour].map((n) => {
    const [above, below] = feeder.ends[n];
    return {
      x: narrow ? at[below][0] : 0.5 * (at[above][0] + at[below][0]),
      y: narrow ? 0.5 * (at[above][1] + at[below][1]) : at[below][1],
      text: "<b>full</b>",
      showarrow: false,
      yshift: narrow ? 0 : 10,
      bgcolor: "#ffffff",
      borderpad: 1,
      font: { size: 10 },
    };
  });
}

/** Stacked parts of the expected nodal price at every station, and what the leader pays. */
function drawParts() {
  const shown = view(), hour = chosen.hour, { parts, electricity } = shown.prices;
  const names = shown.stations.map((station) => plain(station.id)), at = names.map((_, m) => m);
  const kinds = [
    ["energy", "energy (import and substation)", "#cfe3f0", ""],
    ["congestion", "congestion (lines)", "#e69f00", "/"],
    ["voltage", "voltage limits", "#f0e442", "x"],
  ];
  const split = shown.stations.map((_, m) => kinds.every(([kind]) => known(parts[kind][m][hour])));
  const traces = kinds.map(([kind, name, color, pattern]) => ({
    type: "bar",
    x: at,
    y: parts[kind].map((row, m) => (split[m] ? row[hour] : null)),
    name,
    marker: { color, line: { color: "#1a1a1a", width: 1 }, pattern: { shape: pattern, fgcolor: "#1a1a1a", fillmode: "overlay", size: 7, solidity: 0.25 } },
    hovertext: parts[kind].map((row, m) => `${names[m]}: ${name} ${text(row[hour], 5)}`),
    hoverinfo: "text",
  }));
  traces.push({
    x: at,
    y: electricity.map((row) => row[hour]),
    mode: "markers+text",
    name: "electricity price paid",
    text: electricity.map((row) => text(row[hour], 3)),
    textposition: "top center",
    marker: { symbol: "diamond-wide", size: 12, color: "#ffffff", line: { color: "#000000", width: 2 } },
    hoverinfo: "skip",
  });
  const totals = electricity.concat(parts.energy, ...kinds.map(([kind]) => parts[kind]));
  const sums = shown.stations.map((_, m) => shown.periods.map((_, t) => {
    const each = kinds.map(([kind]) => parts[kind][m][t]).filter(known);
    return [each.filter((v) => v > 0).reduce((a, b) => a + b, 0), each.filter((v) => v < 0).reduce((a, b) => a + b, 0)];
  }));
  const [low, high] = range([totals, sums]), reach = Math.max(high - Math.min(low, 0), 1e-9);
  draw("price-parts", traces, {
    barmode: "relative",
    height: 340,
    margin: { l: 56, r: 8, t: width(byId("price-parts")) < NARROW ? 90 : 40, b: 30 },
    showlegend: true,
    legend: TOP_LEGEND,
    xaxis: { tickvals: at, ticktext: shown.stations.map((station) => short(station.id)), range: [-0.6, at.length - 0.4], title: { text: "" } },
    yaxis: { title: { text: `${short(shown.currency)}/kWh` }, range: [Math.min(low, 0) - 0.05 * reach, high + 0.15 * reach], zeroline: true, zerolinecolor: "#1a1a1a", gridcolor: "#e0e0e0" },
  });
  const paid = shown.tariff === "dlmp"
    ? "The tariff is dlmp: the station pays the nodal price, and the parts add up to it."
    : `The tariff is ${shown.tariff}: the parts are those of the feeder's nodal price, which the station does not pay.`;
  const missing = split.every(Boolean) ? "" : " Where there is no bar the split can't be told from the stored dispatch: several fit, or none.";
  byId("parts-caption").textContent = `Period ${shown.periods[hour]}, expected over the scenarios, at each station's power factor. ${paid}${missing}`;
}
