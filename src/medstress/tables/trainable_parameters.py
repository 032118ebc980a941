"""What each strategy really trained: parameters, steps, and what val said."""

from collections.abc import Iterator, Mapping

import pandas as pd

from medstress.runs import POOLED, named_parts
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import number
from medstress.tables.missing import filling, paths_of

TITLE = "Trainable parameters of each strategy"
CAPTION = (
    "Counted on the model that was trained; all parameters include those that a strategy adds. Steps are the "
    "optimiser's, of the learning rate that val chose where several were tried. The kept step is the "
    "look with the best score on val, 0 being the model before training: mean IoU of segmenters, balanced accuracy of "
    "classifiers, and of vision-language models the likelihood of a token of the answers, the geometric mean. The best "
    "of several looks flatters, and where val is small a gain on it is weak evidence."
)
VAL_SCORES = {"iou": "IoU", "accuracy": "balanced accuracy", "likelihood": "likelihood"}
"""What training records may hold of val, as `val_{score}`, and what people call it."""


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a training: the columns of the training records, in the study's order of runs and data sets."""
    trained_on = [*spec.datasets, POOLED]
    runs, datasets = ({name: place for place, name in enumerate(names)} for names in (spec.runs, trained_on))
    table = frame[frame["run"].isin(runs) & frame["dataset"].isin(datasets)]
    places = table.assign(run=table["run"].map(runs), dataset=table["dataset"].map(datasets))
    ordered = table.loc[places.sort_values(["run", "dataset", "seed"]).index]
    return ordered.assign(share=ordered["trained_parameters"] / ordered["all_parameters"])


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    runs, datasets = run_titles(spec), _trained_on(spec)
    return pd.DataFrame(
        {
            "Run": runs[row["run"]],
            "Trained on": datasets[row["dataset"]],
            "Seed": str(row["seed"]),
            "Trained": f"{row['trained_parameters']:,}",
            "All": f"{row['all_parameters']:,}",
            "Share": f"{row['share']:.1%}",
            "Images": str(row["train_images"]),
            "Rate": f"{row['learning_rate']:g}",
            "Batch": str(row["batch"]),
            "Steps": str(row["steps"]),
            "Kept step": str(row["chosen_step"]),
            "On val": VAL_SCORES[row["val_score"]],
            "Before": number(row["val_before"], 3),
            "Kept": number(row["val_kept"], 3),
        }
        for row in table.to_dict("records")
    )


def _trained_on(spec: TableSpec) -> dict[str, str]:
    return dataset_titles(spec) | {POOLED: "several, pooled"}


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing: records, and budgets that are equal, without which strategies cannot be compared."""
    found = set(frame[["run", "dataset", "seed"]].itertuples(index=False, name=None))
    runs, datasets = run_titles(spec), _trained_on(spec)
    said: dict[str, list[str]] = {}
    lacking = [(run, *one) for run in spec.runs for one in _trainings(spec, run) if (run, *one[:2]) not in found]
    for run, dataset, seed, _ in lacking:
        on = f"{runs[run]} on {datasets.get(dataset, dataset)}"
        said.setdefault(on, []).append(str(seed))
    notes = [f"{on}: no training record of seed {', '.join(seeds)}." for on, seeds in said.items()]
    if lacking:
        names = [(name, "training") for *_, name in lacking]
        notes.append(filling(paths_of(spec, "checkpoints", names, "json")))
    return notes + list(_unequal_budgets(frame, datasets))


def _trainings(spec: TableSpec, run: str) -> Iterator[tuple[str, int, str]]:
    """Data set, seed and name of each training that a run of the study stands for; none of a run without a strategy."""
    if not named_parts(run)["strategy"]:
        return
    on = spec.members.get(run, {})
    for name in dict.fromkeys(name for names in on.values() for name in names):
        parts = named_parts(name)
        seed = (parts["variant"] or "").removeprefix("seed")
        yield parts["trainset"] or "", int(seed) if seed.isdigit() else 0, name


def _unequal_budgets(frame: pd.DataFrame, datasets: Mapping[str, str]) -> Iterator[str]:
    for dataset, part in frame.groupby("dataset", observed=True):
        budgets = sorted(set(part[["planned_steps", "batch"]].itertuples(index=False, name=None)))
        if len(budgets) > 1 and dataset in datasets:
            said = ", ".join(f"{steps} steps of {batch}" for steps, batch in budgets)
            yield f"equal budgets on {datasets[str(dataset)]}: what is compared was trained for {said} images."
