"""Cards of classification data sets: config/datasets/*.yaml with `task: classification`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.images import ImageSet
from medstress.cards.strict import Strict
from medstress.names import Modality, Split

Counts = dict[Split, list[Annotated[int, Field(ge=0)]]]


class Classes(Strict):
    """What the labels mean. The order of `names` is that of the labels' numbers, from 0."""

    names: list[str] = Field(min_length=2, description="Name of each class, in the order of the labels' numbers.")
    kind: Literal["multi_class", "multi_label", "ordinal"] = Field(
        "multi_class",
        description="multi_class: one class an image. multi_label: each class is there or not. ordinal: one class an "
        "image, and their order is a grade.",
    )
    phrases: dict[str, str] = Field(
        default_factory=dict, description="What a class is called in prompts, where that is not its name."
    )
    counts: Counts = Field(
        default_factory=dict,
        description="How many images of each class a split has, in the order of `names`, before any limit; checked. "
        "What shows that the order is right where the files do not name classes.",
    )
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=list, description="With multi_label: from which probability each label counts; none means 0.5."
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if len(set(self.names)) < len(self.names):
            raise ValueError("every class once in `names`")
        if unknown := [name for name in self.phrases if name not in self.names]:
            raise ValueError(f"`phrases` names {', '.join(unknown)}, which `names` does not have")
        lengths = {f"counts.{split}": len(counts) for split, counts in self.counts.items()}
        if self.thresholds:
            lengths["thresholds"] = len(self.thresholds)
            if self.kind != "multi_label":
                raise ValueError("thresholds belong to kind: multi_label")
        for key, length in lengths.items():
            if length != len(self.names):
                raise ValueError(f"{key} has {length} numbers for {len(self.names)} classes")
        return self


class LabelSheet(Strict):
    """A CSV or Parquet sheet, one row an image: image, label, and optionally group, split and modality.

    A label is a class's name or its number; labels of multi_label are separated by `;` and may be none.
    """

    format: Literal["sheet"]
    sheet: str = Field(description="The sheet, relative to the project. Paths inside it are relative to the sheet.")
    attributes: list[str] = Field(default_factory=list, description="Columns to keep as attributes of the sample.")


class ClassFolders(Strict):
    """A folder with one folder a class, named like the class; or with such folders below train, val and test."""

    format: Literal["class_folders"]
    folder: str = Field(
        description="Relative to the project. With `split.by: folder` it holds train, val and test first."
    )
    group_pattern: str | None = Field(
        None,
        description="Regular expression searched in the image id; its first group is the patient. Needed unless "
        "`split.unit` is image.",
    )


class MedMnist(Strict):
    """MedMNIST's npz (Yang et al., Scientific Data 2023): {train,val,test}_images and _labels; every image a group."""

    format: Literal["medmnist"]
    file: str = Field(description="Such as bloodmnist_224.npz, relative to the project.")


class MedImeta(Strict):
    """A data set of MedIMeta (Woerner et al., Scientific Data 2025): info.yaml, images, task_labels and splits."""

    format: Literal["medimeta"]
    folder: str = Field(description="The data set's folder, relative to the project.")
    labels: str = Field(description="The task, as info.yaml names it.")


class CleanNpz(Strict):
    """The layout of RobustMedCLIP: {split}/clean.npz with images and labels, for the splits that are there."""

    format: Literal["medimeta_c"]
    folder: str = Field(description="The data set's folder, relative to the project.")


class Corrupted(Strict):
    """Corrupted images that lie on disk already; then none are made."""

    format: Literal["medmnist_c", "medimeta_c"] = Field(
        description="medmnist_c: {type}.npz with test_images and test_labels, levels 1 to 5 one after the other. "
        "medimeta_c: {split}/{type}_severity_{level}.npz with images and labels."
    )
    folder: str = Field(description="Relative to the project.")
    missing: Literal["error", "report"] = Field(
        "error", description="What becomes of types without a file. report: tables show the hole."
    )


class ClassificationCard(ImageSet):
    """A data set for classification: where it is, how to read it, and what its classes are called."""

    task: Literal["classification"]
    modality: Modality | Literal["mixed"] = Field(
        description="mixed: images of several modalities, for which only perturbations that fit all are made."
    )
    source: Annotated[LabelSheet | ClassFolders | MedMnist | MedImeta | CleanNpz, Field(discriminator="format")]
    classes: Classes
    phrase: str = Field("", description="The modality as prompts name it, such as chest X-ray; none means `modality`.")
    called: str = Field("", description="The data set as prompts name it; none means `name`.")
    corrupted: Corrupted | None = None

    @model_validator(mode="after")
    def _split_can_be_read(self) -> Self:
        if self.split.by == "column" and self.source.format != "sheet":
            raise ValueError("split.by: column needs a sheet; use folder or fraction")
        if self.source.format in ("medmnist", "medimeta", "medimeta_c") and self.split.by != "folder":
            raise ValueError(f"a source of the format {self.source.format} has its own splits: split.by: folder")
        return self

    @model_validator(mode="after")
    def _source_says_enough(self) -> Self:
        if self.modality == "mixed" and self.source.format != "sheet":
            raise ValueError("modality: mixed needs a sheet with a column `modality`")
        if self.source.format == "class_folders" and self.classes.kind == "multi_label":
            raise ValueError("class folders hold one class an image; use a sheet for kind: multi_label")
        if self.corrupted and self.source.format not in ("medmnist", "medimeta_c"):
            raise ValueError("`corrupted` needs clean images in arrays: a source of the format medmnist or medimeta_c")
        return self
