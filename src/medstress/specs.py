"""What each stage needs to know: the slices of a study that become Snakemake parameters, as JSON."""

from typing import Literal

from pydantic import Field

from medstress.cards.attack import Attack, PromptJitter
from medstress.cards.dataset import DatasetCard, Window
from medstress.cards.download import Download
from medstress.cards.model import LearnedCard, ModelCard
from medstress.cards.strategy import Strategy
from medstress.cards.strict import Strict
from medstress.config import BANDS, Band, Limit, Scoring, Statistics
from medstress.names import Modality, ScaleName, Split, TypeName


class PrepareSpec(Strict):
    """What prepare_dataset needs to know."""

    card: DatasetCard
    limit: Limit


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


class PerturbSpec(Strict):
    """What perturb needs to know."""

    dataset: str
    modality: Modality
    perturbation: TypeName
    levels: list[int]
    split: Split
    background: int
    window: Window | None = None
    severity: SeveritySpec = SeveritySpec()


class FinetuneSpec(Strict):
    """What finetune needs to know."""

    model: LearnedCard
    strategy: Strategy
    trainset: str
    seed: int
    background: int = 0
    window: Window | None = None


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
    metrics: list[str]
    statistics: Statistics

    def runs_on(self, dataset: str) -> list[str]:
        """The runs that are scored on a data set."""
        return [run for run in self.runs if dataset in self.scored_on.get(run, self.datasets)]

    def perturbations_on(self, dataset: str) -> list[str]:
        """The perturbations that are made for a data set."""
        return [name for name in self.perturbations if dataset in self.fitting.get(name, self.datasets)]
