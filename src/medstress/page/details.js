const SVG = "http://www.w3.org/2000/svg";
const STATUSES = { ok: "", table: " of a table", in_band: ", in its SSIM band", unreachable: ", cannot reach its SSIM band and does not count" };
const attacks = byName(study.attacks);
const jitters = byName(study.prompts);
let place = null;

const kindOf = (name) => (attacks.has(name) ? "attack" : jitters.has(name) ? "prompt" : "perturbation");

// What a level is of a condition, where it has a number that does not depend on the image.
function strengthText(name, level) {
  if (attacks.has(name)) return `radius of ${attacks.get(name).radii[level - 1]} grey levels`;
  if (jitters.has(name)) return `${Math.round(100 * jitters.get(name).shares[level - 1])} % of the sides of the box`;
  return "";
}

function drawn(path, className) {
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  line.setAttribute("class", `outline ${className}`);
  return line;
}

function shot(sample, picture, title, lines, alt) {
  const caption = element("figcaption", { textContent: title });
  if (!picture) return element("figure", {}, element("p", { className: "empty", textContent: "no image at this level" }), caption);
  const box = element("div", { className: "shot" }, element("img", { src: picture, alt, width: sample.width, height: sample.height }));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${sample.width} ${sample.height}`);
  svg.setAttribute("aria-hidden", "true");
  for (const [path, name] of lines) if (path) svg.append(drawn(path, "halo"), drawn(path, name));
  box.append(svg);
  return element("figure", {}, box, caption);
}

const pairs = (entries) => element("dl", {}, ...entries.filter(([, value]) => value !== "" && value !== undefined && value !== null).flatMap(([name, value]) => [element("dt", { textContent: name }), value instanceof Node ? value : element("dd", { textContent: value })]));

function key(asked) {
  const one = (name, text) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 44 16");
    svg.setAttribute("aria-hidden", "true");
    svg.append(drawn("M2 8H42", "halo"), drawn("M2 8H42", name));
    return element("span", { className: "key" }, svg, text);
  };
  return element("p", {}, one("truth", "truth (white, solid)"), one("prediction", "prediction (orange, dashed)"), ...(asked ? [one("asked", "box that was asked for (blue, dotted)")] : []));
}

const factsOf = (at) => (at?.strength === undefined ? "" : `SSIM ${number(at.ssim, 2)}, strength ${Number(at.strength.toPrecision(4))}${STATUSES[at.status] ?? `, ${at.status}`}`);

// Clean, changed, and changed with outlines: whichever there are.
function shots(sample, clean, given, at) {
  const { perturbation, level } = place;
  const kind = kindOf(perturbation);
  const start = sample.levels[0];
  const outlined = Boolean(start.path);
  const drawnOn = outlined ? ", with truth and prediction" : "";
  const about = `${spaced(perturbation)} at level ${level}`;
  const named = `Image ${sample.image}`;
  const lines = (path, answer, asked) => [[path, "truth"], [answer.path, "prediction"], [asked, "asked"]];
  const first = shot(sample, start.picture, `clean${drawnOn}`, lines(start.path, clean, sample.asked?.[0]), `${named}, clean${drawnOn}`);
  if (kind === "prompt") {
    return [first, shot(sample, start.picture, `asked with a moved box: ${strengthText(perturbation, level)}`, lines(start.path, given, sample.asked?.[level]), `${named} with truth, prediction and the box under ${about}`)];
  }
  if (kind === "attack" && !at) {
    return outlined ? [first, shot(sample, start.picture, "clean image, with the prediction on the attacked one", lines(start.path, given), `${named}, clean, with truth and the prediction under ${about}`)] : [first];
  }
  const path = kind === "attack" ? start.path : at?.path;
  const word = kind === "attack" ? "attacked" : "perturbed";
  return [
    first,
    shot(sample, at?.picture, `${word}: ${factsOf(at)}`, [], `${named} under ${about}`),
    ...(outlined ? [shot(sample, at?.picture, `${word}${drawnOn}`, lines(path, given), `${named} under ${about}${drawnOn}`)] : []),
  ];
}

function scoreTable(data, sample, metrics) {
  const { run, level } = place;
  const scores = new Map(data.scores.filter(([one, name]) => one === run && name === sample.sample).map(([, , at, metric, value]) => [`${metric} ${at}`, value]));
  const scored = metrics.filter((metric) => scores.has(`${metric} ${level}`) || scores.has(`${metric} 0`));
  if (!scored.length) return [];
  const rows = scored.map((metric) => {
    const { title, digits } = study.metrics[metric];
    return element("tr", {}, element("th", { scope: "row", textContent: title }), ...[0, level].map((at) => element("td", { className: "number", textContent: at ? number(scores.get(`${metric} ${at}`), digits) : cleanText(metric, scores.get(`${metric} 0`)) })));
  });
  return [element("div", { className: "wide" }, element("table", {}, element("thead", {}, element("tr", {}, ...["Score", "clean", `level ${level}`].map((text) => element("th", { scope: "col", textContent: text })))), element("tbody", {}, ...rows)))];
}

function sampleView(data, sample, metrics) {
  const { run, perturbation, level } = place;
  const answers = data.answers[run]?.[sample.sample] ?? {};
  const clean = answers[0] ?? {};
  const given = answers[level] ?? {};
  const at = kindOf(perturbation) === "attack" ? data.own?.[run]?.[sample.image]?.[level] : sample.levels[level];
  const changed = (given.best ?? given.text) !== (clean.best ?? clean.text);
  const status = [["clean", clean.status], [`level ${level}`, given.status]].filter(([, one]) => one).map(([one, text]) => `${one}: ${text}`).join(", ");
  return element("section", { className: "sample" },
    element("h3", { textContent: sample.sample }),
    element("p", { className: "hint", textContent: `Shown because: ${sample.why}.` }),
    element("div", { className: "shots" }, ...shots(sample, clean, given, at)),
    element("div", { className: "facts" },
      pairs([
        ["Question", sample.question],
        ["Options", sample.options.join(" \u00b7 ")],
        ["Truth", sample.truth],
        ["Answer, clean", clean.text],
        [`Answer, level ${level}`, given.text === undefined ? undefined : element("dd", { textContent: given.text + (changed ? "   (changed)" : ""), className: changed ? "changed" : "" })],
        ["Status", status],
      ]),
      ...scoreTable(data, sample, metrics),
      ...(at?.seed ? [element("p", { className: "hint", textContent: `Seed of the draw: ${at.seed}` })] : [])));
}

function summary(cells) {
  const { dataset, run, perturbation, level } = place;
  const own = cells.cells.map(cellOf).filter((cell) => cell.run === run && cell.name === perturbation && cell.level === level);
  const hole = datasets.get(dataset).holes.find((one) => one.run === run && one.condition === perturbation && one.levels.includes(level));
  if (hole) return element("div", { className: "warning" }, "There are no scores of this cell. This command fills it:", asCommand(hole.command));
  if (!own.length) return element("p", { textContent: "This run is not asked under it." });
  const clean = new Map(cells.clean.filter((row) => row[0] === run).map((row) => [row[1], row]));
  const changes = own.some(({ metric }) => study.metrics[metric].smaller) ? "Change (a loss is positive)" : "Drop";
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...["Mean over the pairs that count", "Clean", `Level ${level}`, changes, "Pairs that count", "Clean, all samples"].map((text, index) => element("th", { scope: "col", textContent: text, className: index ? "number" : "" })))));
  const body = table.createTBody();
  for (const { metric, clean: before, perturbed, drop, counted, given } of own) {
    const { title, digits } = study.metrics[metric];
    const texts = [cleanText(metric, before), number(perturbed, digits), number(drop, digits), `${counted} of ${given}`, cleanText(metric, clean.get(metric)?.[2])];
    body.append(element("tr", {}, element("th", { scope: "row", textContent: title }), ...texts.map((text) => element("td", { textContent: text, className: "number" }))));
  }
  return element("div", { className: "wide" }, table);
}

const groupsFor = (dataset, run) => conditionGroups(dataset).filter(([title]) => title !== "Attacks" || runs.get(run).attacked).map(([title, names]) => [title, names.map((name) => [name, marked(name)])]);

function fillChoices() {
  const dataset = datasets.get(place.dataset);
  choices(find("details-run"), study.runs.filter((run) => run.on.includes(dataset.name)).map((run) => [run.name, run.title]), place.run);
  grouped(find("details-perturbation"), groupsFor(dataset, place.run), place.perturbation);
  choices(find("details-level"), study.levels.map((one) => [one, one]), place.level);
  place.perturbation = find("details-perturbation").value;
}

async function showDetails(asked) {
  const cells = await chunk(`cells.${asked.dataset}`);
  const dataset = datasets.get(asked.dataset);
  const level = study.levels.includes(asked.level) ? asked.level : study.levels.at(-1);
  const known = conditionGroups(dataset).some(([, names]) => names.includes(asked.perturbation));
  place = { ...asked, level, perturbation: known ? asked.perturbation : worst(cells, asked.run, level, dataset) };
  fillChoices();
  await fillDetails();
  if (!find("details").open) find("details").showModal();
  find("details").scrollTop = 0;
}

// The type with the largest drop, where the number is of several.
function worst(cells, run, level, dataset) {
  const own = cells.cells.map(cellOf).filter((cell) => cell.run === run && cell.metric === dataset.metric && cell.level === level && cell.drop !== null && dataset.perturbations.includes(cell.name));
  return own.reduce((best, cell) => (best === null || cell.drop > best.drop ? cell : best), null)?.name ?? dataset.perturbations[0];
}

// What is not there, and how to get it.
function lackText(data, { perturbation, run }) {
  if (!data) return "No pictures are kept of this cell: a page has a limit. They are in the records of the study.";
  if (kindOf(perturbation) !== "attack" || data.own?.[run]) return null;
  return attacks.get(perturbation).kept
    ? "The adversarial images of this run are not on the page."
    : `The images of ${perturbation} are not kept. Write keep_images: true at this attack in the study's configuration and run the same command again: they are shown here then.`;
}

async function fillDetails() {
  const { dataset, run, perturbation, level } = place;
  const cells = await chunk(`cells.${dataset}`);
  const data = await chunk(`pictures.${dataset}.${perturbation}`);
  const strength = strengthText(perturbation, level);
  find("details-title").textContent = `${runs.get(run).title} on ${datasets.get(dataset).title}: ${spaced(perturbation)}, level ${level}${strength ? ` (${strength})` : ""}`;
  const parts = [summary(cells)];
  const lack = lackText(data, place);
  if (lack) parts.push(element("p", { className: "warning", textContent: lack }));
  if (data?.samples.some((sample) => sample.levels[0].path)) parts.push(key(data.samples.some((sample) => sample.asked)));
  if (data) parts.push(...data.samples.map((sample) => sampleView(data, sample, cells.metrics)));
  parts.push(element("p", { className: "hint", textContent: "Pictures are reduced to 224 pixels and compressed; the records hold them as the model saw them. Of several seeds, answers are the first's; scores are means." }));
  parts.push(await cellProvenance(place));
  find("details-body").replaceChildren(...parts);
}

function startDetails() {
  const again = guarded(() => {
    place = { ...place, run: find("details-run").value, perturbation: find("details-perturbation").value, level: Number(find("details-level").value) };
    fillChoices();
    return fillDetails();
  });
  for (const name of ["run", "perturbation", "level"]) find(`details-${name}`).addEventListener("change", again);
  // The browser keeps the focus in a modal dialog but for its own bars; here it goes round.
  find("details").addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const places = [...find("details").querySelectorAll("button, select, summary, [tabindex='0']")].filter((one) => one.checkVisibility());
    const [first, last] = [places[0], places.at(-1)];
    const leaves = event.shiftKey ? first : last;
    if (document.activeElement !== leaves && find("details").contains(document.activeElement)) return;
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  });
}
