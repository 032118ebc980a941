const familyOf = (run) => run.replace(/@[a-z0-9_]+|~seed\d+$/g, "");

const hardware = (record) => [record.host, record.machine, (record.gpu?.devices ?? []).length ? JSON.stringify(record.gpu.devices) : ""].filter(Boolean).join(", ");

function plainTable(columns, rows, mono = []) {
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...columns.map((text) => element("th", { scope: "col", textContent: text })))));
  const body = table.createTBody();
  for (const row of rows) body.append(element("tr", {}, ...row.map((text, index) => element("td", { textContent: text ?? "\u2013", className: mono.includes(index) ? "mono" : "" }))));
  return table;
}

function recordsTable(data, names) {
  const rows = names.map((name) => {
    const record = data.records[name];
    return [name, record.finished ?? "\u2013", number(record.seconds, 1), hardware(record) || "\u2013", record.versions === undefined ? "\u2013" : `set ${record.versions + 1}`, record.code, record.sha256];
  });
  return plainTable(["Record", "Made", "Seconds", "Hardware", "Packages", "Code", "SHA-256 of the file"], rows, [0, 5, 6]);
}

function originsTable(data, names) {
  const rows = names.map((name) => {
    const from = study.origins[name];
    const found = data.weights[from.weights];
    const hash = from.sha256 ?? (found ? `${found} (of the file that was there)` : from.weights ? "not in the card" : "\u2013");
    return [runs.get(familyOf(name))?.title ?? name, from.model, from.weights ?? "none", hash, from.strategy, datasets.get(from.trainset)?.title ?? from.trainset, from.seed, data.records[`checkpoints/${name}/training.json`]?.tensors, from.prompts];
  });
  return plainTable(["Run", "Model", "Weights", "SHA-256 of the weights", "Strategy", "Trained on", "Seed", "SHA-256 of what was trained", "Prompts"], rows, [2, 3, 7]);
}

function packagesView(data) {
  return element("ol", {}, ...data.versions.map((set) => element("li", { className: "mono", textContent: Object.entries(set).map(([name, version]) => `${name} ${version}`).join(", ") })));
}

// What a cell comes from: weights and training of its runs, data, perturbed images, answers and scores.
async function cellProvenance({ dataset, run, perturbation }) {
  const data = await chunk("provenance");
  const members = Object.keys(study.origins).filter((name) => familyOf(name) === run);
  const attacked = attacks.has(perturbation) ? ["parquet", "images.parquet"] : [];
  const wanted = [
    `datasets/${dataset}/images.parquet`,
    `datasets/${dataset}/samples.parquet`,
    `perturbed/${dataset}/${perturbation}.parquet`,
    ...members.flatMap((name) => [`checkpoints/${name}/training.json`, ...attacked.map((end) => `attacked/${name}/${dataset}.${end}`), `predictions/${name}/${dataset}.parquet`, `scores/${name}/${dataset}.parquet`]),
  ].filter((name) => name in data.records);
  return element("details", {}, element("summary", { textContent: "Where these numbers come from" }),
    element("div", { className: "wide" }, originsTable(data, members)), element("div", { className: "wide" }, recordsTable(data, wanted)),
    element("p", { textContent: "Packages of the jobs, by set:" }), packagesView(data));
}

function dataTable(data) {
  const rows = study.datasets.map((one) => [one.title, TASKS[one.task], one.unit, ...["images", "samples"].map((kind) => data.records[`datasets/${one.name}/${kind}.parquet`]?.sha256)]);
  return plainTable(["Data set", "Task", "A group is a", "SHA-256 of the images", "SHA-256 of the samples"], rows, [3, 4]);
}

async function startProvenance() {
  const data = await chunk("provenance");
  await library("tables.js");
  const table = recordsTable(data, Object.keys(data.records));
  const wide = (shown) => element("div", { className: "wide" }, shown);
  const libraries = Object.entries(study.libraries).map(([name, version]) => `${name} ${version}`).join(" and ");
  find("provenance").replaceChildren(
    element("h2", { textContent: "Runs" }), wide(originsTable(data, Object.keys(study.origins))),
    element("h2", { textContent: "Data sets" }), wide(dataTable(data)),
    element("h2", { textContent: "Draws" }),
    element("p", { textContent: `The draw of a perturbation is seeded by a hash of data set, image and type, which is in each record and under each picture; training by the seeds above. Intervals are of ${100 * study.confidence} %, from ${study.resamples} resamples of groups, which are drawn alike every time.` }),
    element("h2", { textContent: "Packages of the jobs" }), packagesView(data),
    element("h2", { textContent: "Records" }),
    element("p", { className: "hint", textContent: "Every number comes from these files. Code is the fingerprint of the code that made a record. Of files above 256 MiB no hash is taken." }),
    wide(table),
    element("p", { className: "hint", textContent: `This page uses Vega, Vega-Lite and DataTables, out of ${libraries}; their licences are in ${study.folder}/libraries/LICENCES.txt.` }),
  );
  new window.DataTable(table, { order: [], pageLength: 25, autoWidth: false, layout: { topStart: "search", topEnd: "pageLength", bottomStart: "info", bottomEnd: "paging" } });
}
