let shownTable = null;

// What names a row stays where it is while the rest scrolls.
const NAMES = ["dataset", "run"];
// Longer texts are sentences: they break into lines, and are nothing to choose from.
const LONGEST_NAME = 40;
const MOST_CHOICES = 30;

const digitsOf = (name, values) => {
  if (values.every((value) => value === null || Number.isInteger(value))) return 0;
  return /hd95/.test(name) ? 1 : 3;
};

// Intervals stand behind their number; what is left of the columns, in order.
function columnsOf(table) {
  const place = new Map(table.columns.map((name, index) => [name, index]));
  const inside = new Set(table.columns.filter((name) => {
    const stem = name.replace(/_(low|high)$/, "");
    return stem !== name && place.has(stem) && place.has(`${stem}_low`) && place.has(`${stem}_high`);
  }));
  return table.columns.filter((name) => !inside.has(name)).map((name) => {
    const index = place.get(name);
    const values = table.rows.map((row) => row[index]);
    const numeric = table.numbers[index];
    const column = { name, index, low: place.get(`${name}_low`), high: place.get(`${name}_high`), numeric, digits: numeric ? digitsOf(name, values) : 0, metric: place.get("metric") };
    if (numeric) return column;
    column.titles = [runs, datasets, metricTitles].find((titles) => allNamed(values, titles));
    column.sentences = !NAMES.includes(name) && values.some((value) => shownText(column, value).length > LONGEST_NAME);
    return column;
  });
}

const metricTitles = new Map(Object.entries(study.metrics));

// Whether every value is a name, or several with blanks between.
function allNamed(values, titles) {
  const named = values.filter((value) => typeof value === "string" && value !== "");
  return named.length > 0 && named.every((value) => value.split(" ").every((name) => titles.has(name)));
}

function shownText(column, value) {
  if (value === null) return "\u2013";
  if (column.numeric) return number(value, column.digits);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (column.titles) return value.split(" ").map((name) => column.titles.get(name)?.title ?? name).join("; ");
  if (column.name === "dataset") return datasets.get(value)?.title ?? value;
  if (column.name === "run") return runs.get(value)?.title ?? value;
  return ["perturbation", "attack", "prompt"].includes(column.name) ? spaced(value) : String(value);
}

function rendered(column) {
  return (value, type, row) => {
    if (type === "sort" || type === "type") return value ?? (column.numeric ? -Infinity : "");
    const paired = column.name.startsWith("clean") && study.metrics[row[column.metric]]?.of_pair;
    const text = paired ? "\u2013" : shownText(column, value);
    if (type !== "display" || paired) return text;
    const low = column.low === undefined || !column.numeric ? null : row[column.low];
    if (low === null || value === null) return escaped(text);
    const ends = `[${number(low, column.digits)}, ${number(row[column.high], column.digits)}]`;
    return `${escaped(text)} <span class="interval">${escaped(ends)}</span>`;
  };
}

// Numbers of transferred images and sides of shifts are not of the cells that have pictures.
const ELSEWHERE = ["source", "shift"];

// Names of metrics as people write them, and the rest in words.
function heading(name) {
  const metric = Object.keys(study.metrics).filter((one) => name === one || name.startsWith(`${one}_`)).sort((a, b) => b.length - a.length)[0];
  if (metric) return study.metrics[metric].title + spaced(name.slice(metric.length));
  const words = { dataset: "data set", max_dataset: "data set of most", max_run: "run of most" };
  return words[name] ?? spaced(name);
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function notesView(notes) {
  const list = element("ul", { className: "notes" }, ...notes.map((note) => element("li", { textContent: note })));
  if (notes.length < 4) return notes.length ? [list] : [];
  return [element("details", {}, element("summary", { textContent: `${notes.length} notes` }), list)];
}

// What a number is of, as far as its row and its column say.
function placeOf(table, row, column) {
  if (ELSEWHERE.some((name) => table.columns.includes(name))) return null;
  const value = (name) => (table.columns.includes(name) ? row[table.columns.indexOf(name)] : undefined);
  const dataset = value("dataset") ?? value("max_dataset");
  const run = value("run") ?? value("max_run");
  if (!datasets.has(dataset) || !runs.has(run)) return null;
  const inName = /^perturbed_(.+)$/.exec(column)?.[1];
  const perturbation = value("perturbation") ?? value("attack") ?? value("prompt") ?? (study.perturbations.some((one) => one.name === inName) ? inName : undefined);
  const level = value("level") ?? /^error_(\d)$/.exec(column)?.[1];
  return { dataset, run, perturbation, level: level === undefined ? undefined : Number(level) };
}

// On a narrow window one column of names leaves room for the rest.
function pin(table) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  const named = heads.filter((cell) => cell.classList.contains("names"));
  const narrow = window.matchMedia("(max-width: 40rem)").matches;
  const chosen = narrow ? [named.find((cell) => cell.classList.contains("run")) ?? named[0]] : named;
  const places = heads.map((cell) => [cell, chosen.includes(cell)]);
  for (const row of table.rows) {
    if (row.cells.length !== heads.length) continue;
    let left = 0;
    places.forEach(([head, stays], index) => {
      row.cells[index].classList.toggle("stays", stays);
      row.cells[index].style.left = stays ? `${left}px` : "";
      left += stays ? head.offsetWidth : 0;
    });
  }
}

async function showTable(name) {
  const table = study.tables.find((one) => one.name === name);
  await library("tables.js");
  table.rows ??= await chunk(table.chunk);
  find("table-title").textContent = table.title;
  find("table-caption").textContent = table.caption;
  find("table-notes").replaceChildren(...notesView(table.notes));
  find("table-files").replaceChildren("All digits: ", ...Object.entries(table.files).flatMap(([kind, href], index) => [index ? " \u00b7 " : "", element("a", { href, textContent: { csv: "CSV", md: "Markdown", tex: "LaTeX" }[kind] })]));
  shownTable?.destroy();
  const counts = find("table-counts").checked;
  const columns = columnsOf(table).filter((column) => counts || (!column.name.startsWith("n_") && column.name !== "group_unit"));
  const body = element("table", { className: "compact", "aria-labelledby": "table-title" });
  find("table-place").replaceChildren(body);
  const first = walkable(body, (cell) => {
    const row = shownTable.row(cell).data();
    const place = row && placeOf(table, row, columns[cell.cellIndex].name);
    if (place) guarded(showDetails)(place);
  });
  const names = columns.some((column) => NAMES.includes(column.name)) ? NAMES : [columns[0].name];
  const opens = table.rows.some((row) => placeOf(table, row, ""));
  find("table-hint").textContent = opens
    ? "A click on a cell, or Enter, shows the images behind it; of a number over several types, those of the type with the largest drop. Arrow keys move from cell to cell. A click on a heading sorts."
    : "A click on a heading sorts.";
  shownTable = new window.DataTable(body, {
    data: table.rows,
    columns: columns.map((column) => ({
      title: escaped(heading(column.name)),
      data: column.index,
      render: rendered(column),
      type: column.numeric ? "num" : "string",
      className: [column.sentences && "wider", names.includes(column.name) && `names ${column.name}`, column.numeric && "number", opens && "opens"].filter(Boolean).join(" "),
    })),
    order: [],
    pageLength: 25,
    lengthMenu: [10, 25, 100, { label: "all", value: -1 }],
    layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" },
    autoWidth: false,
    drawCallback: () => {
      first();
      pin(body);
    },
  });
  filters(table, columns);
}

function filters(table, columns) {
  const asked = columns.map((column, place) => ({ column, place }))
    .filter(({ column }) => (column.numeric ? column.name === "level" : !column.sentences) && !["interval", "group_unit"].includes(column.name));
  const made = [];
  for (const { column, place } of asked) {
    const values = [...new Set(table.rows.map((row) => row[column.index]))].filter((value) => value !== null);
    if (values.length < 2) continue;
    if (![...NAMES, "perturbation"].includes(column.name) && (values.length > MOST_CHOICES || values.length === table.rows.length)) continue;
    const select = element("select");
    choices(select, [["", "all"], ...values.map((value) => [shownText(column, value), shownText(column, value)])], "");
    select.addEventListener("change", () => {
      const wanted = select.value;
      shownTable.column(place).search.fixed("chosen", wanted ? (text) => text === wanted : null).draw();
    });
    made.push(element("label", {}, capital(heading(column.name)), select));
  }
  find("table-filters").replaceChildren(...made);
}

function startTables() {
  if (!study.tables.length) {
    find("table-title").textContent = "The study names no tables.";
    return () => {};
  }
  choices(find("table-name"), study.tables.map((table) => [table.name, table.title]));
  const again = guarded(() => showTable(find("table-name").value));
  find("table-name").addEventListener("change", again);
  find("table-counts").addEventListener("change", again);
  addEventListener("resize", () => find("table-place").querySelector("table") && pin(find("table-place").querySelector("table")));
  return again;
}
