"""Cards of models: config/models/*.yaml."""

from typing import Annotated, Literal

from pydantic import Field

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
