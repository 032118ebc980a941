"""Each run on both sides of each shift of each data set, beside what needs no image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from medstress.score.bootstrap import Estimate, estimate_column
from medstress.score.metrics import METRICS, primary_metric
from medstress.score.robustness import clean_scores, counts, paired_drops
from medstress.score.shift_robustness import SMALLEST, kept_above_floor, lost_between, side_of
from medstress.score.titles import dataset_titles, run_titles
from medstress.shifts import WHOLE_SUBSETS, subset_name
from medstress.table_spec import TableSpec
from medstress.tables.answers_main import counts_of
from medstress.tables.baselines import mark_against_baselines, missing_baselines, verdict_text
from medstress.tables.layout import (
    INTERVALS,
    NO_ANSWERS,
    NOTHING,
    columns_of,
    estimate_text,
    interval_text,
    number,
    typed,
)
from medstress.tables.missing import filling, missing_scores, paths_of

TITLE = "Questions: in and out of distribution"
CAPTION = (
    "Real shifts divide the clean questions of a data set. Of the shift `perturbations`, clean images are in "
    "distribution and their perturbed versions out of it, with the same questions on both sides. Relative robustness "
    "is the mean out of distribution above what a guess scores there, over the mean in distribution above what a guess "
    "scores there: one over the number of options of closed questions, 0 where options are not known and for open "
    "questions. It is below 0% where guessing would do better, and not given where the latter is under "
    f"{SMALLEST:g} of the metric's range; there is no interval where that is so in too many resamples. Explained is "
    "the share of a run's score above the guess that the same model has without the image; over 100% the image does "
    "harm. Groups on both sides are drawn for both; sides that share none are drawn apart. "
    f"{INTERVALS} {NO_ANSWERS} The baseline is the best one that knows the training answers alone. A run that does not "
    "beat all baselines, models without the image among them, is marked, in and out of distribution. The numbers have "
    "every metric, and each perturbation apart."
)
PERTURBATIONS = "perturbations"
"""The shift from clean images to all perturbed ones, in the column of shifts."""

_SHOWN = ("closed_accuracy", "open_f1", "judge_closed", "judge_open")
_Side = Literal["iid", "ood"]
_SIDES: tuple[_Side, _Side] = ("iid", "ood")


@dataclass(frozen=True)
class _Scores:
    """Scores of one data set and metric: clean ones of all subsets, pairs, and what a guess scores by sample."""

    dataset: str
    metric: str
    clean: pd.DataFrame
    pairs: pd.DataFrame
    chances: "pd.Series[float] | None"


@dataclass(frozen=True)
class _Runs:
    """Rows by run."""

    parts: Mapping[str, pd.DataFrame]
    nothing: pd.DataFrame

    def of(self, run: str) -> pd.DataFrame:
        """Those of one run, which may be none."""
        return self.parts.get(run, self.nothing)


def _by_run(rows: pd.DataFrame) -> _Runs:
    return _Runs({str(run): part for run, part in rows.groupby("run", observed=True)}, rows[:0])


@dataclass(frozen=True)
class _Sides:
    """One shift's scores on both sides; of a synthetic one also the pairs, of which means are made."""

    shift: str
    iid: _Runs
    ood: _Runs
    pairs: _Runs | None = None

    def rows(self, side: _Side, run: str) -> pd.DataFrame:
        """All scores of a run on one side."""
        return (self.iid if side == "iid" else self.ood).of(run)

    def counted(self, side: _Side, run: str) -> pd.DataFrame:
        """Those that means count, with their values in the column `value`."""
        if self.pairs is None:
            rows = self.rows(side, run)
            return rows[counts(rows["status"], rows["value"])]
        pairs = self.pairs.of(run)
        pairs = pairs[pairs["scored"]]
        return pairs.assign(value=pairs["clean" if side == "iid" else "perturbed"])


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, shift, metric and run; adapted runs have none of shifts whose sides they were trained on.

    Without numbers where there are no scores; metrics that no run has on a data set are left out.

    `shift_kind` is real or synthetic. `chance` is what a guess scores; `baseline` the best that is no model without the
    image, and `no_image` the run's own model without it; `explained` is the share that this has of the run's score.
    """
    whole = frame[frame["subset"].isin(WHOLE_SUBSETS)]
    pairs = paired_drops(whole.drop(columns="subset"))
    rows: list[dict[str, Any]] = []
    for dataset in spec.datasets:
        own, paired = frame[frame["dataset"] == dataset], pairs[pairs["dataset"] == dataset]
        found: list[dict[str, Any]] = []
        there = set(own["metric"].unique())
        for metric in spec.metrics if there else [primary_metric(spec)]:
            known = METRICS[metric]
            if known.of_pair or (there and metric not in there):
                continue
            scores = _Scores(
                dataset,
                metric,
                clean_scores(own[own["metric"] == metric]),
                paired[paired["metric"] == metric],
                _chances(own[own["metric"] == known.chance]) if known.chance else None,
            )
            for sides in _shifts(spec, scores):
                found += _of_shift(spec, scores, sides)
        order = [*spec.shifts.get(dataset, []), PERTURBATIONS, *spec.perturbations]
        rows += sorted(found, key=lambda row: order.index(row["shift"]))
    return typed(rows)


def _chances(rows: pd.DataFrame) -> "pd.Series[float]":
    once = rows.drop_duplicates("sample_id")
    return pd.Series(once["value"].to_numpy(), index=once["sample_id"].astype(str))


def _shifts(spec: TableSpec, scores: _Scores) -> Iterator[_Sides]:
    clean, subset = scores.clean, scores.clean["subset"].astype(str)
    whole = clean[subset.isin(WHOLE_SUBSETS)]
    for shift in spec.shifts.get(scores.dataset, []):
        iid, ood = (clean[subset == subset_name(shift, side)] for side in _SIDES)
        yield _Sides(shift, _by_run(iid), _by_run(ood))
    made = spec.perturbations_on(scores.dataset)
    for name in (PERTURBATIONS, *made):
        pairs = scores.pairs[scores.pairs["perturbation"].isin(made if name == PERTURBATIONS else [name])]
        # Of a type that is made for some of the images, the others are on neither side.
        asked, moved = whole[whole["sample_id"].isin(pairs["sample_id"].unique())], _by_run(pairs)
        yield _Sides(name, _by_run(asked), moved, moved)


def _of_shift(spec: TableSpec, scores: _Scores, sides: _Sides) -> list[dict[str, Any]]:
    if sides.pairs is None and len(scores.clean) and not (sides.iid.parts and sides.ood.parts):
        # What nobody has is no side of this data set.
        return []
    runs = [run for run in spec.runs_on(scores.dataset) if _belongs(spec, scores, sides, run)]
    rows = {run: _row(spec, scores, sides, run) for run in runs}
    learnt = [row for run, row in rows.items() if run in spec.baselines and run not in spec.no_image.values()]
    for run, row in rows.items():
        blind = rows.get(spec.no_image.get(run, ""), {})
        for side in _SIDES:
            row[f"baseline_{side}"] = max((one[side] for one in learnt if one[side] is not None), default=None)
            row[f"no_image_{side}"] = blind.get(side)
    found = list(rows.values())
    mark_against_baselines(spec, found, "iid", scores.metric)
    mark_against_baselines(spec, found, "ood", scores.metric, "beats_baselines_ood")
    return found


def _belongs(spec: TableSpec, scores: _Scores, sides: _Sides, run: str) -> bool:
    """Whether a run has a row: adapted ones may be scored on one side of a real shift alone, or on none."""
    trained = run in spec.adapted and sides.pairs is None and run in scores.clean["run"].unique()
    return not trained or all(len(sides.rows(side, run)) for side in _SIDES)


def _row(spec: TableSpec, scores: _Scores, sides: _Sides, run: str) -> dict[str, Any]:
    dataset, metric, statistics = scores.dataset, scores.metric, spec.statistics
    row: dict[str, Any] = {
        "dataset": dataset,
        "shift": sides.shift,
        "shift_kind": "real" if sides.pairs is None else "synthetic",
        "metric": metric,
        "run": run,
        "group_unit": spec.split_units[dataset],
    }
    values: dict[str, Estimate] = {}
    measured = {side: sides.counted(side, run) for side in _SIDES}
    found = {side: side_of(rows, metric, scores.chances) for side, rows in measured.items()}
    blind = spec.no_image.get(run)
    for side, rows in measured.items():
        values[side] = estimate_column(rows, "value", metric, dataset, statistics)
        row[f"n_{side}_samples"] = sides.rows(side, run)["sample_id"].nunique()
        row[f"n_{side}_groups"] = found[side].n_groups
        row[f"chance_{side}"] = found[side].floors.mean() if len(rows) else None
        row |= {f"n_{side}_{name[2:]}": count for name, count in counts_of(sides.rows(side, run)).items()}
        if blind is not None:
            without = side_of(sides.counted(side, blind), metric, scores.chances)
            values[f"explained_{side}"] = kept_above_floor(without, found[side], dataset, statistics)
        else:
            values[f"explained_{side}"] = Estimate(None, None, None, 0, 0)
    values["relative_robustness"] = kept_above_floor(found["ood"], found["iid"], dataset, statistics)
    values["drop"] = lost_between(found["iid"], found["ood"], dataset, statistics)
    for name, value in values.items():
        row |= columns_of(name, value)
    return row | {"interval": interval_text(spec, values["iid"], values["ood"])}


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: of the synthetic shifts, the one to all perturbations."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    shown_shifts = (table["shift_kind"] == "real") | (table["shift"] == PERTURBATIONS)
    rows = []
    for row in table[shown_shifts & table["metric"].isin(_SHOWN)].to_dict("records"):
        digits = METRICS[row["metric"]].digits
        rows.append(
            {
                "Data set": datasets[row["dataset"]],
                "Shift": row["shift"],
                "Metric": METRICS[row["metric"]].title,
                "Run": runs[row["run"]],
                "Questions in / out": _both(row, "n_{}_samples"),
                "In distribution": estimate_text(row, "iid", digits),
                "Out of distribution": estimate_text(row, "ood", digits),
                "Drop": estimate_text(row, "drop", digits),
                "Relative robustness": _share(spec, row, "relative_robustness", *_SIDES),
                "Guess in / out": _both(row, "chance_{}", digits),
                "Baseline in / out": _both(row, "baseline_{}", digits),
                "No image in / out": _both(row, "no_image_{}", digits),
                "Explained in": _share(spec, row, "explained_iid", "iid"),
                "Explained out": _share(spec, row, "explained_ood", "ood"),
                "No answer in / out": " / ".join(str(_unread(row, side)) for side in _SIDES),
                "Failed in / out": _both(row, "n_{}_failed"),
                "Beats baselines in": verdict_text(row["beats_baselines"]),
                "Beats baselines out": verdict_text(row["beats_baselines_ood"]),
            }
        )
    return pd.DataFrame(rows)


def _both(row: dict[Any, Any], column: str, digits: int = 0) -> str:
    return " / ".join(number(row[column.format(side)], digits) for side in _SIDES)


def _unread(row: dict[Any, Any], side: str) -> int:
    return sum(int(row[f"n_{side}_{status}"]) for status in ("empty", "refused", "unparsable"))


def _share(spec: TableSpec, row: dict[Any, Any], name: str, *sides: _Side) -> str:
    """In per cent; without an interval it says why, that groups are few on one of `sides` or quotients not stable."""
    mean, low, high = (number(100 * row[f"{name}{end}"], 0) for end in ("", "_low", "_high"))
    if mean == NOTHING:
        return NOTHING
    if low != NOTHING:
        return f"{mean}% [{low}, {high}]"
    few = any(row[f"n_{side}_groups"] < spec.statistics.min_groups for side in sides)
    return f"{mean}% ({'few groups' if few else 'no interval'})"


def notes(spec: TableSpec, frame: pd.DataFrame) -> list[str]:
    """What is missing."""
    datasets, runs = dataset_titles(spec), run_titles(spec)
    found = set(frame[["dataset", "run", "subset"]].drop_duplicates().astype(str).itertuples(index=False, name=None))
    scored = {(dataset, run) for dataset, run, _ in found}
    whole = frame[frame["subset"].isin(WHOLE_SUBSETS)]
    pairs = clean_scores(whole)[["dataset", "run"]].drop_duplicates().astype(str)
    clean = set(pairs.itertuples(index=False, name=None))
    lacking: dict[str, list[str]] = {}
    unfilled: dict[tuple[str, str], None] = {}
    for dataset, shifts in spec.shifts.items():
        for shift in shifts:
            names = [subset_name(shift, side) for side in _SIDES]
            sides = {run: {name for name in names if (dataset, run, name) in found} for run in spec.runs_on(dataset)}
            asked = [run for run in sides if (dataset, run) in scored]
            known = set().union(*sides.values())
            # A side that even models as they are have no scores on is empty.
            divided = all(len(sides[run]) == len(names) for run in asked if run not in spec.adapted)
            for run in (run for run, there in sides.items() if len(there) < len(names)):
                what = f"{datasets[dataset]}, no scores on both sides of {shift}"
                # Tuned with this shift it would have those of a side at least.
                if divided and run in asked and run in spec.adapted and not sides[run]:
                    what += f", trained on both (a strategy with `shift: {shift}` is scored on both)"
                lacking.setdefault(what, []).append(runs[run])
                # A run without clean scores is said and filled below; a side that no run has is empty.
                if (dataset, run) in clean and (run not in spec.adapted or sides[run]) and sides[run] < known:
                    unfilled |= dict.fromkeys((one, dataset) for one in spec.members.get(run, {}).get(dataset, [run]))
    blind = [runs[run] for run in runs if run not in spec.baselines and run not in spec.no_image]
    if blind:
        lacking["Not asked without the image, so no share is explained"] = blind
    # The records are there, so Snakemake would find nothing to do.
    paths = [paths_of(spec, folder, unfilled) for folder in ("scores", "predictions")]
    return [
        *missing_baselines(spec),
        *(f"{what}: {'; '.join(names)}." for what, names in lacking.items()),
        *([filling(*paths)] if unfilled else []),
        *missing_scores(spec, whole),
    ]
