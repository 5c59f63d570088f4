// Charts: drawn by Vega without eval (its expression interpreter), without network, re-drawn when
// the theme or the width changes.

const PANEL = 150;

function chartRows(values) {
  const names = Object.keys(values);
  const n = names.length ? values[names[0]].length : 0;
  return Array.from({ length: n }, (_, i) => Object.fromEntries(names.map((name) => [name, values[name][i]])));
}

function seriesNames(spec) {
  const colour = spec.encoding && spec.encoding.color;
  if (colour && colour.scale && typeof colour.scale.domain[0] === "string") return colour.scale.domain;
  return [...(spec.layer || []), ...(spec.spec ? [spec.spec] : [])].flatMap(seriesNames);
}

function fitted(data, width) {
  const spec = structuredClone(data.spec);
  spec.datasets = { rows: chartRows(data.rows) };
  if (data.layout === "panels") {
    const axis = 44, gap = 18;
    const panels = new Set(data.rows[spec.facet.field]).size;
    const most = Math.max(1, Math.floor((width - axis + gap) / (Math.min(PANEL, width / 2 - 40) + gap)));
    // No more columns than the number of rows needs, so that the last row is not left ragged.
    const columns = Math.max(1, Math.ceil(panels / Math.ceil(panels / Math.min(most, panels || 1))));
    spec.columns = columns;
    spec.spec.width = Math.max(60, Math.min(320, Math.floor((width - axis - (columns - 1) * gap) / columns)));
  } else {
    spec.width = width;
    spec.autosize = { type: "fit-x", contains: "padding" };
  }
  // Long series names stand below each other where there is no room side by side.
  const longest = Math.max(1, ...seriesNames(spec).map((name) => String(name).length));
  spec.config = { legend: { columns: Math.max(1, Math.floor((width - 60) / (40 + 6.4 * longest))) } };
  return spec;
}

const tip = document.getElementById("tip");

function showTip(handler, event, item, value) {
  if (!value || typeof value !== "object") {
    tip.hidden = true;
    return;
  }
  const list = el("dl");
  for (const [name, text] of Object.entries(value)) {
    list.append(el("dt", null, name), el("dd", null, String(text)));
  }
  tip.replaceChildren(list);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const point = event.touches ? event.touches[0] || event.changedTouches[0] : event;
  const left = Math.min(point.clientX + 14, window.innerWidth - box.width - 8);
  const above = point.clientY - box.height - 14;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : point.clientY + 18}px`;
}

// Nothing may be fetched: all data is in the page.
const noLoader = { load: () => Promise.reject(new Error("no network")), sanitize: () => Promise.reject(new Error("no network")) };

function startChart(figure) {
  const data = blockData(figure);
  const plot = figure.querySelector(".plot");
  let result = null, drawnWidth = 0, turn = 0;

  async function draw() {
    const mine = ++turn;
    drawnWidth = plot.clientWidth;
    const config = isDark() ? shared.dark : shared.light;
    const target = el("div");
    const next = await vegaEmbed(target, fitted(data, drawnWidth), {
      mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
      config, tooltip: showTip, loader: noLoader, logLevel: 1,
    });
    if (mine !== turn) { next.finalize(); return; }
    if (result) result.finalize();
    result = next;
    // The figure's own description speaks for its hundreds of marks.
    for (const svg of target.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
    plot.replaceChildren(target);
    plot.classList.add("drawn");
  }

  const details = figure.querySelector("details.as-table");
  details.addEventListener("toggle", () => {
    const box = details.querySelector(".table");
    if (details.open && !box.hasChildNodes()) startTable(box, data.table);
  });
  plot.addEventListener("mouseleave", () => { tip.hidden = true; });
  themed.push(() => { if (result) draw(); });
  new ResizeObserver(() => { if (result && Math.abs(plot.clientWidth - drawnWidth) > 4) draw(); }).observe(plot);
  return () => (result || turn ? Promise.resolve() : draw());
}

// What is near the screen is drawn first, the rest when the browser is idle.
function startCharts() {
  const waiting = new Map();
  for (const figure of document.querySelectorAll("figure.chart")) waiting.set(figure, startChart(figure));
  const drawOne = (figure) => {
    const draw = waiting.get(figure);
    waiting.delete(figure);
    return draw ? draw() : Promise.resolve();
  };
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { observer.unobserve(entry.target); drawOne(entry.target); }
  }, { rootMargin: "300px" });
  for (const figure of waiting.keys()) observer.observe(figure);
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 60));
  const next = () => { for (const figure of waiting.keys()) { drawOne(figure).finally(() => idle(next)); return; } };
  idle(next);
  window.addEventListener("beforeprint", () => { for (const figure of [...waiting.keys()]) drawOne(figure); });
}
