"""Cards of segmentation data sets: config/datasets/*.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.images import ImageSet
from medstress.cards.strict import Strict
from medstress.names import Modality, Split


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


class SegmentationCard(ImageSet):
    """A data set for segmentation: where it is, how to read it, and what it may be used for."""

    task: Literal["segmentation"] = "segmentation"
    modality: Modality
    source: Annotated[FolderSource | StackSource | SheetSource, Field(discriminator="format")]
    labels: Labels = Labels()
    keep_raw: bool = Field(False, description="Also store 16-bit intensities (CT numbers) beside the 8-bit image.")

    @model_validator(mode="after")
    def _split_can_be_read(self) -> Self:
        if self.split.by == "column" and self.source.format != "sheet":
            raise ValueError("split.by: column needs a sheet; use folder or fraction")
        if self.source.format != "sheet" and isinstance(self.source.images, dict) and self.split.by != "folder":
            raise ValueError("one place for each split needs split.by: folder")
        if self.source.format == "npy_stack" and self.labels.kind == "per_object":
            raise ValueError("per_object masks are files of their own; a stack has binary masks or label maps")
        return self
