// Okabe and Ito (2008); shapes and dashes tell runs apart where colours repeat, and without colour.
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#595959"];
const SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right"];
const DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]];
const SHOWN_AT_FIRST = 7;
let chart = null;

const look = (dataset, run) => {
  const place = study.runs.filter((one) => one.on.includes(dataset)).findIndex((one) => one.name === run);
  const round = Math.floor(place / PALETTE.length);
  return {
    colour: PALETTE[place % PALETTE.length],
    shape: SHAPES[(place + 3 * round) % SHAPES.length],
    dash: DASHES[round % DASHES.length],
  };
};

const pooledTitle = (name) => (name === "calibrated" ? "all SSIM-calibrated types" : "all types at fixed strengths");

// So far apart in levels that the bars of runs do not cover each other.
const APART = 0.035;
const FREE_ENDS = 0.25;

// As in the figure: what cannot reach a level is in the clean mean alone, and a plain mean would move with who is left.
const after = (metric, clean, drop) => (clean === null || drop === null ? null : study.metrics[metric].smaller ? clean + drop : clean - drop);

function points(data, metric, perturbation, chosen) {
  const starts = new Map(data.clean.filter(([run, name]) => name === metric && chosen.includes(run)).map(([run, , mean]) => [run, mean]));
  const clean = [...starts].map(([run, score]) => ({ run, level: 0, score: study.metrics[metric].of_pair ? 0 : score, low: null, high: null, drop: 0 }));
  const pooled = perturbation === "calibrated" || perturbation === "fixed";
  const rows = pooled ? data.pooled.map(([run, name, kind, level, drop, low, high]) => ({ run, metric: name, name: kind, level, drop, low, high })) : data.cells.map(cellOf);
  const own = rows.filter((row) => row.metric === metric && row.name === perturbation && starts.has(row.run) && row.drop !== null);
  const moved = own.map(({ run, name, level, drop, low, high }) => {
    const [score, ...ends] = [drop, low, high].map((one) => after(metric, starts.get(run), one));
    return { run, kind: name, level, score, drop, low: low === null ? null : Math.min(...ends), high: low === null ? null : Math.max(...ends) };
  });
  const digits = study.metrics[metric].digits;
  return [...clean, ...moved].map((point) => ({
    ...point,
    title: runs.get(point.run).title,
    at: point.level + (chosen.indexOf(point.run) - (chosen.length - 1) / 2) * APART,
    interval: point.low === null ? "\u2013" : `[${number(point.low, digits)}, ${number(point.high, digits)}]`,
  }));
}

function curveSpec(dataset, metric, perturbation, values) {
  const shown = study.runs.filter((run) => values.some((point) => point.run === run.name));
  const titles = shown.map((run) => run.title);
  const looks = shown.map((run) => look(dataset, run.name));
  const about = study.metrics[metric];
  const x = { field: "at", type: "quantitative", title: "level (0 is clean)", axis: { values: [0, ...study.levels], format: "d" }, scale: { domain: [-FREE_ENDS, study.levels.at(-1) + FREE_ENDS], nice: false } };
  const y = { field: "score", type: "quantitative", title: about.title + (about.unit ? ` (${about.unit})` : ""), scale: { zero: true, nice: true } };
  // The same for colour, shape and dash, so that they are one legend.
  const legend = { orient: "bottom", columns: window.innerWidth > 800 ? 3 : 1, labelLimit: 320, symbolStrokeWidth: 2 };
  const colour = { field: "title", type: "nominal", title: null, scale: { domain: titles, range: looks.map((one) => one.colour) }, legend };
  const bars = values.filter((point) => point.low !== null);
  return {
    description: `Curves of ${about.title} on ${datasets.get(dataset).title} against the severity of ${spaced(perturbation)}, one for each of ${titles.length} runs. The numbers are in the table below.`,
    width: "container",
    height: 420,
    autosize: { type: "fit-x", contains: "padding" },
    data: { values },
    layer: [
      ...(bars.length ? [{ data: { values: bars }, mark: { type: "rule", strokeWidth: 1.3, opacity: 0.55 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour } }] : []),
      { mark: { type: "line", strokeWidth: 1.8 }, encoding: { x, y, color: colour, strokeDash: { field: "title", type: "nominal", title: null, scale: { domain: titles, range: looks.map((one) => one.dash) }, legend } } },
      {
        mark: { type: "point", filled: true, size: 70, cursor: "pointer" },
        encoding: {
          x, y, color: colour,
          shape: { field: "title", type: "nominal", title: null, scale: { domain: titles, range: looks.map((one) => one.shape) }, legend },
          tooltip: [{ field: "title", title: "run" }, { field: "level" }, { field: "score", title: about.title, format: `.${about.digits}f` }, { field: "interval" }, { field: "drop", format: `.${about.digits}f` }],
        },
      },
    ],
    config: { font: "system-ui, sans-serif", axis: { labelFontSize: 12, titleFontSize: 13, gridColor: "#e4e4e4" }, legend: { labelFontSize: 12 }, view: { stroke: null } },
  };
}

async function showCurves() {
  const dataset = find("curve-dataset").value;
  const data = await chunk(`cells.${dataset}`);
  await library("charts.js");
  const metric = find("curve-metric").value;
  const perturbation = find("curve-perturbation").value;
  const chosen = [...find("curve-runs").querySelectorAll("input:checked")].map((box) => box.value);
  const values = points(data, metric, perturbation, chosen);
  find("curve-note").textContent = values.some((point) => point.level > 0)
    ? `A point is the clean mean less the mean paired drop. ${barsText(dataset, metric, values)} Marks of one level stand side by side so that bars can be seen. A click on a point, or Enter on a row of the table, shows the images behind it.`
    : "No run that is ticked has scores here. Averages over types are of the metric that runs are compared by.";
  chart?.finalize();
  chart = await window.vegaEmbed(find("curve-chart"), curveSpec(dataset, metric, perturbation, values), {
    ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
  });
  chart.view.addEventListener("click", (event, item) => {
    if (item?.datum?.run && item.datum.level > 0) openPoint(dataset, item.datum);
  });
  curveTable(dataset, metric, values);
}

function barsText(dataset, metric, values) {
  if (values.some((point) => point.low !== null)) return `Bars are ${100 * study.confidence} % intervals of the drop, from a bootstrap of groups.`;
  return metric === datasets.get(dataset).metric ? "There are too few groups for intervals." : "Only the metric that runs are compared by has intervals.";
}

const openPoint = (dataset, point) => {
  const pooled = point.kind === "calibrated" || point.kind === "fixed";
  guarded(showDetails)({ dataset, run: point.run, perturbation: pooled ? undefined : point.kind, level: point.level });
};

function curveTable(dataset, metric, values) {
  const digits = study.metrics[metric].digits;
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...["run", "level", study.metrics[metric].title, "interval of the drop, from clean", "drop"].map((text) => element("th", { scope: "col", textContent: text })))));
  const body = table.createTBody();
  for (const point of values) {
    const texts = [point.title, String(point.level), point.level ? number(point.score, digits) : cleanText(metric, point.score), point.interval, number(point.drop, digits)];
    body.append(element("tr", {}, ...texts.map((text) => element("td", { textContent: text, className: point.level ? "opens" : "" }))));
  }
  const first = walkable(table, (cell) => {
    const point = values[cell.parentElement.sectionRowIndex];
    if (point.level > 0) openPoint(dataset, point);
  });
  find("curve-table").replaceChildren(table);
  first();
}

// The best, the steadiest and the best baseline, then by clean score, and other baselines last.
function tickedAtFirst(dataset, data) {
  const { best, steadiest, baseline } = dataset.overview;
  const sign = study.metrics[dataset.metric].smaller ? 1 : -1;
  const scored = data.clean.filter(([, metric, mean]) => metric === dataset.metric && mean !== null);
  const ordered = scored.sort(([one, , mean], [other, , rival]) => runs.get(one).baseline - runs.get(other).baseline || sign * (mean - rival)).map(([run]) => run);
  const first = [best, steadiest, baseline].filter(Boolean).map(({ names }) => names[0]);
  return new Set([...new Set([...first, ...ordered])].slice(0, SHOWN_AT_FIRST));
}

async function startCurves() {
  const redraw = guarded(showCurves);
  const metrics = async () => {
    const dataset = datasets.get(find("curve-dataset").value);
    const data = await chunk(`cells.${dataset.name}`);
    choices(find("curve-metric"), data.metrics.map((name) => [name, study.metrics[name].title]), dataset.metric);
    const ticked = tickedAtFirst(dataset, data);
    const boxes = study.runs.filter((run) => run.on.includes(dataset.name)).map((run) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = look(dataset.name, run.name).colour;
      const box = element("input", { type: "checkbox", value: run.name, checked: ticked.has(run.name) });
      box.addEventListener("change", redraw);
      return element("label", { className: "check" }, box, swatch, run.title);
    });
    find("curve-runs").replaceChildren(element("legend", { textContent: "Runs" }), ...boxes);
    types(data);
  };
  const types = (data) => {
    const dataset = datasets.get(find("curve-dataset").value);
    const kinds = [...new Set(data.pooled.filter((row) => row[1] === find("curve-metric").value).map((row) => row[2]))];
    const averages = kinds.length ? [["Averages", kinds.map((kind) => [kind, pooledTitle(kind)])]] : [];
    const single = conditionGroups(dataset).map(([title, names]) => [title, names.map((name) => [name, marked(name)])]);
    grouped(find("curve-perturbation"), [...averages, ...single], find("curve-perturbation").value);
  };
  choices(find("curve-dataset"), study.datasets.map((one) => [one.name, one.title]));
  find("curve-dataset").addEventListener("change", guarded(async () => { await metrics(); await showCurves(); }));
  find("curve-metric").addEventListener("change", guarded(async () => { types(await chunk(`cells.${find("curve-dataset").value}`)); await showCurves(); }));
  find("curve-perturbation").addEventListener("change", redraw);
  await metrics();
  await showCurves();
}
