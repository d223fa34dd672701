// Heat maps of stations by periods, and convergence.

const HEAT = [
  ["charging", "Charging price", "price", 2],
  ["electricity", "Electricity price", "price", 2],
  ["load", "Station load", "kW", 0],
  ["profit", "Profit", "money", 0],
  ["congestion", "Congestion part of the nodal price", "price", 2],
  ["voltage", "Voltage part of the nodal price", "price", 2],
];

function heatValues(shown, kind) {
  return shown.prices[kind] || shown.prices.parts[kind];
}

function drawHeat() {
  const shown = view(), place = byId("heat");
  if (!place.children.length) {
    for (const [kind] of HEAT) place.append(make("div", [make("h3"), make("div", null, { id: "heat-" + kind, class: "plot", role: "img", "aria-label": kind })]));
  }
  // Many periods need the whole width for their numbers.
  place.classList.toggle("wide", shown.periods.length > 12);
  for (const [kind, name, measure, digits] of HEAT) {
    const unit = { price: `${shown.currency}/kWh`, money: shown.currency, kW: "kW" }[measure];
    const id = "heat-" + kind, values = heatValues(shown, kind), span = range(values);
    byId(id).previousElementSibling.textContent = `${name}, ${unit}`;
    if (!span) say(id, "No value: the split can't be told from the stored dispatch.");
    else if (span[0] === span[1]) say(id, `${text(span[0], 4)} ${unit} at every station in every period.`);
    else drawOneHeat(id, shown, values, unit, digits, kind in shown.prices.parts);
  }
  byId("heat-caption").textContent = "Darker: more; for the parts: farther from zero, with the sign in the number. An empty cell has no value. The parts belong to the feeder's nodal price, expected over the scenarios.";
}

/** ``signed``: shades by the distance from zero, since the sign is in the numbers. */
function drawOneHeat(id, shown, values, unit, digits, signed) {
  const wide = width(byId(id)), stations = shown.stations.length, periods = shown.periods.length;
  // Few columns read better on a phone: there the periods run downwards.
  const down = wide < 500 && periods > 8 && stations < periods;
  const labels = shown.stations.map((station) => short(station.id, 5));
  const names = shown.stations.map((station) => plain(station.id)), hours = shown.periods.map(String);
  const z = down ? shown.periods.map((_, t) => values.map((row) => row[t])) : values;
  const cell = (wide - 90) / (down ? stations : periods);
  const longest = Math.max(...values.flat().map((value) => text(value, digits).length));
  const size = Math.min(11, Math.floor(cell / (0.62 * longest)));
  const ticks = (all, room) => {
    const every = Math.max(1, Math.ceil(all.length / Math.max(room, 1)));
    const kept = all.map((_, n) => n).filter((n) => n % every === 0);
    return { tickvals: kept, ticktext: kept.map((n) => all[n]), showgrid: false, zeroline: false, ticks: "" };
  };
  const across = ticks(down ? labels : hours, (wide - 90) / 26), upright = ticks(down ? hours : labels, 60);
  const trace = {
    type: "heatmap",
    z: signed ? z.map((row) => row.map((value) => (known(value) ? Math.abs(value) : null))) : z,
    x: z[0].map((_, n) => n),
    y: z.map((_, n) => n),
    colorscale: SCALE,
    xgap: 1,
    ygap: 1,
    text: z.map((row) => row.map((value) => (known(value) ? text(value, digits) : ""))),
    texttemplate: size >= 7 ? "%{text}" : "",
    textfont: { size },
    hoverinfo: "text",
    hovertext: z.map((row, i) => row.map((value, j) => `${down ? names[j] : names[i]}, period ${down ? hours[i] : hours[j]}: ${text(value, 5)} ${plain(unit)}`)),
    colorbar: { thickness: 10, outlinewidth: 1, len: 1, x: 1.01, xpad: 2 },
    showscale: true,
  };
  draw(id, [trace], {
    height: down ? 60 + 20 * periods : 70 + 26 * Math.max(stations, 3),
    margin: { l: 44, r: 50, t: 8, b: 36, autoexpand: false },
    xaxis: Object.assign(across, { title: { text: down ? "" : "period", standoff: 4 } }),
    yaxis: Object.assign(upright, { autorange: "reversed", title: { text: down ? "period" : "" } }),
  }, null);
}

function steps(times, values, end) {
  const kept = times.map((_, n) => n).filter((n) => known(values[n]));
  const x = kept.map((n) => times[n]), y = kept.map((n) => values[n]);
  if (x.length && end > x[x.length - 1]) { x.push(end); y.push(y[y.length - 1]); }
  return { x, y };
}

/** Both bounds of the results over time: in a comparison both ways, else the chosen result. */
function drawConvergence() {
  const together = DATA.kind === "comparison" && DATA.results.length === 2;
  const shown = together ? DATA.results : [view()], traces = [], ends = [];
  shown.forEach((result, n) => {
    const c = result.convergence, color = [BLUE, VERMILION][n], name = together ? result.label + ": " : "";
    for (const [side, word, symbol] of [["upper", "upper bound", "triangle-down-open"], ["lower", "best profit found", "circle"]]) {
      const { x, y } = steps(c.seconds, c[side], c.end);
      if (!x.length) continue;
      ends.push(y[y.length - 1]);
      traces.push({
        x, y, name: name + word, mode: x.length > 60 ? "lines" : "lines+markers",
        line: { shape: "hv", color, width: side === "upper" ? 1.6 : 2.2, dash: n ? (side === "upper" ? "dashdot" : "dash") : side === "upper" ? "dot" : "solid" },
        marker: { symbol, size: 8, color },
        hovertemplate: "%{x:.1f} s: %{y:.2f}<extra></extra>",
      });
    }
  });
  const money = shown[0].currency;
  if (!traces.length) {
    say("convergence", "No bound was recorded: bounds.csv is empty, as it is for `mpec respond`.");
    byId("convergence-caption").textContent = "";
    return;
  }
  const [low, high] = range(ends), all = range(traces.map((trace) => trace.y));
  const reach = Math.max(high - low, 0.02 * Math.max(Math.abs(low), Math.abs(high)), 1e-9);
  const cut = all[0] < low - 2 * reach || all[1] > high + 4 * reach;
  const seen = cut ? [Math.max(low - 2 * reach, all[0] - 0.1 * reach), Math.min(high + 4 * reach, all[1] + 0.1 * reach)] : [all[0] - 0.1 * reach, all[1] + 0.1 * reach];
  draw("convergence", traces, {
    height: 380,
    margin: { l: 70, r: 10, t: 60, b: 40 },
    showlegend: true,
    legend: TOP_LEGEND,
    xaxis: { title: { text: "seconds since each run began" }, rangemode: "tozero", gridcolor: "#e8e8e8" },
    yaxis: { title: { text: short(money) }, range: seen, gridcolor: "#e8e8e8", tickformat: ",.6~g" },
  });
  const thinned = shown.filter((result) => result.convergence.thinned).map((result) => `${result.label}: ${result.convergence.rows} rows, thinned.`);
  byId("convergence-caption").textContent =
    `Rows of bounds.csv: ${shown.map((r) => (together ? r.label + " " : "") + r.convergence.rows).join(", ")}. ` +
    (cut ? "First bounds far outside the final interval are cut off; double-click or drag to see them. " : "") + thinned.join(" ");
}

/** The heuristic's runs by iteration, as the paper draws them, with the certified interval across. */
function drawRuns() {
  const own = view().convergence.runs.length ? view() : null;
  const ours = own || (DATA.kind === "comparison" ? DATA.results.find((result) => result.convergence.runs.length) : null);
  const caption = byId("runs-caption");
  if (!ours) {
    say("runs-curve", "This result is not the heuristic's, so there are no runs of the heuristic to draw.");
    caption.textContent = "";
    return;
  }
  const runs = ours.convergence.runs, dashes = ["solid", "dot", "dash", "longdash", "dashdot", "longdashdot"];
  const traces = runs.map((best, n) => ({
    x: best.map((_, i) => i + 1), y: best, mode: "lines", name: `run ${n + 1}`, showlegend: false,
    line: { width: 1, color: GREY, dash: dashes[n % dashes.length] },
    hovertemplate: `run ${n + 1}, iteration %{x}: %{y:.2f}<extra></extra>`,
  }));
  const count = Math.min(...runs.map((best) => best.length));
  const mean = Array.from({ length: count }, (_, i) => (runs.every((best) => known(best[i])) ? runs.reduce((sum, best) => sum + best[i], 0) / runs.length : null));
  traces.push({ x: mean.map((_, i) => i + 1), y: mean, mode: "lines", name: "mean of the runs", line: { width: 2.5, color: VERMILION } });
  const iterations = Math.max(...runs.map((best) => best.length), 2);
  const exact = DATA.kind === "comparison" ? DATA.results.find((result) => result.label === "exact") : null;
  const lines = [[ours.convergence.upper_bound, "upper bound", "dot"]];
  if (exact) lines.push([exact.convergence.lower_bound, "exact way's profit", "dash"]);
  for (const [value, name, dash] of lines) {
    if (known(value)) traces.push({ x: [1, iterations], y: [value, value], mode: "lines", name, line: { color: BLUE, width: 1.6, dash }, hovertemplate: `${name} %{y:.2f}<extra></extra>` });
  }
  draw("runs-curve", traces, {
    height: 340,
    margin: { l: 70, r: 10, t: 60, b: 40 },
    showlegend: true,
    legend: TOP_LEGEND,
    xaxis: { title: { text: "iteration" }, gridcolor: "#e8e8e8" },
    yaxis: { title: { text: short(ours.currency) }, gridcolor: "#e8e8e8", tickformat: ",.6~g" },
  });
  caption.textContent = `${runs.length} runs of the heuristic${own ? "" : ` (${ours.label})`}, best profit so far of each; the mean is drawn as far as all runs go.`;
}
