"""Cards of data sets that are asked about in words: `task: vqa`, `captioning` or `grounding`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.images import ImageSet
from medstress.cards.strict import Name, Strict
from medstress.names import GenerationTask, Modality, Split


class BoxNumbers(Strict):
    """What the four numbers of a box in the source mean. Boxes are half-open: their far ends are outside."""

    scale: Literal["pixel", "0-1", "0-100", "0-1000"] = Field(
        "pixel", description="pixel: pixels of the stored image. Others: shares of its width and height."
    )
    y_first: bool = Field(False, description="The numbers are y0 x0 y1 x1 instead of x0 y0 x1 y1.")


class QuestionSheet(Strict):
    """A CSV, Parquet or JSONL sheet, one row a question: image and what the task needs.

    Columns: image; question; answer; options (a list, or texts with `;` between them; the answer is one of them or
    its letter); answer_type (open or closed); caption; box (four numbers), mask (a path; with mask_value, the pixels of
    that value) and label; and group, split, modality and question_id.
    """

    format: Literal["sheet"]
    sheet: str = Field(description="The sheet, relative to the project. Paths inside it are relative to the sheet.")
    attributes: list[str] = Field(default_factory=list, description="Columns to keep as attributes of the sample.")
    boxes: BoxNumbers = BoxNumbers()


class OmniMedVqa(Strict):
    """OmniMedVQA (Hu et al., 2024): Images, and QA_information/*/*.json with option_A to option_D and gt_answer."""

    format: Literal["omnimedvqa"]
    folder: str = Field(description="The folder that holds QA_information and Images, relative to the project.")
    part: Literal["Open-access", "Restricted-access"] = Field(
        "Open-access", description="The folder below QA_information that is read."
    )


class RocoV2(Strict):
    """ROCOv2 (Rückert et al., Scientific Data 2024): {split}-*.parquet, or {split}_captions.csv and images.

    Parquet files are taken where there are any. Their images are inside, in the column `image`.
    """

    format: Literal["rocov2"]
    folder: str = Field(description="Relative to the project; searched with all that lies below it.")


class MeCoVqa(Strict):
    """MeCoVQA's grounding (Huang et al., AAAI 2025): conversations whose answer is four numbers or a mask's path."""

    format: Literal["mecovqa"]
    files: dict[Split, str] = Field(
        min_length=1, description="The JSON file of each split that there is, relative to the project."
    )
    images: str = Field(description="What the paths of images and masks are relative to; relative to the project.")
    boxes: BoxNumbers = BoxNumbers()


class Slake(Strict):
    """SLAKE (Liu et al., ISBI 2021): imgs, and train, validate or validation, and test.json; English alone is read."""

    format: Literal["slake"]
    folder: str = Field(description="Relative to the project.")


class Ovqa(Strict):
    """OVQA (Huang et al., SIGIR 2022): img, and one JSON file a split, whose name begins with train, val or test.

    Closed questions are left out whose answer is not yes or no, but for those that ask which of two modalities it is.
    """

    format: Literal["ovqa"]
    folder: str = Field(description="Relative to the project.")


class MimicCxrVqa(Strict):
    """MIMIC-CXR-VQA (Bae et al., NeurIPS 2023), answers built by its own script, joined with MIMIC-IV's patients."""

    format: Literal["mimic_cxr_vqa"]
    folder: str = Field(description="The folder of train, valid and test.json, relative to the project.")
    images: str = Field(description="The folder `files` of MIMIC-CXR-JPG, relative to the project.")
    patients: str = Field(description="MIMIC-IV's patients.csv or patients.csv.gz, relative to the project.")
    admissions: str = Field(description="MIMIC-IV's admissions.csv or admissions.csv.gz, relative to the project.")


Rule = Literal["young", "old", "nonwhite", "white"]


class Shift(Strict):
    """A shift inside the data: which questions are out of distribution, by an attribute, and who may lend them."""

    name: Name = Field(description="Its name in tables.")
    field: str = Field(description="An attribute of the questions, or answer_type, or modality.")
    ood: list[str] = Field(
        default_factory=list, description="Values that are out of distribution; all others that are known are not."
    )
    rule: Rule | None = Field(
        None,
        description="Instead of `ood`. young: under 40 is out, 60 and over is in; old: the other way round; ages "
        "between are left out. nonwhite: WHITE is in, every other known group out; white: the other way round.",
    )
    constant_in: Literal["image", "patient", "none"] = Field(
        description="Whether all questions about an image, or a patient (the card's group), have one value; checked."
    )
    lend_from: list[Split] = Field(
        default_factory=list,
        description="Splits whose questions join the out-of-distribution test, since nothing out of distribution is "
        "trained on. Only where the value is constant in an image or a patient, or images would leak.",
    )
    unknown: list[str] = Field(
        default_factory=list, description="Further values that mean unknown, which is neither in nor out."
    )
    without: dict[str, list[str]] = Field(
        default_factory=dict, description="Questions with these values of these attributes are left out on both sides."
    )

    @model_validator(mode="after")
    def _says_what_is_out(self) -> Self:
        if bool(self.ood) == bool(self.rule):
            raise ValueError("either `ood` with values, or `rule`")
        if self.lend_from and self.constant_in == "none":
            raise ValueError(
                "lend_from needs a value that is constant in an image or a patient: else questions about one image "
                "would be in training and in the test"
            )
        if "test" in self.lend_from:
            raise ValueError("lend_from names train or val: the test's own questions are in it already")
        return self


_TASKS: dict[str, GenerationTask] = {
    "omnimedvqa": "vqa",
    "rocov2": "captioning",
    "mecovqa": "grounding",
    "slake": "vqa",
    "ovqa": "vqa",
    "mimic_cxr_vqa": "vqa",
}


class GenerationCard(ImageSet):
    """A data set of questions, captions or boxes: where it is, how to read it, and which shifts lie in it."""

    task: GenerationTask
    modality: Modality | Literal["mixed"] = Field(
        description="mixed: images of several modalities, for which only perturbations that fit all are made, unless "
        "`modalities` says which."
    )
    modalities: list[Modality] = Field(
        default_factory=list,
        description="With modality mixed: those of the images, as far as the source tells them. A perturbation that "
        "belongs to one of them is made for the images that are of it.",
    )
    source: Annotated[
        QuestionSheet | OmniMedVqa | RocoV2 | MeCoVqa | Slake | Ovqa | MimicCxrVqa, Field(discriminator="format")
    ]
    third_party_api: Literal["forbidden", "allowed"] = Field(
        "forbidden", description="Whether images and questions may be sent to a model that somebody else runs."
    )
    shifts: list[Shift] = Field(
        default_factory=list,
        description="Shifts inside the data, for the tables of shifts: a list of the blocks below.",
    )

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        wanted = _TASKS.get(self.source.format, self.task)
        if wanted != self.task:
            raise ValueError(f"a source of the format {self.source.format} is for task: {wanted}")
        if self.source.format == "omnimedvqa" and self.split.by == "column":
            raise ValueError("OmniMedVQA has no splits of its own: split.by: fraction")
        if self.modalities and self.modality != "mixed":
            raise ValueError(f"modalities goes with modality: mixed, and not with {self.modality}")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("modalities names one twice")
        names = [shift.name for shift in self.shifts]
        if len(set(names)) < len(names):
            raise ValueError("every shift needs a name of its own")
        return self
