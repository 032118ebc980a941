"use strict";
const study = JSON.parse(document.getElementById("data").textContent);
const byName = (items) => new Map(items.map((item) => [item.name, item]));
const datasets = byName(study.datasets);
const runs = byName(study.runs);
const chunks = new Map();
const scripts = new Map();
window.medstress = { chunk: (key, data) => chunks.set(key, data) };

const find = (id) => document.getElementById(id);

function script(path) {
  if (!scripts.has(path)) {
    scripts.set(path, new Promise((done, failed) => {
      const tag = document.createElement("script");
      tag.src = path;
      tag.onload = done;
      tag.onerror = () => failed(new Error(`${path} cannot be loaded. Keep the folder ${study.folder} beside index.html.`));
      document.head.append(tag);
    }));
  }
  return scripts.get(path);
}

const library = (name) => script(`${study.folder}/libraries/${name}`);

async function chunk(key) {
  if (!(key in study.chunks)) return null;
  if (!chunks.has(key)) await script(`${study.folder}/chunks/${encodeURIComponent(study.chunks[key])}`);
  return chunks.get(key);
}

// Everything comes to the page as text, never as markup.
function element(tag, settings = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const escaped = (text) => String(text).replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);

const spaced = (name) => name.replaceAll("_", " ");

function number(value, digits) {
  if (value === null || value === undefined) return "\u2013";
  const text = (Math.round(value * 10 ** digits) / 10 ** digits + 0).toFixed(digits);
  return text.replace("-", "\u2212");
}

// One cell: what the pairs that count come to; low and high are of the drop.
const cellOf = ([run, metric, name, level, clean, perturbed, drop, low, high, counted, given]) => ({ run, metric, name, level, clean, perturbed, drop, low, high, counted, given });

// Of flips clean images have none, by what a flip is.
const cleanText = (metric, value) => (study.metrics[metric].of_pair ? "\u2013" : number(value, study.metrics[metric].digits));

function choices(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value, textContent: text })));
  const values = options.map(([value]) => String(value));
  select.value = values.includes(String(chosen)) ? chosen : values[0];
}

// As choices, in groups of [title, options]; one group alone needs no title.
function grouped(select, groups, chosen) {
  choices(select, groups.flatMap(([, options]) => options), chosen);
  if (groups.length < 2) return;
  const wanted = select.value;
  select.replaceChildren(...groups.map(([label, options]) => element("optgroup", { label }, ...options.map(([value, text]) => element("option", { value, textContent: text })))));
  select.value = wanted;
}

function tell(error) {
  find("message").textContent = error.message;
  find("message").hidden = false;
}

const guarded = (work) => (...given) => Promise.resolve(work(...given)).catch(tell);

// One cell of a table is in the order of the Tab key; arrows move on from there, Enter opens.
function walkable(table, open) {
  const places = () => [...table.tBodies[0].rows].map((row) => [...row.cells]);
  const first = () => {
    const cells = places().flat();
    for (const cell of cells) cell.tabIndex = -1;
    const start = table.querySelector("tbody td");
    if (start) start.tabIndex = 0;
  };
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, tbody th");
    if (!cell || !cell.closest("tbody")) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(cell);
      return;
    }
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    const row = cell.parentElement;
    const rows = places();
    const next = rows[row.sectionRowIndex + move[0]]?.[cell.cellIndex + move[1]];
    if (!next) return;
    event.preventDefault();
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("tbody td");
    if (!cell) return;
    // The focus comes back here from a dialog.
    for (const other of table.querySelectorAll("tbody td[tabindex='0'], tbody th[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
    open(cell);
  });
  return first;
}
