"""What a table lacks, said in its footnotes, with the commands that fill it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from medstress.records import CLEAN
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.titles import dataset_titles, run_titles
from medstress.specs import GENERATION_METRICS
from medstress.table_spec import TableSpec

STUDY_FILE = "STUDY.yaml"
EXPLAINED = f"{STUDY_FILE} is the study's configuration file."
"""Said once in a table with commands: it is made from records, and does not know where the file is."""
_MOST = 12
"""So many sentences say what is missing; the commands fill what the others would say, too."""
FEWER = (
    "Means are over what there is: those of the runs and data sets above are over fewer cells than the others', so "
    "compare them cell by cell."
)
"""Said wherever scores are missing."""

_FIRST = {"closed_accuracy": "closed_", "open_f1": "open_"}
"""What every data set with closed or with open questions has, by how metrics of these begin."""
Cells = Mapping[str, Sequence[int]]
"""Levels by perturbation, attack or moved prompt."""
_Found = set[tuple[str, str, int, str, str, int]]


@dataclass(frozen=True)
class _Hole:
    """What is missing of runs with these seeds on a data set; no seeds where all lack it. files: runs by their names.

    whole: there is no score at all.
    """

    dataset: str
    run: str
    seeds: tuple[int, ...]
    text: str
    files: tuple[str, ...]
    whole: bool


def _levels_text(levels: Sequence[int]) -> str:
    return f"level{'' if len(levels) == 1 else 's'} {', '.join(map(str, levels))}"


def _cells_text(cells: Cells, titles: Mapping[str, str]) -> str:
    """Cells as people read them, perturbations that lack the same levels together."""
    by_levels: dict[tuple[int, ...], list[str]] = {}
    for name, levels in cells.items():
        by_levels.setdefault(tuple(levels), []).append(titles.get(name, name))
    return "; ".join(f"{', '.join(names)}, {_levels_text(levels)}" for levels, names in by_levels.items())


def _found(frame: pd.DataFrame) -> _Found:
    names = ["dataset", "run", "seed", "metric", "perturbation", "level"]
    return set(frame[names].drop_duplicates().itertuples(index=False, name=None))


def _members(spec: TableSpec, dataset: str, run: str, scored: Iterable[int]) -> dict[int, str]:
    """The runs that a run stands for on a data set, by seed; those that were `scored` where the study names none."""
    names = spec.members.get(run, {}).get(dataset)
    if names:
        return {int(seed) if (seed := name.partition("~seed")[2]).isdigit() else 0: name for name in names}
    return dict.fromkeys(sorted(scored) or [0], run)


def _applies(metric: str, dataset: str, found: set[tuple[str, str]]) -> bool:
    """Whether a data set has a metric at all: kappa is of grades alone, and others of open or of closed questions."""
    if metric in _FIRST:
        return any(name == dataset and one.startswith(_FIRST[metric]) for name, one in found)
    return (metric != "qwk" and METRICS[metric].task != "vqa") or (dataset, metric) in found


def _lacking(
    found: _Found, key: tuple[str, str, int], metrics: Sequence[str], cells: Cells, titles: Mapping[str, str]
) -> str:
    """What one run with one seed lacks on one data set; nothing where all is there."""
    by_text: dict[str, list[str]] = {}
    for metric in metrics:
        lacks = {
            name: gone
            for name, levels in cells.items()
            if (gone := [level for level in levels if (*key, metric, name, level) not in found])
        }
        every = bool(lacks) and all(len(lacks.get(name, ())) == len(levels) for name, levels in cells.items())
        texts = ["no clean {}"] if (*key, metric, CLEAN, 0) not in found else []
        if texts and every:
            texts = ["no {}"]
        elif lacks:
            texts.append(f"no {{}} for {_cells_text(lacks, titles)}")
        if texts:
            by_text.setdefault("; ".join(texts), []).append(metric)
    return "; ".join(text.replace("{}", ", ".join(names)) for text, names in by_text.items())


def _holes(
    spec: TableSpec,
    frame: pd.DataFrame,
    metrics: Sequence[str],
    expected: Mapping[tuple[str, str], Cells],
    titles: Mapping[str, str],
) -> Iterator[_Hole]:
    """What there is not of the `expected` cells of runs on data sets, clean images being expected with them."""
    found = _found(frame[frame["metric"].isin(metrics)])
    seeds: dict[tuple[str, str], set[int]] = {}
    for dataset, run, seed in frame[["dataset", "run", "seed"]].drop_duplicates().itertuples(index=False, name=None):
        seeds.setdefault((dataset, run), set()).add(seed)
    measured = set(frame[["dataset", "metric"]].drop_duplicates().itertuples(index=False, name=None))
    for (dataset, run), cells in expected.items():
        applied = [metric for metric in metrics if _applies(metric, dataset, measured)]
        members = _members(spec, dataset, run, seeds.get((dataset, run), ()))
        by_text: dict[tuple[str, bool], list[int]] = {}
        for seed in members:
            whole = seed not in seeds.get((dataset, run), ())
            text = "no scores" if whole else _lacking(found, (dataset, run, seed), applied, cells, titles)
            if text:
                by_text.setdefault((text, whole), []).append(seed)
        for (text, whole), lacking in by_text.items():
            told_apart = () if len(lacking) == len(members) else tuple(lacking)
            yield _Hole(dataset, run, told_apart, text, tuple(dict.fromkeys(members[one] for one in lacking)), whole)


def _sentences(spec: TableSpec, holes: Sequence[_Hole]) -> list[str]:
    """Runs that lack the same on a data set together, and then data sets on which the same runs do."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    by_text: dict[tuple[str, str], list[str]] = {}
    for hole in holes:
        seeds = f", seed{'' if len(hole.seeds) == 1 else 's'} {', '.join(map(str, hole.seeds))}" if hole.seeds else ""
        by_text.setdefault((hole.dataset, hole.text), []).append(runs[hole.run] + seeds)
    by_runs: dict[tuple[str, str], list[str]] = {}
    for (dataset, text), names in by_text.items():
        by_runs.setdefault(("; ".join(names), text), []).append(datasets[dataset])
    said = [f"{'; '.join(where)}, {names}: {text}." for (names, text), where in by_runs.items()]
    return _shortened(said)


def _shortened(said: list[str]) -> list[str]:
    return said if len(said) <= _MOST else [*said[:_MOST], f"And {len(said) - _MOST} more of the kind."]


def _one_of(names: Sequence[str]) -> str:
    """Names as a shell takes them for several: `net`, `{net,box}`."""
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"


def paths_of(spec: TableSpec, folder: str, pairs: Iterable[tuple[str, str]], suffix: str = "parquet") -> str:
    """Records by (folder in `folder`, name of the file), few words for many."""
    by_name: dict[str, list[str]] = {}
    for place, name in pairs:
        by_name.setdefault(name, []).append(place)
    by_places: dict[tuple[str, ...], list[str]] = {}
    for name, places in by_name.items():
        by_places.setdefault(tuple(dict.fromkeys(places)), []).append(name)
    return " ".join(
        f"results/{spec.study}/{folder}/{_one_of(places)}/{_one_of(names)}.{suffix}"
        for places, names in by_places.items()
    )


def filling(targets: str, forced: str = "") -> str:
    """The sentence that names the command which makes `targets`, after `forced` was made anew."""
    # Files come first: `--configfile` takes all words behind it for files of its own.
    again = f" --forcerun {forced}" if forced else ""
    return f"To fill: `snakemake {targets}{again} --profile local --configfile {STUDY_FILE}`."


def _notes(spec: TableSpec, holes: Sequence[_Hole]) -> list[str]:
    if not holes:
        return []
    notes = _sentences(spec, holes)
    whole, partial = (
        [(name, one.dataset) for one in holes if one.whole is side for name in one.files] for side in (True, False)
    )
    if whole:
        notes.append(filling(paths_of(spec, "scores", whole)))
    if partial:
        # The record is there, so Snakemake would find nothing to do; answers that were kept are not asked again.
        notes.append(filling(paths_of(spec, "scores", partial), paths_of(spec, "predictions", partial)))
    return [*notes, FEWER]


def missing_expected(
    spec: TableSpec,
    frame: pd.DataFrame,
    expected: Mapping[tuple[str, str], Cells],
    titles: Mapping[str, str] | None = None,
) -> list[str]:
    """Sentences on cells by (data set, run) without scores of the primary metric, and the commands that fill them.

    titles: what people call perturbations, where not by their names.
    """
    return _notes(spec, list(_holes(spec, frame, [primary_metric(spec)], expected, titles or {})))


def missing_attacks(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on attacks on runs with gradients that have no scores of the primary metric."""
    return _notes(spec, list(_holes_in_attacks(spec, frame)))


def _holes_in_attacks(spec: TableSpec, frame: pd.DataFrame) -> Iterator[_Hole]:
    cells = dict.fromkeys(spec.attacks, spec.levels)
    on = [(dataset, run) for dataset in spec.attacked_datasets for run in spec.runs_on(dataset) if run in spec.attacked]
    yield from _holes(spec, frame, [primary_metric(spec)], dict.fromkeys(on if cells else (), cells), {})


def missing_cells(spec: TableSpec, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Sentences on cells of every run, such as moved prompts, that have no scores of the primary metric."""
    cells = dict.fromkeys(names, spec.levels)
    return missing_expected(
        spec, frame, {(dataset, run): cells for dataset in spec.datasets for run in spec.runs_on(dataset)}
    )


def missing_scores(spec: TableSpec, frame: pd.DataFrame, *, attacks: bool = False) -> list[str]:
    """Sentences on runs, perturbations, levels and metrics of the study that have no scores; then what fills them.

    With `attacks`, also those on runs with gradients.
    """
    task = METRICS[spec.metrics[0]].task
    # Of answers in words all that can be is scored.
    chosen = [name for name, one in METRICS.items() if one.task == task and task not in GENERATION_METRICS]
    notes = [f"{name} was not scored." for name in chosen if name not in spec.metrics]
    holes = list(_holes_in_scores(spec, frame))
    if attacks:
        # A run without any score, or without clean ones, is said once.
        holes += [hole for hole in _holes_in_attacks(spec, frame) if not hole.whole and hole not in holes]
    return notes + _notes(spec, holes)


def missing_of_tasks(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """The same where a table tells of several tasks; of the metrics that a study leaves out nothing is said."""
    parts = [
        spec.of_task(task) for task in dict.fromkeys(spec.tasks.get(name, "segmentation") for name in spec.datasets)
    ]
    return _notes(spec, [hole for part in parts for hole in _holes_in_scores(part, frame)])


def _holes_in_scores(spec: TableSpec, frame: pd.DataFrame) -> Iterator[_Hole]:
    expected = {
        (dataset, run): dict.fromkeys(spec.perturbations_on(dataset), spec.levels)
        for dataset in spec.datasets
        for run in spec.runs_on(dataset)
    }
    yield from _holes(spec, frame, spec.metrics, expected, {})


def missing_perturbed(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """Sentences on perturbations and levels of the study without perturbed images, and the command that makes them."""
    names = ["dataset", "perturbation", "level"]
    found = set(frame[names].drop_duplicates().itertuples(index=False, name=None))
    titles, said, records = dataset_titles(spec), [], []
    for dataset in spec.datasets:
        lacks = {
            kind: gone
            for kind in spec.perturbations_on(dataset)
            if (gone := [level for level in spec.levels if (dataset, kind, level) not in found])
        }
        if lacks:
            said.append(f"{titles[dataset]}: no images for {_cells_text(lacks, {})}.")
            records += [(dataset, kind) for kind in lacks]
    if not records:
        return []
    paths = paths_of(spec, "perturbed", records)
    return [*_shortened(said), filling(paths, paths)]
