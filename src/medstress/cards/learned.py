"""What the cards of all models with weights have in common."""

from typing import Any, Literal

from pydantic import Field, field_validator

from medstress.cards.download import Download
from medstress.cards.strict import Name, Strict


class Learned(Strict):
    """What every model with weights has."""

    name: Name
    title: str
    baseline: bool = False
    stand_in: bool = Field(
        False,
        description="Whether it stands in for larger models, so that no claim about these can be tested on it.",
    )
    gpu: int = Field(1, ge=0, le=1, description="GPUs that a job asks the scheduler for.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU if there is one. cuda: an error where there is none."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Of the image encoder on a GPU, by autocast. All else, and a CPU, computes in fp32."
    )
    compiled: bool = Field(False, description="torch.compile the image encoder; on a GPU only.")
    batch: int | Literal["auto"] = Field(
        8,
        description="Images encoded at a time. auto: the largest that fits the GPU, found before the run; 1 on a CPU.",
    )
    threads: int = Field(1, ge=1, description="CPU threads; fixed, because sums depend on how they are split.")
    environment: str | None = Field(
        None,
        description="A conda environment file, relative to the project, for a model that cannot run in the project's "
        "environment: docs/models.md.",
    )
    download: list[Download] = Field(
        default_factory=list, description="Where the weights come from, for rule fetch_weights: a block or a list."
    )

    @field_validator("download", mode="before")
    @classmethod
    def _block_or_list(cls, download: Any) -> Any:
        return [download] if isinstance(download, dict | Download) else download

    @field_validator("batch")
    @classmethod
    def _at_least_one(cls, batch: int | str) -> int | str:
        if isinstance(batch, int) and batch < 1:
            raise ValueError("at least 1, or auto")
        return batch
