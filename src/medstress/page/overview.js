const TASKS = { segmentation: "segmentation", classification: "classification", vqa: "questions", captioning: "captions", grounding: "grounding" };
const STAND_IN = " (stand-in)";
const holes = study.datasets.flatMap((dataset) => dataset.holes.map((hole) => ({ dataset: dataset.name, ...hole })));
const holeCount = holes.reduce((sum, hole) => sum + hole.levels.length, 0);

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const titled = (run) => runs.get(run).title + (runs.get(run).stand_in ? STAND_IN : "");

const gained = (value, digits) => (number(value, digits).startsWith("\u2212") ? `gains ${number(-value, digits)}` : number(value, digits));

const MOST_NAMED = 3;

// A value and who has it; of many that tie the first few.
function valued(text, names) {
  const more = names.length - MOST_NAMED;
  return `${text}: ${names.slice(0, MOST_NAMED).join("; ")}${more > 0 ? ` and ${more} more` : ""}${names.length > 1 ? " (tie)" : ""}`;
}

function linked(text, work) {
  const button = element("button", { type: "button", className: "link", textContent: text });
  button.addEventListener("click", guarded(work));
  return button;
}

async function goTo(name, settings = {}) {
  await view(name);
  for (const [id, value] of Object.entries(settings)) {
    find(id).value = value;
    find(id).dispatchEvent(new Event("change"));
  }
  if (location.hash !== `#/${name}`) location.hash = `/${name}`;
  find(`tab-${name}`).focus();
}

function datasetCard(dataset) {
  const { best, baseline, steadiest, hardest, fewer } = dataset.overview;
  const about = study.metrics[dataset.metric];
  const word = about.smaller ? "rise" : "drop";
  const worst = hardest && linked(valued(gained(hardest.value, about.digits), hardest.names.map(marked)), () => showDetails({ dataset: dataset.name, run: best.names[0], perturbation: hardest.names[0], level: study.levels.at(-1) }));
  const beaten = !baseline || !best || (about.smaller ? best.value < baseline.value - 1e-9 : best.value > baseline.value + 1e-9);
  const on = study.runs.filter((run) => run.on.includes(dataset.name));
  return element("article", { className: "card" },
    element("h3", { textContent: dataset.title }),
    element("p", { className: "hint", textContent: `${TASKS[dataset.task]}, ${plural(on.length, "run")}, ${plural(dataset.perturbations.length, "perturbation")}${dataset.stand_in ? "; stand-in" : ""}` }),
    pairs([
      [`Best clean ${about.title}`, best && valued(number(best.value, about.digits), best.names.map(titled))],
      ["Best sanity baseline", baseline && element("dd", { className: beaten ? "" : "changed" }, valued(number(baseline.value, about.digits), baseline.names.map(titled)) + (beaten ? "" : ", not beaten"))],
      [`Smallest mean ${word}`, steadiest && valued(gained(steadiest.value, about.digits), steadiest.names.map(titled))],
      ["Not compared, for cells are missing", fewer.length ? fewer.map(titled).join("; ") : null],
      [`Type with the largest mean ${word}`, worst && element("dd", {}, worst)],
    ]),
    element("p", { className: "links" },
      linked("Heat map", () => goTo("cells", { "cell-dataset": dataset.name })),
      linked("Severity curves", () => goTo("curves", { "curve-dataset": dataset.name }))));
}

function startOverview() {
  const told = [element("p", { textContent: "How much do medical foundation models lose when their images get worse? A number of a table or of the heat map opens the images behind it: click on it, or press Enter." })];
  const verdicts = verdictCounts();
  if (verdicts.length) {
    told.push(element("p", {}, `Of ${plural(verdicts.reduce((sum, [, count]) => sum + count, 0), "published claim")}: `, verdicts.map(([verdict, count]) => `${count} ${verdict}`).join(", "), ". ", linked("See the claims", () => goTo("claims"))));
  }
  if (holeCount) {
    told.push(element("p", { className: "warning" }, `${plural(holeCount, "cell has", "cells have")} no scores. `, linked("See which, and the command that fills them", () => goTo("cells", { "cell-dataset": holes[0].dataset }))));
  }
  if (study.datasets.some((one) => one.stand_in) || study.runs.some((one) => one.stand_in)) {
    told.push(element("p", { className: "hint", textContent: "A stand-in takes the place of a larger model or data set: its numbers show that the pipeline works, and say nothing about publications." }));
  }
  find("overview").replaceChildren(
    element("div", { className: "intro" }, ...told),
    element("h2", { textContent: "Data sets" }),
    element("p", { className: "hint", textContent: `Numbers are those of the tables: of a drop, each pair of a clean and a perturbed score weighs the same; of a type, each run. Drops of sanity baselines are left out.${fixedTypes.size ? " \u2020: strengths of a table, not SSIM bands." : ""}` }),
    element("div", { className: "cards" }, ...study.datasets.map(datasetCard)));
}
