"""What tables and figures need to know of a study."""

from collections.abc import Iterable
from typing import get_args

from pydantic import Field

from medstress.cards.claim import Claim
from medstress.cards.classification import Classes
from medstress.cards.strategy import FewShot
from medstress.cards.strict import Strict
from medstress.config import ClassScoring, Statistics
from medstress.names import JudgeMetricName, SimilarityMetricName, Task
from medstress.specs import GENERATION_METRICS


class TableSpec(Strict):
    """What tables and figures need to know."""

    study: str
    datasets: dict[str, str] = Field(description="Title of each data set, in the study's order.")
    split_units: dict[str, str] = Field(description="What a group of each data set is.")
    runs: dict[str, str] = Field(
        description="Title of each run, in the study's order; a strategy's seeds and training sets are one run."
    )
    scored_on: dict[str, list[str]] = Field(
        default_factory=dict, description="The data sets that a run is scored on; runs that it leaves out, on all."
    )
    members: dict[str, dict[str, list[str]]] = Field(
        default_factory=dict,
        description="Of each run whose scores have other names: by data set, the runs that it stands for there.",
    )
    baselines: list[str] = Field(description="Runs that are sanity baselines.")
    perturbations: list[str]
    fitting: dict[str, list[str]] = Field(
        default_factory=dict,
        description="The data sets that a perturbation is made for; perturbations that it leaves out, for all.",
    )
    fixed: list[str] = Field(
        default_factory=list, description="Perturbations whose levels are strengths of a table, not bands of SSIM."
    )
    levels: list[int]
    attacks: dict[str, list[float]] = Field(
        default_factory=dict, description="Radius of each attack at levels 1 to 5, in grey levels."
    )
    attacked: list[str] = Field(default_factory=list, description="Runs with gradients, which attacks are made on.")
    attacked_datasets: list[str] = Field(default_factory=list, description="The data sets that attacks are made on.")
    transfer: list[str] = Field(
        default_factory=list, description="Runs whose adversarial images all other runs are shown."
    )
    kept: list[str] = Field(default_factory=list, description="Attacks whose images are kept for that.")
    prompts: dict[str, list[float]] = Field(
        default_factory=dict, description="Share of the box's sides of each jittered prompt at levels 1 to 5."
    )
    medical: list[str] = Field(default_factory=list, description="Perturbations that belong to modalities.")
    partial: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Of each data set of several modalities: the perturbations that are made for the images of one.",
    )
    tasks: dict[str, Task] = Field(
        default_factory=dict, description="What is asked about each data set; those that it leaves out, segmentation."
    )
    classes: dict[str, Classes] = Field(
        default_factory=dict, description="What the labels of each data set for classification mean."
    )
    classification: ClassScoring = ClassScoring()
    normalisers: dict[str, str] = Field(
        default_factory=dict, description="Of each data set that has published errors: its name in MedMNIST-C."
    )
    few_shot: dict[str, FewShot] = Field(
        default_factory=dict, description="How few images each few-shot run learnt from."
    )
    adapted: dict[str, str] = Field(default_factory=dict, description="The run that each adapted run starts from.")
    shifts: dict[str, list[str]] = Field(
        default_factory=dict, description="Names of the shifts of each data set that has some."
    )
    no_image: dict[str, str] = Field(
        default_factory=dict,
        description="Of each run that has one: the run that is the same but never shown the image, a baseline for it.",
    )
    judges: dict[str, str] = Field(
        default_factory=dict, description="Title of each judge; the scores of the first are among the metrics."
    )
    caption_similarity: bool = Field(False, description="Whether captions are compared by an encoder of sentences.")
    stand_ins: list[str] = Field(
        default_factory=list, description="Runs of models, and data sets, that stand in for those of publications."
    )
    claims: list[Claim] = Field(default_factory=list, description="What publications claim, for the table of claims.")
    metrics: list[str]
    statistics: Statistics

    def of_task(self, task: Task | None) -> "TableSpec":
        """The part of the study that is one task: its data sets, its runs, and what is made for them. None: all."""
        if task is None:
            return self
        datasets = {name: text for name, text in self.datasets.items() if self.tasks.get(name, "segmentation") == task}
        runs = {run: text for run, text in self.runs.items() if set(self.scored_on.get(run, datasets)) & set(datasets)}
        made = [name for name in self.perturbations if set(self.fitting.get(name, datasets)) & set(datasets)]
        metrics = {"segmentation": self.metrics, "classification": list(map(str, self.classification.metrics))}
        judged = get_args(JudgeMetricName) if task == "vqa" and self.judges else ()
        compared = get_args(SimilarityMetricName) if task == "captioning" and self.caption_similarity else ()

        def among(names: list[str], kept: Iterable[str]) -> list[str]:
            return [name for name in names if name in kept]

        return self.model_copy(
            update={
                "datasets": datasets,
                "runs": runs,
                "scored_on": {run: among(on, datasets) for run, on in self.scored_on.items() if run in runs},
                "baselines": among(self.baselines, runs),
                "perturbations": made,
                "fitting": {name: among(on, datasets) for name, on in self.fitting.items() if name in made},
                "adapted": {run: start for run, start in self.adapted.items() if run in runs},
                "attacked": among(self.attacked, runs),
                "attacked_datasets": among(self.attacked_datasets, datasets),
                "transfer": among(self.transfer, runs),
                "prompts": self.prompts if task == "segmentation" else {},
                "shifts": {name: names for name, names in self.shifts.items() if name in datasets},
                "no_image": {run: other for run, other in self.no_image.items() if {run, other} <= set(runs)},
                "metrics": metrics.get(task) or [*GENERATION_METRICS[task], *judged, *compared],
            }
        )

    def runs_on(self, dataset: str) -> list[str]:
        """The runs that are scored on a data set."""
        return [run for run in self.runs if dataset in self.scored_on.get(run, self.datasets)]

    def perturbations_on(self, dataset: str) -> list[str]:
        """The perturbations that are made for a data set."""
        return [name for name in self.perturbations if dataset in self.fitting.get(name, self.datasets)]
