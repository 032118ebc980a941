"""A card of a study's results in Markdown: what was asked of whom, the main tables, and what made the numbers."""

import json
from collections.abc import Sequence
from pathlib import Path

import medstress
from medstress.errors import MedstressError
from medstress.exports.made_tables import MadeTable
from medstress.records import atomic_path
from medstress.table_spec import TableSpec


def write_results_card(spec: TableSpec, tables: Sequence[MadeTable], results: Path, out: Path) -> None:
    """Write the card of results/{study} to `out`.

    Raises MedstressError where the provenance of a score cannot be read.
    """
    datasets = [
        f"* {title} (`{name}`): {spec.tasks.get(name, 'segmentation')}, in groups by {spec.split_units[name]}"
        for name, title in spec.datasets.items()
    ]
    runs = [
        f"* {title} (`{name}`)" + (", a baseline" if name in spec.baselines else "")
        for name, title in spec.runs.items()
    ]
    statistics = spec.statistics
    attacks = [f"* attacks: {', '.join(spec.attacks)}"] if spec.attacks else []
    others = [f"* [{table.title}](tables/{table.name}.md)" for table in tables if not table.name.endswith("_main")]
    versions = [f"* {name} {', '.join(found)}" for name, found in _versions(results).items()]
    main = ["#" + table.text.rstrip() + "\n" for table in tables if table.name.endswith("_main")]
    lines = [
        f"# Results of the study {spec.study}",
        "",
        f"Made by medstress {medstress.__version__} from stored scores.",
        "",
        "## What was asked",
        "",
        f"* perturbations: {', '.join(spec.perturbations)}",
        f"* levels: {', '.join(map(str, spec.levels))}",
        *attacks,
        f"* intervals: {100 * statistics.confidence:g} %, from {statistics.resamples} resamples of groups; none with "
        f"fewer than {statistics.min_groups} groups",
        "",
        "Data sets:",
        "",
        *datasets,
        "",
        "Runs:",
        "",
        *runs,
        "",
        *main,
        "## What else there is",
        "",
        *(others or ["* no other tables"]),
        "",
        "## What made the scores",
        "",
        *(versions or ["* unknown: the scores have no provenance beside them"]),
        "",
        "These numbers are about the data and weights named here, and no evidence that a model is fit for patients.",
        "",
    ]
    with atomic_path(out) as staged:
        staged.write_text("\n".join(lines), encoding="utf-8")


def _versions(results: Path) -> dict[str, list[str]]:
    """Every version of each package that a score was made with."""
    found: dict[str, set[str]] = {}
    for path in sorted((results / "scores").glob("*/*.provenance.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            versions = {"Python": facts["python"], **facts["versions"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MedstressError(f"{path}: cannot be read ({type(error).__name__}: {error}). Score again.") from None
        for name, version in versions.items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(found[name]) for name in sorted(found)}
