"""What each stage needs to know: the slices of a study that become Snakemake parameters, as JSON."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from medstress.cards.attack import Attack, PromptJitter
from medstress.cards.classification import Classes, Corrupted
from medstress.cards.classifier import LearnedClassifier
from medstress.cards.dataset import DatasetCard
from medstress.cards.download import Download
from medstress.cards.images import Resize, Window
from medstress.cards.model import Classifier, LearnedCard, ModelCard
from medstress.cards.strategy import FewShot, Strategy
from medstress.cards.strict import Strict
from medstress.config import BANDS, Band, ClassScoring, Limit, Scoring, Statistics
from medstress.names import Modality, ScaleName, Split, Task, TypeName


class PrepareSpec(Strict):
    """What prepare_dataset needs to know."""

    card: DatasetCard
    limit: Limit
    corrupted: dict[str, str] = Field(
        default_factory=dict,
        description="The study's types that are read from disk, and what files there call them; checked to be there.",
    )
    levels: list[int] = Field(default_factory=list, description="Levels of these.")
    split: Split = "test"


class FetchSpec(Strict):
    """What fetch_dataset and fetch_weights need to know."""

    name: str
    downloads: list[Download]
    folder: str
    wanted: list[str] = Field(description="Files and folders that must be there in the end.")
    sha256: dict[str, str] = Field(default_factory=dict, description="Of files that must be there.")


class SeveritySpec(Strict):
    """How levels become strengths: see `Perturbations` in medstress.config."""

    scale: ScaleName = "ssim"
    compat: bool = False
    variant: str = ""
    bands: dict[int, Band] = BANDS
    multipliers: dict[int, float] = Field(default_factory=dict)


class CorruptedSpec(Strict):
    """Where corrupted images of one type lie."""

    source: Corrupted
    original: str = Field(description="What the files call the type.")
    size: Resize = Resize()
    classes: int = Field(description="How many classes labels may be of.")


class PerturbSpec(Strict):
    """What perturb needs to know."""

    dataset: str
    modality: Modality | None = Field(description="None: images of several modalities.")
    perturbation: TypeName
    levels: list[int]
    split: Split
    background: int
    window: Window | None = None
    severity: SeveritySpec = SeveritySpec()
    corrupted: CorruptedSpec | None = Field(None, description="Images are read from disk instead of being made.")


class ClassTexts(Strict):
    """What an image-text model is asked about a data set: the texts of each class, in the order of its labels."""

    kind: Literal["multi_class", "multi_label", "ordinal"] = "multi_class"
    classes: list[str] = Field(description="Names of the classes.")
    texts: list[list[str]] = Field(description="Texts of each class.")
    negatives: list[list[str]] = Field(
        default_factory=list, description="With multi_label: texts of each class for that it is not there."
    )
    combine: Literal["features", "mean_logits", "max_logits"] = "features"


class FinetuneSpec(Strict):
    """What finetune needs to know."""

    model: LearnedCard
    strategy: Strategy
    trainset: str
    seed: int
    background: int = 0
    window: Window | None = None
    texts: dict[str, ClassTexts] = Field(
        default_factory=dict, description="Of classifiers: what is asked about each data set of the training."
    )


class PredictSpec(Strict):
    """What predict needs to know."""

    run: str
    model: ModelCard
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    prompt: Literal["moved", "clean"]
    prompts: list[PromptJitter] = Field(default_factory=list, description="Asked about clean images besides.")
    levels: list[int] = Field(default_factory=list, description="Levels of these prompts.")


class EmbedSpec(Strict):
    """What embed needs to know."""

    encoder: str
    model: LearnedClassifier
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split


class EmbedTextsSpec(Strict):
    """What embed_texts needs to know."""

    model: LearnedClassifier
    texts: list[str]


class ClassifySpec(Strict):
    """What classify needs to know."""

    run: str
    model: Classifier
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    texts: ClassTexts


class AttackSpec(Strict):
    """What attack needs to know."""

    run: str
    model: LearnedCard
    strategy: Strategy | None = None
    seed: int | None = None
    dataset: str
    split: Split
    levels: list[int]
    attacks: list[Attack]
    texts: ClassTexts | None = Field(None, description="Of classifiers: what is asked.")


class ScoreSpec(Strict):
    """What score needs to know."""

    run: str
    seed: int = 0
    dataset: str
    split: Split
    scoring: Scoring
    unmoved: list[str] = Field(
        default_factory=list, description="Attacks and prompts: cells whose truth is that of the clean image."
    )
    classes: Classes | None = Field(None, description="Of classification: what labels mean.")
    classification: ClassScoring = ClassScoring()


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
    tasks: dict[str, Task] = Field(
        default_factory=dict, description="What is asked about each data set; those that it leaves out, segmentation."
    )
    classification: ClassScoring = ClassScoring()
    normalisers: dict[str, str] = Field(
        default_factory=dict, description="Of each data set that has published errors: its name in MedMNIST-C."
    )
    few_shot: dict[str, FewShot] = Field(
        default_factory=dict, description="How few images each few-shot run learnt from."
    )
    adapted: dict[str, str] = Field(default_factory=dict, description="The run that each adapted run starts from.")
    metrics: list[str]
    statistics: Statistics

    def of_task(self, task: Task | None) -> "TableSpec":
        """The part of the study that is one task: its data sets, its runs, and what is made for them. None: all."""
        if task is None:
            return self
        datasets = {name: text for name, text in self.datasets.items() if self.tasks.get(name, "segmentation") == task}
        runs = {run: text for run, text in self.runs.items() if set(self.scored_on.get(run, datasets)) & set(datasets)}
        made = [name for name in self.perturbations if set(self.fitting.get(name, datasets)) & set(datasets)]
        classifies = task == "classification"

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
                "prompts": {} if classifies else self.prompts,
                "metrics": list(map(str, self.classification.metrics)) if classifies else self.metrics,
            }
        )

    def runs_on(self, dataset: str) -> list[str]:
        """The runs that are scored on a data set."""
        return [run for run in self.runs if dataset in self.scored_on.get(run, self.datasets)]

    def perturbations_on(self, dataset: str) -> list[str]:
        """The perturbations that are made for a data set."""
        return [name for name in self.perturbations if dataset in self.fitting.get(name, self.datasets)]
