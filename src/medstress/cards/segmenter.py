"""Cards of segmenters: config/models/*.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.learned import Learned
from medstress.cards.strict import Name, Strict


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


class Sam(Learned):
    """A SAM (Kirillov et al., "Segment anything", ICCV 2023), in Hugging Face format or the original one."""

    adapter: Literal["sam"]
    weights: str = Field(
        description="Folder with config.json and model.safetensors, or an original .pth file; relative to the project."
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Of model.safetensors or the .pth file, checked on loading."
    )
    prompt: Literal["box", "point"] = Field("box", description="point: the centre of the box, as one positive click.")
    mask_prompt: bool = Field(False, description="Also give the box as SAM's low-resolution mask prompt.")
    multimask: bool = Field(False, description="Three masks are made and the one with the best predicted IoU taken.")


class MedSam(Learned):
    """MedSAM (Ma et al., "Segment anything in medical images", Nature Communications 2024), box prompts.

    Images go in as its official inference has them: 1024 x 1024 without regard to aspect, min-max scaled to 0..1.
    """

    adapter: Literal["medsam"]
    weights: str = Field(
        description="Folder with config.json and model.safetensors, or medsam_vit_b.pth; relative to the project."
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Of model.safetensors or the .pth file, checked on loading."
    )


class SamMed2d(Learned):
    """SAM-Med2D (Cheng et al., "SAM-Med2D", arXiv 2308.16184): 256 px, adapter layers. Needs medstress[sam]."""

    adapter: Literal["sam_med2d"]
    weights: str = Field(description="sam-med2d_b.pth, relative to the project.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the file, checked on loading.")
    multimask: bool = Field(
        True, description="As its authors test it: of three masks the one with the best predicted IoU. False: one mask."
    )


class UNet(Learned):
    """A U-Net (Ronneberger et al., MICCAI 2015) without prompts, for one object an image; you train it."""

    adapter: Literal["unet"]
    weights: str | None = Field(
        None, description="A .safetensors file, relative to the project; none starts from drawn weights."
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the file, checked on loading.")
    side: int = Field(256, ge=32, le=1024, multiple_of=16, description="Images are resized to this, in pixels.")
    channels: list[Annotated[int, Field(ge=1)]] = Field(
        default=[16, 32, 64, 128, 256], min_length=2, description="Channels of each depth; each halves the resolution."
    )

    @model_validator(mode="after")
    def _depths_fit(self) -> Self:
        depths = len(self.channels)
        if self.side % 2 ** (depths - 1) or self.side < 2**depths:
            raise ValueError(
                f"{depths} depths need a `side` that is a multiple of {2 ** (depths - 1)}, {2**depths} or more"
            )
        return self


class DeepLabV3(Learned):
    """DeepLabV3 with a ResNet-50 (Chen et al., arXiv 1706.05587) without prompts. Needs medstress[sam]."""

    adapter: Literal["deeplabv3"]
    weights: str | None = Field(
        None, description="A .safetensors file, relative to the project; none starts from drawn weights."
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the file, checked on loading.")
    side: int = Field(256, ge=32, le=1024, multiple_of=16, description="Images are resized to this, in pixels.")
