const LOSS = [213, 94, 0];
const GAIN = [0, 114, 178];

// Kinds of columns, in order; a kind without columns is left out.
const conditionGroups = (dataset) => [
  ["Perturbations", dataset.perturbations],
  ["Attacks", dataset.attacks],
  ["Moved prompts", dataset.prompts],
].filter(([, names]) => names.length);

const fixedTypes = new Set(study.perturbations.filter((one) => one.fixed).map((one) => one.name));
const marked = (name) => spaced(name) + (fixedTypes.has(name) ? " \u2020" : "");

const asCommand = (text) => element("code", { className: "command", tabIndex: 0, textContent: text });

function holesView(dataset) {
  if (!dataset.holes.length) return [];
  const count = dataset.holes.reduce((sum, hole) => sum + hole.levels.length, 0);
  const byCommand = new Map();
  for (const hole of dataset.holes) byCommand.set(hole.command, [...(byCommand.get(hole.command) ?? []), hole]);
  const entries = [...byCommand].map(([command, some]) => {
    const where = some.map((hole) => `${spaced(hole.condition)} at ${hole.levels.length === 1 ? "level" : "levels"} ${hole.levels.join(", ")}`).join("; ");
    return element("li", {}, `${runs.get(some[0].run).title}: ${where}`, asCommand(command));
  });
  return [element("details", { className: "warning", open: true },
    element("summary", { textContent: `${plural(count, "cell has", "cells have")} no scores` }),
    element("p", { textContent: "Means over types and levels lack them. These commands fill them, with the study's own --configfile if it has one; what is in a journal is not computed again." }),
    element("ul", {}, ...entries))];
}

function heatHead(groups) {
  const rows = [];
  if (groups.length > 1) {
    rows.push(element("tr", { className: "groups" }, element("td"), ...groups.map(([title, names]) => element("th", { scope: "colgroup", colSpan: names.length, textContent: title, className: "starts" }))));
  }
  const starts = new Set(groups.map(([, names]) => names[0]));
  const names = groups.flatMap(([, some]) => some);
  rows.push(element("tr", {}, element("th", { scope: "col", textContent: "Run" }), ...names.map((name) => element("th", { scope: "col", className: starts.has(name) ? "starts" : "" }, spaced(name), ...(fixedTypes.has(name) ? [" ", element("span", { className: "sign", textContent: "\u2020" })] : [])))));
  return element("thead", {}, ...rows);
}

function heatCell(cell, { run, name, level, about, largest, hole }) {
  const shown = element("td", { className: "opens", textContent: cell ? number(cell.drop, about.digits) : "" });
  if (hole) {
    shown.classList.add("hole");
    shown.textContent = "missing";
  }
  const said = cell ? `${cell.counted} of ${cell.given} pairs count` : hole ? "no scores" : "not asked";
  shown.title = `${run.title}, ${spaced(name)}, level ${level}: ${said}`;
  if (!cell && !hole) shown.classList.add("none");
  if (cell?.drop) {
    const [red, green, blue] = cell.drop > 0 ? LOSS : GAIN;
    shown.style.backgroundColor = `rgb(${red} ${green} ${blue} / ${(0.62 * Math.abs(cell.drop)) / largest})`;
  }
  return shown;
}

async function showCells() {
  const dataset = datasets.get(find("cell-dataset").value);
  const data = await chunk(`cells.${dataset.name}`);
  const metric = find("cell-metric").value;
  const level = Number(find("cell-level").value);
  const about = study.metrics[metric];
  const drops = new Map();
  for (const cell of data.cells.map(cellOf)) {
    if (cell.metric === metric && cell.level === level) drops.set(`${cell.run} ${cell.name}`, cell);
  }
  const missing = new Set(dataset.holes.filter((hole) => hole.levels.includes(level)).map((hole) => `${hole.run} ${hole.condition}`));
  const groups = conditionGroups(dataset);
  const names = groups.flatMap(([, some]) => some);
  const rows = study.runs.filter((run) => run.on.includes(dataset.name) && names.some((name) => drops.has(`${run.name} ${name}`) || missing.has(`${run.name} ${name}`)));
  // Of each kind by itself: attacks would leave no colour to the rest.
  const largest = new Map(groups.flatMap(([, some]) => {
    const own = Math.max(1e-9, ...rows.flatMap((run) => some.map((name) => Math.abs(drops.get(`${run.name} ${name}`)?.drop ?? 0))));
    return some.map((name) => [name, own]);
  }));
  const word = about.smaller ? "rise" : "drop";
  find("cell-title").textContent = `Mean paired ${word} of ${about.title} on ${dataset.title} at level ${level}`;
  find("cell-note").textContent = `Orange loses, blue gains, and the sign says it too${groups.length > 1 ? "; each kind of columns has its own scale" : ""}. A click on a cell, or Enter, shows the images behind it; arrow keys move. \u2013: no pair counts.${names.some((name) => fixedTypes.has(name)) ? " \u2020: strengths of a table, not SSIM bands." : ""}`;
  find("cell-holes").replaceChildren(...holesView(dataset));
  const table = element("table", { className: "heat", "aria-labelledby": "cell-title" }, heatHead(groups));
  const body = table.createTBody();
  for (const run of rows) {
    const cells = names.map((name) => heatCell(drops.get(`${run.name} ${name}`), { run, name, level, about, largest: largest.get(name), hole: missing.has(`${run.name} ${name}`) }));
    body.append(element("tr", {}, element("th", { scope: "row", textContent: run.title }), ...cells));
  }
  const first = walkable(table, (cell) => {
    if (cell.tagName !== "TD" || cell.classList.contains("none")) return;
    const run = rows[cell.parentElement.sectionRowIndex].name;
    guarded(showDetails)({ dataset: dataset.name, run, perturbation: names[cell.cellIndex - 1], level });
  });
  find("cell-table").replaceChildren(table);
  first();
}

async function startCells() {
  const metrics = async () => {
    const dataset = datasets.get(find("cell-dataset").value);
    const data = await chunk(`cells.${dataset.name}`);
    choices(find("cell-metric"), data.metrics.map((name) => [name, study.metrics[name].title]), dataset.metric);
  };
  choices(find("cell-dataset"), study.datasets.map((one) => [one.name, one.title]));
  choices(find("cell-level"), study.levels.map((level) => [level, level]), study.levels.at(-1));
  find("cell-dataset").addEventListener("change", guarded(async () => { await metrics(); await showCells(); }));
  find("cell-metric").addEventListener("change", guarded(showCells));
  find("cell-level").addEventListener("change", guarded(showCells));
  await metrics();
  await showCells();
}
