"""Cards of data sets: config/datasets/*.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.download import Download
from medstress.cards.strict import Name, Strict
from medstress.names import Modality, Split


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
    download: Download | None = Field(None, description="Where the files come from, for rule fetch_dataset.")
    expected: dict[Split, int] = Field(
        default_factory=dict, description="How many images each split must have before any limit; checked."
    )
    licence: str = Field(description="Licence of the data.")
    reference: str = Field("", description="Where the data comes from, for people.")

    @model_validator(mode="after")
    def _split_can_be_read(self) -> Self:
        if self.split.by == "column" and self.source.format != "sheet":
            raise ValueError("split.by: column needs a sheet; use folder or fraction")
        return self
