"""Whether people, judges and metrics put answers in the same order."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pandas as pd

from medstress.records import CLEAN
from medstress.runs import family_of, named_parts
from medstress.score.agreement import agreement
from medstress.score.metrics import METRICS
from medstress.score.robustness import clean_scores, counts
from medstress.score.titles import dataset_titles, plural, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, NOTHING, columns_of, estimate_text, interval_text, typed
from medstress.tables.missing import filling, paths_of

TITLE = "Agreement of raters, judges and metrics"
CAPTION = (
    "Kendall's tau-b and Spearman's rho between two judgements of the same answers to clean images, all runs "
    "together. Answers with the words of the truth are left out: nobody was asked about them. Mean rating is over all "
    "people who rated an answer. Parsed is the share of answers with a grade among those that the judge was "
    f"asked about, of this type of question, perturbed images included. {INTERVALS}"
)
_MEAN = "mean rating"
_ANSWER = ["dataset", "run", "seed", "sample_id"]
_SAMPLE = ["dataset", "sample_id"]
_KINDS = {"person": "rater {}", "mean": _MEAN, "judge": "judge {}"}


def build(
    spec: TableSpec, scores: pd.DataFrame, judged: pd.DataFrame, predictions: pd.DataFrame, ratings: pd.DataFrame
) -> pd.DataFrame:
    """One row a data set, type of question and pair: a person or judge against a metric, or against another of them.

    judged: of :func:`medstress.score.judged.read_judged`. predictions: `run`, `dataset`, `sample_id` and `answer_mark`
    of answers to clean images. ratings: of :func:`medstress.score.ratings.read_ratings`; those of other answers than
    the run gives now are left out.
    """
    metrics = _metric_values(scores)
    raters = pd.concat([_people(ratings, predictions), _judges(judged)], ignore_index=True)
    types = metrics.drop_duplicates(_SAMPLE)[[*_SAMPLE, "group_id", "answer_type"]]
    parsed = _parse_rates(_by_run(judged).merge(types, on=_SAMPLE))
    known = raters.merge(types, on=_SAMPLE)
    rows = [
        row
        for dataset in spec.datasets
        for kind in ("open", "closed")
        for row in _rows(
            spec,
            dataset,
            kind,
            parsed,
            known[(known["dataset"] == dataset) & (known["answer_type"] == kind)],
            metrics[(metrics["dataset"] == dataset) & (metrics["answer_type"] == kind)],
        )
    ]
    return typed(rows)


def _metric_values(scores: pd.DataFrame) -> pd.DataFrame:
    """Values of clean answers by metrics that are no judge's and compare an answer with the truth, as means count."""
    compared = [name for name, one in METRICS.items() if not one.of_pair and not name.startswith("judge_")]
    frame = clean_scores(scores)
    # What is no answer is worth 0 here as in means: people saw it, too, and may say otherwise.
    frame = frame[frame["metric"].isin(compared) & counts(frame["status"], frame["value"])]
    frame = frame.astype(dict.fromkeys(("dataset", "run", "sample_id", "group_id", "metric"), "str"))
    return frame.assign(answer_type=frame["metric"].str.partition("_")[0])


def _by_run(frame: pd.DataFrame) -> pd.DataFrame:
    """The run's family and seed instead of its name, as scores have them."""
    seeds = {run: (named_parts(run)["variant"] or "").removeprefix("seed") for run in frame["run"].unique()}
    numbers = {run: int(seed) if seed.isdigit() else 0 for run, seed in seeds.items()}
    found: pd.DataFrame = frame.assign(seed=frame["run"].map(numbers).astype("int64"), run=frame["run"].map(family_of))
    return found


def _current(ratings: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The ratings of answers that the runs give now."""
    # The mark tells run and sample; a spreadsheet may have made 1 of the id 001.
    rated = ratings.drop(columns="sample_id")
    found: pd.DataFrame = rated.merge(predictions, on=["dataset", "answer_mark"])
    return found


def _people(ratings: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """What people said, one row a rater and answer, and where there are several people, their mean for each answer."""
    frame = _by_run(_current(ratings, predictions)).rename(columns={"rating": "value"})
    frame = frame[["rater", *_ANSWER, "value"]].assign(kind="person")
    if frame["rater"].nunique() < 2:
        return frame
    mean = frame.groupby(_ANSWER, as_index=False)["value"].mean().assign(rater=_MEAN, kind="mean")
    both: pd.DataFrame = pd.concat([frame, mean], ignore_index=True)
    return both


def _judges(judged: pd.DataFrame) -> pd.DataFrame:
    """What judges replied about answers to clean images."""
    frame = judged[(judged["perturbation"] == CLEAN) & (judged["status"] == "ok")]
    frame = _by_run(frame).rename(columns={"judge": "rater", "score": "value"})
    return frame[["rater", *_ANSWER, "value"]].assign(kind="judge")


def _parse_rates(judged: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """The share of answers with a grade among those asked about, by data set, type of question and judge."""
    replies = judged[judged["status"].isin(["ok", "unparsable", "refused"])]
    parts = replies.groupby(["dataset", "answer_type", "judge"])
    rates = {key: float((part["status"] == "ok").mean()) for key, part in parts}
    return {(str(dataset), str(kind), str(judge)): rate for (dataset, kind, judge), rate in rates.items()}


def _rows(
    spec: TableSpec,
    dataset: str,
    kind: str,
    parsed: dict[tuple[str, str, str], float],
    raters: pd.DataFrame,
    metrics: pd.DataFrame,
) -> Iterator[dict[str, Any]]:
    said = {
        (str(key[0]), str(key[1])): part.set_index(["run", "seed", "sample_id"])
        for key, part in raters.groupby(["kind", "rater"], sort=False)
    }
    measured = {
        name: metrics[metrics["metric"] == name].set_index(["run", "seed", "sample_id"])
        for name in METRICS
        if name in set(metrics["metric"])
    }
    order = ("mean", "person", "judge")
    named = sorted(said, key=lambda one: (order.index(one[0]), one[1]))
    pairs: list[tuple[tuple[str, str], tuple[str, str], pd.DataFrame, pd.DataFrame]] = [
        (one, ("metric", name), said[one], part) for one in named for name, part in measured.items()
    ]
    # A mean is not compared with what it is the mean of.
    pairs += [
        (one, other, said[one], said[other])
        for one, other in combinations(named, 2)
        if {one[0], other[0]} != {"mean", "person"}
    ]
    for one, other, first, second in pairs:
        both = first[["value", "group_id"]].join(second["value"].rename("other"), how="inner")
        if both.empty:
            continue
        found = agreement(both["value"], both["other"], both["group_id"], dataset, spec.statistics)
        yield {
            "dataset": dataset,
            "answer_type": kind,
            "rater_kind": one[0],
            "rater": one[1],
            "against_kind": other[0],
            "against": other[1],
            "n_answers": found.kendall.n_values,
            "n_groups": found.kendall.n_groups,
            **columns_of("kendall", found.kendall),
            **columns_of("spearman", found.spearman),
            "parse_rate": next(
                (parsed.get((dataset, kind, name)) for what, name in (one, other) if what == "judge"), None
            ),
            "interval": interval_text(spec, found.kendall, found.spearman),
        }


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    datasets = dataset_titles(spec)
    return pd.DataFrame(
        {
            "Data set": datasets[row["dataset"]],
            "Questions": row["answer_type"],
            "Rater": _name(spec, row["rater_kind"], row["rater"]),
            "Against": _name(spec, row["against_kind"], row["against"]),
            "Answers": f"{row['n_answers']} ({plural(row['n_groups'], spec.split_units[row['dataset']])})",
            "Kendall": estimate_text(row, "kendall", 2),
            "Spearman": estimate_text(row, "spearman", 2),
            "Parsed": NOTHING if pd.isna(row["parse_rate"]) else f"{row['parse_rate']:.1%}",
        }
        for row in table.to_dict("records")
    )


def _name(spec: TableSpec, kind: str, name: str) -> str:
    if kind == "metric":
        return METRICS[name].title
    return _KINDS[kind].format(spec.judges.get(name, name) if kind == "judge" else name)


def notes(
    spec: TableSpec, scores: pd.DataFrame, judged: pd.DataFrame, predictions: pd.DataFrame, ratings: pd.DataFrame
) -> list[str]:
    """Which answers have no grade, and which ratings do not count."""
    return [*_not_judged(spec, scores, judged), *_without_score(spec, judged), *_stale(ratings, predictions)]


def _not_judged(spec: TableSpec, scores: pd.DataFrame, judged: pd.DataFrame) -> Iterator[str]:
    """Which runs with scores a judge of the study was not asked about, and the commands that ask it."""
    scored = set(scores[["dataset", "run"]].drop_duplicates().astype(str).itertuples(index=False, name=None))
    found = set(judged[["judge", "dataset", "run"]].drop_duplicates().itertuples(index=False, name=None))
    datasets, runs = dataset_titles(spec), run_titles(spec)
    for judge in spec.judges:
        by_runs: dict[str, list[str]] = {}
        lacking: list[tuple[str, str]] = []
        for dataset in spec.datasets:
            there = {run: spec.members.get(run, {}).get(dataset, [run]) for run in spec.runs_on(dataset)}
            gone = {run: [one for one in names if (judge, dataset, one) not in found] for run, names in there.items()}
            gone = {run: names for run, names in gone.items() if names and (dataset, run) in scored}
            lacking += [(one, dataset) for names in gone.values() for one in names]
            if gone:
                by_runs.setdefault("; ".join(runs[run] for run in gone), []).append(datasets[dataset])
        for names, on in by_runs.items():
            yield f"{_name(spec, 'judge', judge)}: no record on {', '.join(on)} of {names}."
        if lacking:
            yield filling(paths_of(spec, f"judged/{judge}", lacking))


def _without_score(spec: TableSpec, judged: pd.DataFrame) -> Iterator[str]:
    titles = dataset_titles(spec)
    texts = {"unparsable": "unparsable", "refused": "refused", "error": "failed"}
    for (dataset, judge), part in judged.groupby(["dataset", "judge"], sort=True):
        count = part["status"].value_counts()
        said = ", ".join(f"{int(count[name])} {text}" for name, text in texts.items() if name in count)
        if said and dataset in titles:
            yield f"{titles[str(dataset)]}, {_name(spec, 'judge', str(judge))}: answers without a grade: {said}."


def _stale(ratings: pd.DataFrame, predictions: pd.DataFrame) -> Iterator[str]:
    counted = _current(ratings, predictions)["rater"].value_counts()
    for rater, count in ratings["rater"].value_counts(sort=False).sort_index().items():
        if left := int(count) - int(counted.get(rater, 0)):
            yield f"rater {rater}: {left} ratings left out, of answers that no run of the study gives now."
