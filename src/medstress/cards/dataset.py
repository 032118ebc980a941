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
    may_be_empty: bool = Field(
        False,
        description="Images in which nothing is marked are left out (counted in the log). Otherwise they are bad "
        "samples; slices of volumes are left out in any case.",
    )


class BoxFile(Strict):
    """Boxes to prompt with, in the published layout: JSON with a mask file's name and [x1, y1, x2, y2] of each mask.

    Pixels are counted from 0, and both ends belong to the box. Without a box file, boxes are those of the masks.
    """

    file: str = Field(description="The JSON file, relative to the project.")
    side: int = Field(
        256, ge=32, le=2048, description="Boxes are measured in a square of this side, whatever the image's size."
    )


Places = str | dict[Split, str]
"""One place for all images, or one for each split; ids then begin with the split."""


def places(images: Places, masks: Places) -> dict[str, tuple[str, str]]:
    """Images and masks by the prefix of their ids: "" where there is one place for all."""
    if isinstance(images, str) or isinstance(masks, str):
        return {"": (str(images), str(masks))}
    return {f"{split}/": (path, masks[split]) for split, path in images.items()}


def _same_splits(images: Places, masks: Places) -> None:
    keys = [tuple(sorted(item)) if isinstance(item, dict) else None for item in (images, masks)]
    if keys[0] != keys[1] or keys[0] == ():
        raise ValueError("`images` and `masks` must both be one place, or name the same splits")


class FolderSource(Strict):
    """A folder of images and a folder of masks, matched by name; or two such folders for each split."""

    format: Literal["folder"]
    images: Places = Field(
        description="Folder of images (PNG, JPEG, TIFF, NPY, DICOM, NIfTI), relative to the project; or one for each "
        "split, with `split.by: folder`."
    )
    masks: Places = Field(description="Folder of masks; may be the same folder. One for each split if `images` is so.")
    image_suffix: str = Field(
        "", description="What follows the id in an image's stem, such as _0000; images without it are ignored."
    )
    mask_suffix: str = Field(
        "",
        description="What follows the image's id in the mask's stem, such as _Segmentation. With per_object masks "
        "anything may follow the suffix.",
    )
    boxes: BoxFile | None = Field(None, description="Boxes to prompt with instead of those of the masks.")
    group_pattern: str | None = Field(
        None,
        description="Regular expression searched in the image id; its first group is the patient. Needed unless "
        "`split.unit` is image, or patient with NIfTI volumes only.",
    )

    @model_validator(mode="after")
    def _splits_agree(self) -> Self:
        _same_splits(self.images, self.masks)
        return self


class StackSource(Strict):
    """NPY files that hold all images and all masks: [N, H, W] or [N, H, W, 3], and masks [N, H, W] or [N, H, W, C]."""

    format: Literal["npy_stack"]
    images: Places = Field(
        description="The file of images, relative to the project; or one for each split, with `split.by: folder`."
    )
    masks: Places = Field(description="The file of masks in the same order; one for each split if `images` is so.")
    channels: dict[int, str] = Field(
        default_factory=dict,
        description="Of masks [N, H, W, C]: the label of each channel, counted from 0; others are not read.",
    )

    @model_validator(mode="after")
    def _splits_agree(self) -> Self:
        _same_splits(self.images, self.masks)
        return self


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
    val_from_train: float = Field(
        0,
        ge=0,
        lt=1,
        description="With by: column or folder, share of the groups of train that becomes val, dealt by a hash of "
        "their name: for data that come without a val.",
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.val + self.test > 1:
            raise ValueError(f"val ({self.val:g}) and test ({self.test:g}) must not add up to more than 1")
        if self.by == "fraction" and self.val_from_train:
            raise ValueError("val_from_train goes with by: column or folder; with fraction give `val`")
        return self


class DatasetCard(Strict):
    """A data set: where it is, how to read it, and what it may be used for."""

    name: Name
    title: str = Field(description="The name people read in tables.")
    modality: Modality
    task: Literal["segmentation"] = "segmentation"
    source: Annotated[FolderSource | StackSource | SheetSource, Field(discriminator="format")]
    labels: Labels = Labels()
    split: SplitRule
    window: Window | None = Field(
        None, description="Needed where files hold more than 8 bits; DICOM files may bring their own."
    )
    keep_raw: bool = Field(False, description="Also store 16-bit intensities (CT numbers) beside the 8-bit image.")
    size: Resize = Resize()
    background: int = Field(0, ge=0, le=255, description="Grey value that fills what leaves the frame.")
    tolerate_rejects: int = Field(0, ge=0, description="How many bad samples may be left out before the job fails.")
    download: list[Download] = Field(
        default_factory=list,
        description="Where the files come from, for rule fetch_dataset: a list of the blocks below.",
    )
    expected: dict[Literal["train", "val", "test", "all"], int] = Field(
        default_factory=dict,
        description="How many images there must be in a split, or in `all`, before any limit; checked. A volume counts "
        "once.",
    )
    licence: str = Field(description="Licence of the data.")
    reference: str = Field("", description="Where the data comes from, for people.")

    @model_validator(mode="after")
    def _split_can_be_read(self) -> Self:
        if self.split.by == "column" and self.source.format != "sheet":
            raise ValueError("split.by: column needs a sheet; use folder or fraction")
        if self.source.format != "sheet" and isinstance(self.source.images, dict) and self.split.by != "folder":
            raise ValueError("one place for each split needs split.by: folder")
        if self.source.format == "npy_stack" and self.labels.kind == "per_object":
            raise ValueError("per_object masks are files of their own; a stack has binary masks or label maps")
        return self

    @model_validator(mode="after")
    def _by_hand_is_alone(self) -> Self:
        if len(self.download) > 1 and any(item.by_hand for item in self.download):
            raise ValueError("`by_hand` stands alone in `download`: what a person does, a person does whole")
        return self
