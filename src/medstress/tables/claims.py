"""What publications claim, tested on the study's scores."""

from typing import Any

import pandas as pd

from medstress.cards.claim import Claim, ClaimTest, Published
from medstress.errors import MedstressError
from medstress.score.claims import audit
from medstress.score.metrics import METRICS
from medstress.score.titles import dataset_titles, run_titles
from medstress.table_spec import TableSpec
from medstress.tables.layout import INTERVALS, columns_of, drop_title, estimate_text, number, typed

TITLE = "Claims: what publications say and what these scores say"
CAPTION = (
    "Each claim is a test of an effect that was declared beforehand; what it is, is in the notes. It survives where "
    "the whole interval of the effect is in the range where it holds, and does not where the whole interval is "
    "outside; between the two, the data are not enough, nor are they where a side lacks cells. Claims are not "
    "comparable where a model or data set stands in for a larger one: the effect then says nothing about the "
    "publication. Sides are compared on the models and data sets that all of them have, each weighing the same, and "
    "there on the samples, types and levels that all have scores of. All means are resampled together, and those over"
    " several seeds of a strategy vary as much as its seeds do; with one seed the verdict is on these trainings "
    "alone, and says so. The best of several is compared with each other one, and its interval holds for all at once."
    " Medical types are counted among those that cost most beyond the mean, on their data set, of the types that all "
    "data sets have. "
    f"{INTERVALS}"
)
_EFFECTS = {
    "clean": "clean {metric}",
    "perturbed": "mean {metric} under perturbation",
    "drop": "{drop}",
    "relative_drop": "{drop} as a share of the clean score",
    "mce": "mean corruption error",
    "shift_robustness": "{metric} above a guess that is kept out of distribution",
    "top_share": "share of medical types among the first {top} less their share of all types",
}
_COMPARED = {
    "value": "{effect}",
    "ratio": "{effect}: {called} over {against}",
    "difference": "{effect}: {called} less {against}",
    "best": "{effect}: lead of {called} over the best other ({against})",
    "wins": "{effect}: lead on its worst shift of the side for which this is largest ({called}, {against})",
}


def build(spec: TableSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """One row a claim of the study, in the order of their names.

    Raises MedstressError where the study has none.
    """
    if not spec.claims:
        raise MedstressError(
            "table claims: there are no claims about this study's tasks. Write a card in config/claims, or leave the "
            "table out."
        )
    return typed([_row(spec, frame, claim) for claim in sorted(spec.claims, key=lambda claim: claim.name)])


def _row(spec: TableSpec, frame: pd.DataFrame, claim: Claim) -> dict[str, Any]:
    found = audit(spec, frame, claim)
    return {
        "claim": claim.name,
        "text": claim.text,
        "source": claim.source,
        "published": claim.published.value,
        "published_text": claim.published.text,
        "published_where": claim.published.where,
        "metric": effect_text(claim.test),
        "holds": holds_text(claim.test),
        **columns_of("effect", found.effect),
        "verdict": found.verdict,
        "reason": found.reason or None,
        "runs": " ".join(found.runs) or None,
        "datasets": " ".join(found.datasets) or None,
        "n_groups": found.effect.n_groups,
        "same_setting": "yes" if found.same_setting else "no",
    }


def effect_text(test: ClaimTest) -> str:
    """What the effect is: `IoU drop: LoRA over full fine-tuning`."""
    titles = {"metric": METRICS[test.metric].title, "drop": drop_title(test.metric)} if test.metric else {}
    effect = _EFFECTS[test.measure].format(top=test.top, **titles)
    text = _COMPARED[test.compare].format(effect=effect, called=test.called, against=", ".join(test.against))
    return f"largest {text}, of any model" if test.aggregate == "largest" else text


def holds_text(test: ClaimTest) -> str:
    """Where the claim holds: `at least 1.5 and at most 2.5`, `above 0`."""
    ends = {"at least": test.at_least, "above": test.above, "at most": test.at_most, "below": test.below}
    return " and ".join(f"{name} {end:g}" for name, end in ends.items() if end is not None)


def published_text(published: Published) -> str:
    """The published effect with the digits that it has, or that there is no number of it."""
    if published.value is None:
        return "no number"
    return f"{published.bound or ''} {published.value:g}".strip().replace("-", "\N{MINUS SIGN}")


_DIGITS = 3


def display(spec: TableSpec, table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it; the rest is in the notes."""
    claims = {claim.name: claim for claim in spec.claims}
    return pd.DataFrame(
        [
            {
                "Claim": row["text"],
                "Published": published_text(claims[row["claim"]].published),
                "Here": _here(row, spec.statistics.min_groups),
                "Verdict": _verdict(row),
            }
            for row in table.to_dict("records")
        ]
    )


def _here(row: dict[Any, Any], min_groups: int) -> str:
    lost = not pd.isna(row["effect"]) and pd.isna(row["effect_low"]) and row["n_groups"] >= min_groups
    return f"{number(row['effect'], _DIGITS)} (no interval)" if lost else estimate_text(row, "effect", _DIGITS)


def _verdict(row: dict[Any, Any]) -> str:
    """The verdict, with what limits it in a word; the whole reason is in the notes."""
    reason = "" if pd.isna(row["reason"]) else row["reason"]
    for said, short in ((_ONE_SEED, "one seed"), ("not in this study", "not in this study")):
        if said in reason:
            return f"{row['verdict']} ({short})"
    return f"{row['verdict']} (stand-ins)" if reason.startswith(("stand-ins:", "stand-ins;")) else str(row["verdict"])


_ONE_SEED = "one seed"


def remarks(spec: TableSpec, table: pd.DataFrame) -> list[str]:
    """How intervals are made, and of each claim what its effect is, where it holds, what is published, and why."""
    statistics = spec.statistics
    first = (
        f"Intervals are of {100 * statistics.confidence:g} % confidence, from {statistics.resamples:,} resamples of "
        "groups."
    )
    return [first, *(_told(spec, row) for row in table.to_dict("records"))]


def _told(spec: TableSpec, row: dict[Any, Any]) -> str:
    said = [
        f"{row['text']} Effect: {row['metric']}; the claim holds where it is {row['holds']}.",
        f"Published: {row['published_text']} ({row['source']}; {row['published_where']}).",
    ]
    if not pd.isna(row["runs"]):
        same = "the published models, strategies and data sets" if row["same_setting"] == "yes" else "another setting"
        runs, datasets = _names(row["runs"], run_titles(spec)), _names(row["datasets"], dataset_titles(spec))
        said.append(f"Here: {runs}; on {datasets}, {same}.")
    differs = {claim.name: claim.published.differs for claim in spec.claims}[row["claim"]]
    if differs:
        said.append(f"Never the same: {differs}.")
    # Which are stand-ins, is in the file with all digits.
    if not pd.isna(row["reason"]) and not row["reason"].startswith("stand-ins:"):
        said.append(f"{row['verdict'].capitalize()}: {row['reason']}.")
    return " ".join(said)


def _names(given: str, titles: dict[str, str]) -> str:
    return ", ".join(titles[name] for name in given.split())


def notes(_spec: TableSpec, _frame: pd.DataFrame) -> list[str]:
    """Nothing: what there is to say is in the remarks."""
    return []
