// What all drawings share: the data, what is chosen, numbers as text, colours, and one way to draw.

const DATA = JSON.parse(document.getElementById("report-data").textContent);
const chosen = { result: 0, hour: 0, scenario: 0, layer: "voltage", roadLabel: "slowdown" };

// Okabe and Ito's palette; and cividis from light to dark without its faintest part: dark is more, in grey too.
const BLUE = "#0072b2", VERMILION = "#d55e00", GREY = "#595959";
const SHADES = ["#ead34c", "#cebc63", "#b3a670", "#989277", "#7e7d78", "#686a71", "#51586d", "#36466c", "#0c3470", "#00224e"];
const SCALE = SHADES.map((shade, n) => [n / (SHADES.length - 1), shade]);
const NARROW = 640;
const TOP_LEGEND = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" };

const byId = (id) => document.getElementById(id);
const view = () => DATA.results[chosen.result];
const known = (value) => value !== null && value !== undefined;

/** 12 345.67, or "no value": a missing number never looks like one. */
function text(value, digits) {
  if (!known(value)) return "no value";
  const fixed = Math.abs(value).toFixed(digits);
  const [whole, rest] = fixed.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (rest ? "." + rest : "");
  return value < 0 && Number(fixed) !== 0 ? "−" + grouped : grouped;
}

/** Names from files, for Plotly, which reads some markup in its texts. */
function plain(name) {
  return String(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** A name short enough to stand in a drawing; the hover text has it whole. */
function short(name, most = 12) {
  const whole = String(name);
  return plain(whole.length > most ? whole.slice(0, most - 1) + "…" : whole);
}

/** The shade of a value between low and high; grey for a missing one. */
function shade(value, low, high) {
  if (!known(value)) return "#ffffff";
  const place = high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0;
  const at = place * (SHADES.length - 1), n = Math.min(Math.floor(at), SHADES.length - 2);
  const part = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mixed = [0, 1, 2].map((k) => Math.round(part(SHADES[n], k) + (at - n) * (part(SHADES[n + 1], k) - part(SHADES[n], k))));
  return "rgb(" + mixed.join(",") + ")";
}

/** Ink that can be read on a shade. */
function inkOn(color) {
  const [r, g, b] = color.startsWith("#") ? [1, 3, 5].map((n) => parseInt(color.slice(n, n + 2), 16)) : color.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b < 140 ? "#ffffff" : "#000000";
}

/** Smallest and largest known number in nested lists; null without any. */
function range(values) {
  const flat = values.flat(Infinity).filter(known);
  return flat.length ? [flat.reduce((a, b) => Math.min(a, b)), flat.reduce((a, b) => Math.max(a, b))] : null;
}

function width(place) {
  return Math.max(place.clientWidth || place.parentElement.clientWidth, 240);
}

/**
 * Draw or redraw a plot; drag: what dragging does, null for nothing, and no buttons then.
 * On narrow screens a finger scrolls the page and doesn't drag the plot.
 */
function draw(id, traces, layout, drag = "zoom") {
  const place = byId(id), still = width(place) < NARROW || drag === null;
  // A plot for another width is made anew: taken over from the old one, margins arrive too late for a printer.
  if (place.dataset.width !== String(width(place))) Plotly.purge(place);
  place.dataset.width = String(width(place));
  place.classList.remove("empty");
  const whole = Object.assign(
    {
      width: width(place),
      font: { family: "system-ui, 'DejaVu Sans', sans-serif", size: 12, color: "#1a1a1a" },
      paper_bgcolor: "#ffffff",
      plot_bgcolor: "#ffffff",
      dragmode: still ? false : drag,
      hoverlabel: { bgcolor: "#ffffff", bordercolor: "#1a1a1a", font: { color: "#1a1a1a" }, align: "left" },
      showlegend: false,
      separators: ".\u202f",
    },
    layout
  );
  const config = {
    displaylogo: false,
    displayModeBar: still ? false : "hover",
    scrollZoom: false,
    doubleClick: "reset",
    // Only these: Plotly's own list has a button that uploads the chart to a server.
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    showSendToCloud: false,
    plotlyServerURL: "",
    toImageButtonOptions: { format: "svg", filename: id },
  };
  return Plotly.react(place, traces, whole, config);
}

/** In place of a plot: why there is none. */
function say(id, words) {
  const place = byId(id);
  Plotly.purge(place);
  place.replaceChildren(make("p", words));
  place.classList.add("empty");
}

function make(tag, content, attributes) {
  const element = document.createElement(tag);
  for (const part of [content].flat()) if (part !== undefined && part !== null) element.append(part);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  return element;
}

/** A table that scrolls sideways by itself; cells are text, numbers to the right. */
function makeTable(caption, header, rows, numeric) {
  const cell = (value, n) => make("td", value, numeric.includes(n) ? { class: "number" } : {});
  const title = (name, n) => make("th", name, numeric.includes(n) ? { scope: "col", class: "number" } : { scope: "col" });
  const head = make("thead", make("tr", header.map(title)));
  const body = make("tbody", rows.map((row) => make("tr", row.map(cell))));
  const table = make("table", [make("caption", caption), head, body]);
  return make("div", table, { class: "scroll", tabindex: "0", role: "region", "aria-label": caption });
}

function hidden(axis) {
  return Object.assign({ visible: false, showgrid: false, zeroline: false, fixedrange: false }, axis);
}
