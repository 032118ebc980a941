const VIEWS = { overview: startOverview, claims: startClaims, tables: startTables(), cells: startCells, curves: startCurves, figures: startFigures, provenance: startProvenance };
const started = new Map();

// What a study does not have is no view.
if (!study.tables.some((one) => one.name === "claims")) delete VIEWS.claims;
if (!study.figures.length) delete VIEWS.figures;
for (const tab of [...find("tabs").children]) if (!(tab.getAttribute("aria-controls") in VIEWS)) tab.remove();

async function view(name) {
  for (const tab of find("tabs").children) {
    const own = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(own));
    tab.tabIndex = own ? 0 : -1;
    find(tab.getAttribute("aria-controls")).hidden = !own;
  }
  find("message").hidden = true;
  if (!started.has(name)) started.set(name, (async () => VIEWS[name]())());
  await started.get(name);
  find(name).dataset.ready = "yes";
}

// With a stroke, so that it is no element's id: going to one would take the focus away.
const named = () => (location.hash.slice(2) in VIEWS ? location.hash.slice(2) : "overview");

const trained = Object.keys(study.origins).length;
find("summary").textContent = `${plural(study.datasets.length, "data set")}, ${plural(study.runs.length, "run")}${trained > study.runs.length ? ` (${trained} with seeds)` : ""}, ${plural(study.perturbations.length, "perturbation")} at ${plural(study.levels.length, "level")}${holeCount ? `; ${plural(holeCount, "cell")} missing` : ""}.`;
find("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) location.hash = `/${tab.getAttribute("aria-controls")}`;
});
find("tabs").addEventListener("keydown", (event) => {
  const tabs = [...find("tabs").children];
  const at = tabs.indexOf(event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = tabs.at(to % tabs.length);
  next.focus();
  location.hash = `/${next.getAttribute("aria-controls")}`;
});
addEventListener("hashchange", guarded(() => view(named())));
startDetails();
guarded(view)(named());
