// Controls and the first drawing.

let playing = null;

function setHour(hour) {
  const count = view().periods.length;
  chosen.hour = Math.min(Math.max(hour, 0), count - 1);
  byId("hour").value = String(chosen.hour);
  byId("hour-name").textContent = `${view().periods[chosen.hour]}`;
  byId("hour").setAttribute("aria-valuetext", `period ${view().periods[chosen.hour]}`);
  byId("earlier").disabled = chosen.hour === 0;
  byId("later").disabled = chosen.hour === count - 1;
  if (!view().maps) return;
  drawRoads();
  fillStationTable();
  fillRouteTable();
  drawFeeder();
  drawParts();
}

/** The busiest period first: there is most to see. */
function busiest(shown) {
  const totals = shown.periods.map((_, t) => shown.prices.load.reduce((sum, row) => sum + row[t], 0));
  return totals.indexOf(Math.max(...totals));
}

function setResult(n) {
  chosen.result = n;
  const shown = view();
  for (const block of document.querySelectorAll(".certificate")) block.hidden = block.dataset.result !== String(n);
  if (byId("hours")) {
    note("maps-note", "maps", shown.maps, shown.point
      ? "The maps of this result are left out to keep the page small: mpec report on its own folder draws them."
      : "This result has no point, so there are no maps.");
    document.querySelector(".bar").hidden = !shown.maps;
    note("prices-note", "heat", shown.point, "This result has no point, so there are no prices.");
    byId("heat-caption").hidden = !shown.point;
    if (shown.point) drawHeat();
  }
  if (shown.maps) {
    byId("hour").max = String(shown.periods.length - 1);
    byId("scenario").replaceChildren(...shown.feeder.scenarios.map((name, s) => make("option", `${name} (${text(100 * shown.feeder.probability[s], 1)} %)`, { value: s })));
    chosen.scenario = Math.min(chosen.scenario, shown.feeder.scenarios.length - 1);
    byId("scenario").value = String(chosen.scenario);
    byId("play").hidden = shown.periods.length < 2;
    setHour(setResult.again ? chosen.hour : busiest(shown));
    setResult.again = true;
  }
  if (byId("convergence")) {
    drawConvergence();
    drawRuns();
  }
}

function note(id, part, there, words) {
  byId(id).hidden = there;
  byId(id).textContent = there ? "" : words;
  byId(part).hidden = !there;
}

function play() {
  const button = byId("play");
  if (playing !== null) {
    clearInterval(playing);
    playing = null;
  } else {
    playing = setInterval(() => setHour((chosen.hour + 1) % view().periods.length), 900);
  }
  button.textContent = playing === null ? "Play" : "Stop";
  button.setAttribute("aria-pressed", String(playing !== null));
}

function redraw() {
  if (!DATA.results.length) return;
  setResult.again = true;
  setResult(chosen.result);
}

function listen(id, event, act) {
  if (byId(id)) byId(id).addEventListener(event, (happened) => act(happened.target));
}

listen("hour", "input", (slider) => setHour(Number(slider.value)));
listen("earlier", "click", () => setHour(chosen.hour - 1));
listen("later", "click", () => setHour(chosen.hour + 1));
listen("play", "click", play);
listen("result", "change", (select) => setResult(Number(select.value)));
listen("scenario", "change", (select) => { chosen.scenario = Number(select.value); drawFeeder(); });
listen("layer", "change", (select) => { chosen.layer = select.value; drawFeeder(); });
listen("road-label", "change", (select) => { chosen.roadLabel = select.value; drawRoads(); });

// A plot keeps its size in pixels: it is drawn again for a new width, and for paper.
let seenWidth = window.innerWidth, waiting = null;
window.addEventListener("resize", () => {
  if (window.innerWidth === seenWidth) return;
  seenWidth = window.innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 150);
});
const PAPER = 690;
window.addEventListener("beforeprint", () => { document.body.style.width = `${PAPER}px`; redraw(); });
window.addEventListener("afterprint", () => { document.body.style.width = ""; redraw(); });

if (DATA.results.length) {
  const first = Math.max(DATA.results.findIndex((result) => result.maps), 0);
  if (byId("result")) byId("result").value = String(first);
  setResult(first);
}
