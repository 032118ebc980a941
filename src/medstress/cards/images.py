"""What cards of all data sets have in common, whatever is asked about the images."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medstress.cards.download import Download
from medstress.cards.strict import Name, Strict


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


class SplitRule(Strict):
    """Where train, val and test come from. Groups are never cut."""

    unit: Literal["patient", "slab", "tile", "image", "source"] = Field(
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


class ImageSet(Strict):
    """What every data set says of itself."""

    name: Name
    title: str = Field(description="The name people read in tables.")
    split: SplitRule
    window: Window | None = Field(
        None, description="Needed where files hold more than 8 bits; DICOM files may bring their own."
    )
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
    stand_in: bool = Field(
        False,
        description="Whether it stands in for larger data sets, so that no claim about these can be tested on it.",
    )
    licence: str = Field(description="Licence of the data.")
    reference: str = Field("", description="Where the data comes from, for people.")

    @model_validator(mode="after")
    def _by_hand_is_alone(self) -> Self:
        if len(self.download) > 1 and any(item.by_hand for item in self.download):
            raise ValueError("`by_hand` stands alone in `download`: what a person does, a person does whole")
        return self
