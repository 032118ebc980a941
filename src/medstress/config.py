"""Studies and cards: the single source of what a configuration may say.

YAML is read into frozen pydantic models, extra keys are forbidden, and the JSON schema in workflow/schemas is
generated from these classes (`medstress schema`). :mod:`medstress.configfile` reads files and reports problems.
"""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from medstress.names import FigureName, MetricName, Modality, ScaleName, Split, TableName, TypeName

NAME_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that becomes a file name: lower-case letters, digits and underscores."""

RUN_PATTERN = (
    r"^(?P<model>[a-z0-9][a-z0-9_]*)(\+(?P<strategy>[a-z0-9_]+))?"
    r"(@(?P<trainset>[a-z0-9_]+))?(~(?P<variant>[a-z0-9_]+))?$"
)


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Window(Strict):
    """The intensities shown as black and white. Values outside are clipped."""

    low: float = Field(description="Intensity shown as 0.")
    high: float = Field(description="Intensity shown as 255.")
    unit: str | None = Field(None, description="Unit of the intensities, such as HU.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class Resize(Strict):
    """How images come to size. Masks go the same way with nearest-neighbour sampling."""

    mode: Literal["none", "stretch", "pad", "longest_side"] = Field(
        "none",
        description="none: as stored. stretch: side x side, aspect lost. longest_side: the longer side becomes `side`. "
        "pad: as longest_side, then filled with `background` to a square at the right and bottom.",
    )
    side: int | None = Field(None, ge=32, le=2048, description="Target side in pixels; needed unless mode is none.")

    @model_validator(mode="after")
    def _side_given(self) -> Self:
        if (self.mode == "none") != (self.side is None):
            raise ValueError("give `side` with stretch, pad and longest_side, and leave it out with none")
        return self


class Labels(Strict):
    """How mask files are read."""

    kind: Literal["binary", "label_map", "per_object"] = Field(
        "binary",
        description="binary: pixels above half of the format's range are one object. label_map: each value above 0 is "
        "an object. per_object: one file an object; several files match one image.",
    )
    names: dict[int, str] = Field(
        default_factory=dict, description="Label of each value of a label map; binary masks use the value 1."
    )
    default: str = Field("object", description="Label of values that `names` leaves out.")
    min_pixels: int = Field(
        1, ge=1, description="Objects with fewer pixels after resizing are left out (counted in the log)."
    )


class FolderSource(Strict):
    """A folder of images and a folder of masks, matched by name."""

    format: Literal["folder"]
    images: str = Field(description="Folder of images (PNG, JPEG, TIFF, NPY, DICOM, NIfTI), relative to the project.")
    masks: str = Field(description="Folder of masks; may be the same folder.")
    mask_suffix: str = Field(
        "",
        description="What follows the image's stem in the mask's stem, such as _Segmentation. With per_object masks "
        "anything may follow the suffix.",
    )
    group_pattern: str | None = Field(
        None,
        description="Regular expression searched in the image id; its first group is the patient. Needed unless "
        "`split.unit` is image, or patient with NIfTI volumes only.",
    )


class SheetSource(Strict):
    """A CSV or Parquet sheet, one row an image: image, mask, and optionally group, split, box, raw and attributes."""

    format: Literal["sheet"]
    sheet: str = Field(description="The sheet, relative to the project. Paths inside it are relative to the sheet.")
    attributes: list[str] = Field(default_factory=list, description="Columns to keep as attributes of the sample.")


class SplitRule(Strict):
    """Where train, val and test come from. Groups are never cut."""

    unit: Literal["patient", "slab", "tile", "image"] = Field(
        description="What a group is: the unit that no two splits share."
    )
    by: Literal["column", "folder", "fraction"] = Field(
        "fraction",
        description="column: the sheet's `split`. folder: the first folder of the image id is train, val or test. "
        "fraction: groups are dealt by a hash of their name.",
    )
    val: float = Field(0.1, ge=0, lt=1, description="Share of groups in val, with by: fraction.")
    test: float = Field(0.2, ge=0, le=1, description="Share of groups in test, with by: fraction.")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.val + self.test > 1:
            raise ValueError(f"val ({self.val:g}) and test ({self.test:g}) must not add up to more than 1")
        return self


class DatasetCard(Strict):
    """A data set: where it is, how to read it, and what it may be used for."""

    name: Name
    title: str = Field(description="The name people read in tables.")
    modality: Modality
    task: Literal["segmentation"] = "segmentation"
    source: Annotated[FolderSource | SheetSource, Field(discriminator="format")]
    labels: Labels = Labels()
    split: SplitRule
    window: Window | None = Field(
        None, description="Needed where files hold more than 8 bits; DICOM files may bring their own."
    )
    keep_raw: bool = Field(False, description="Also store 16-bit intensities (CT numbers) beside the 8-bit image.")
    size: Resize = Resize()
    background: int = Field(0, ge=0, le=255, description="Grey value that fills what leaves the frame.")
    tolerate_rejects: int = Field(0, ge=0, description="How many bad samples may be left out before the job fails.")
    licence: str = Field(description="Licence of the data.")
    reference: str = Field("", description="Where the data comes from, for people.")

    @model_validator(mode="after")
    def _split_can_be_read(self) -> Self:
        if self.split.by == "column" and self.source.format != "sheet":
            raise ValueError("split.by: column needs a sheet; use folder or fraction")
        return self


class BoxFill(Strict):
    """The prompt itself as the answer: what a model must beat to mean anything."""

    name: Name
    title: str
    adapter: Literal["box_fill"]
    baseline: bool = True
    gpu: int = Field(0, ge=0, le=0, description="Needs no GPU.")


class GrabCut(Strict):
    """GrabCut (Rother et al., SIGGRAPH 2004) on a crop around the box, initialised by a mask.

    The defaults were chosen on the train and val splits of the embedded data sets.
    """

    name: Name
    title: str
    adapter: Literal["grabcut"]
    baseline: bool = True
    gpu: int = Field(0, ge=0, le=0, description="Needs no GPU.")
    iterations: int = Field(3, ge=1, le=20, description="Rounds of graph cut.")
    margin: float = Field(
        0.1, ge=0, le=1, description="The box grows by this share of its sides; outside is background."
    )
    core: float = Field(
        0.4, gt=0, lt=1, description="Share of the box's sides, at its centre, that is sure foreground."
    )
    context: float = Field(0.25, gt=0, le=4, description="Share of the box's sides of background kept around it.")
    side: int = Field(96, ge=32, le=1024, description="A crop with a longer side is scaled down to this, in pixels.")


class Sam(Strict):
    """A SAM-family checkpoint in Hugging Face format (Kirillov et al., "Segment anything", ICCV 2023), box prompts."""

    name: Name
    title: str
    adapter: Literal["sam"]
    baseline: bool = False
    gpu: int = Field(1, ge=0, le=1, description="GPUs that a job asks the scheduler for.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU if there is one. cuda: an error where there is none."
    )
    weights: str = Field(description="Folder with config.json and model.safetensors, relative to the project.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of model.safetensors, checked on loading.")
    mask_prompt: bool = Field(False, description="Also give the box as SAM's low-resolution mask prompt.")
    batch: int = Field(8, ge=1, description="Images encoded at a time.")
    threads: int = Field(1, ge=1, description="CPU threads; fixed, because sums depend on how they are split.")


ModelCard = Annotated[BoxFill | GrabCut | Sam, Field(discriminator="adapter")]


class _Strategy(Strict):
    """What every way of adapting a model has."""

    name: Name
    title: str
    train_on: list[Name] = Field(
        min_length=1, description="Data sets whose train splits are used, one run each; scored on that data set alone."
    )
    share: float = Field(1.0, gt=0, le=1, description="Share of the train split, by groups.")
    learning_rate: float = Field(gt=0, description="Largest step size of AdamW, after a warm-up, before a cosine.")
    steps: int = Field(ge=1, description="Optimiser steps; the same for every strategy that is compared.")
    batch: int = Field(4, ge=1, description="Images a step.")
    check_every: int = Field(20, ge=1, description="Steps between looks at val; the best look is kept.")
    seeds: list[int] = Field(default=[0], min_length=1, description="One run a seed; tables show mean and spread.")


class Full(_Strategy):
    """Every weight is trained."""

    method: Literal["full"]


class DecoderOnly(_Strategy):
    """The mask decoder is trained, the encoders are frozen."""

    method: Literal["decoder_only"]


class Lora(_Strategy):
    """Low-rank updates of the image encoder's qkv projections (Hu et al., "LoRA", ICLR 2022); all else is frozen."""

    method: Literal["lora"]
    rank: int = Field(4, ge=1, description="Rank of the update.")
    alpha: int = Field(8, ge=1, description="The update is scaled by alpha / rank.")


Strategy = Annotated[Full | DecoderOnly | Lora, Field(discriminator="method")]


class Limit(Strict):
    """A deterministic part of every data set: the same images and objects on every machine."""

    images: int | None = Field(None, ge=1, description="Images a split, taken from the groups in turn.")
    objects: int | None = Field(None, ge=1, description="Objects an image.")


Level = Annotated[int, Field(ge=1, le=5)]
Band = tuple[float, float]
"""Lowest and highest SSIM of a level."""

BANDS: dict[int, Band] = {1: (0.90, 0.98), 2: (0.80, 0.89), 3: (0.70, 0.79), 4: (0.60, 0.69), 5: (0.50, 0.59)}
"""The published bands. They do not touch, so reached levels are strictly ordered."""


class Perturbations(Strict):
    """What is done to the images.

    A type that belongs to a modality is made for the data sets of that modality and left out for the others.
    """

    types: list[TypeName] = Field(min_length=1)
    levels: list[Level] = Field(default=[1, 2, 3, 4, 5], min_length=1)
    scale: ScaleName = Field(
        "ssim",
        description="ssim: each level is a band of SSIM, solved for on every image; types that only displace pixels "
        "take the strengths of a table. The others are the fixed strengths of a publication: `medstress list --scale`.",
    )
    compat: bool = Field(
        False, description="With a published scale: reproduce what is known to be wrong in the original code as well."
    )
    bands: dict[Level, Band] = Field(
        default=BANDS, description="Lowest and highest SSIM of each level; levels that are left out keep theirs."
    )
    multipliers: dict[Level, Annotated[float, Field(ge=0.1, le=10)]] = Field(
        default_factory=dict, description="Factor on the strength of a level, where strengths come from a table."
    )
    variants: dict[str, str] = Field(
        default_factory=dict,
        description="For scales that differ by data set: which of the scale's data sets each of the study's counts as, "
        "such as nuclei: bloodmnist.",
    )
    prompt: Literal["moved", "clean"] = Field(
        "moved", description="moved: the box follows the object. clean: the box stays, as in the published study."
    )

    @field_validator("bands")
    @classmethod
    def _bands_in_order(cls, bands: dict[int, Band]) -> dict[int, Band]:
        whole = {**BANDS, **bands}
        edges = [edge for level in sorted(whole) for edge in reversed(whole[level])]
        if not all(1 > first > second > 0 for first, second in pairwise(edges)):
            shown = ", ".join(f"{level}: [{low:g}, {high:g}]" for level, (low, high) in sorted(whole.items()))
            raise ValueError(f"bands inside 0..1 that fall from level to level and do not touch; together: {shown}")
        return whole


class Scoring(Strict):
    """How answers are scored."""

    metrics: list[MetricName] = Field(default=["iou", "dice", "hd95", "nsd"], min_length=1)
    nsd_tolerance: float = Field(
        2.0, gt=0, description="Tolerance of the normalised surface Dice, in pixels of the clean image."
    )


class Statistics(Strict):
    """How intervals are made."""

    resamples: int = Field(2000, ge=100, description="Bootstrap resamples of groups.")
    confidence: float = Field(0.95, gt=0, lt=1)
    min_groups: int = Field(5, ge=2, description="With fewer groups the interval cell says `few groups`.")


class Study(Strict):
    """One study: data sets x runs x perturbations, and the tables and figures that come out."""

    study: Name = Field(description="Results go to results/{study}/.")
    datasets: list[str] = Field(min_length=1, description="Names of cards in config/datasets.")
    runs: list[Annotated[str, Field(pattern=RUN_PATTERN)]] = Field(
        min_length=1, description="model[+strategy][@trainset][~variant]; models are cards in config/models."
    )
    perturbations: Perturbations
    split: Split = Field("test", description="The split that is perturbed and scored.")
    limit: Limit = Limit()
    scoring: Scoring = Scoring()
    statistics: Statistics = Statistics()
    tables: list[TableName] = Field(
        default=["segmentation_main", "segmentation_perturbations", "segmentation_levels", "calibration"]
    )
    figures: list[FigureName] = Field(default=["severity_curves", "image_grid"])

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        lists: dict[str, list[Any]] = {
            "datasets": self.datasets,
            "runs": self.runs,
            "perturbations.types": self.perturbations.types,
            "perturbations.levels": self.perturbations.levels,
            "scoring.metrics": self.scoring.metrics,
            "tables": self.tables,
            "figures": self.figures,
        }
        for key, values in lists.items():
            if twice := sorted({str(value) for value in values if values.count(value) > 1}):
                raise ValueError(f"{key} names {', '.join(twice)} more than once")
        return self
