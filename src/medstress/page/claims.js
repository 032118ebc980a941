const MARKS = { survives: "\u2713", "does not": "\u2717", "not enough data": "?", "not comparable": "\u2013" };

async function claimRows() {
  const table = study.tables.find((one) => one.name === "claims");
  if (!table) return [];
  table.rows ??= await chunk(table.chunk);
  return table.rows.map((row) => Object.fromEntries(table.columns.map((name, index) => [name, row[index]])));
}

function verdictCounts() {
  const table = study.tables.find((one) => one.name === "claims");
  if (!table?.rows) return [];
  const counts = new Map(Object.keys(MARKS).map((verdict) => [verdict, 0]));
  for (const row of table.rows) counts.set(row[table.columns.indexOf("verdict")], counts.get(row[table.columns.indexOf("verdict")]) + 1);
  return [...counts].filter(([, count]) => count);
}

const namedIn = (text, items) => (text ?? "").split(" ").filter(Boolean).map((name) => items.get(name)?.title ?? name).join("; ");

// A reason names stand-ins, and they may be many.
const reasonText = (row) => (row.reason?.startsWith("stand-ins: ") ? "models or data sets stand in for those of the publication" : row.reason);

function effectText(row) {
  if (row.effect === null) return "no effect could be taken";
  const ends = row.effect_low === null || row.effect_low === undefined ? "" : ` [${number(row.effect_low, 3)}, ${number(row.effect_high, 3)}]`;
  return `${number(row.effect, 3)}${ends}`;
}

function claimCard(row) {
  const verdict = element("span", { className: `verdict ${row.verdict.replaceAll(" ", "-")}`, textContent: `${MARKS[row.verdict]} ${row.verdict}` });
  return element("article", { className: "card claim" },
    element("h3", {}, row.text, " ", verdict),
    element("div", { className: "sides" },
      pairs([["Published", `${row.published === null ? "" : `${row.published}: `}${row.published_text}`], ["Where", `${row.published_where}, ${row.source}`]]),
      pairs([
        ["Here", effectText(row)],
        ["Effect", `${row.metric}; the claim holds where it is ${row.holds}`],
        ["Why", reasonText(row)],
        ["On", namedIn(row.datasets, datasets)],
        ["Of", namedIn(row.runs, runs)],
        ["Same models, strategies and data", row.same_setting],
      ])));
}

async function startClaims() {
  const table = study.tables.find((one) => one.name === "claims");
  const rows = await claimRows();
  find("claims").replaceChildren(
    element("h2", { textContent: table.title }),
    element("p", { className: "hint", textContent: verdictCounts().map(([verdict, count]) => `${count} ${verdict}`).join(", ") }),
    element("details", {}, element("summary", { textContent: "How verdicts are made" }), element("p", { textContent: table.caption })),
    element("div", { className: "list" }, ...rows.map(claimCard)));
}
