"""Cards of vision-language models that run on this machine: config/models/*.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.generation import BoxNumbers
from medstress.cards.learned import Learned

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class LocalVlm(Learned):
    """Any vision-language model that transformers loads with AutoModelForImageTextToText, from a folder.

    With `image: no` also any language model of AutoModelForCausalLM, such as a judge.
    """

    adapter: Literal["local_vlm"]
    weights: str = Field(
        description="Folder with config.json, the weights, the tokenizer and the processor; relative to the project."
    )
    sha256: _Sha256 | None = Field(
        None,
        description="Of the file of weights, checked on loading; of several files, the sha256 of the sha256s of all in "
        "the order of their names, one a line.",
    )
    peft: str | None = Field(
        None, description="Folder of a peft adapter on top of the weights; relative to the project."
    )
    gpu: int = Field(
        1, ge=0, le=8, description="GPUs that a job asks the scheduler for; with several, layers are spread."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "bf16", description="Of the weights on a GPU. On a CPU everything is fp32."
    )
    batch: int | Literal["auto"] = Field(
        8,
        description="Questions answered at a time. auto: 64, and half as many whenever a GPU's memory runs out.",
    )
    template: Literal["chat", "plain"] = Field(
        "chat", description="chat: the chat template of the folder writes the prompt. plain: `layout` does."
    )
    layout: str = Field(
        "{image}\n{prompt}",
        description="With template plain: what the model reads, where {image} is the image's token and {prompt} the "
        "question. Asked without an image, {image} goes, with the line's end behind it.",
    )
    system: str = Field(
        "", description="System prompt, in the way of the chat template; with plain, write it in `layout`."
    )
    max_new_tokens: int = Field(
        128, ge=1, description="Tokens of an answer, thinking included; what is longer is cut there."
    )
    strip_thinking: bool = Field(
        False,
        description="The model may think aloud before it answers, as MedGemma 1.5 does: leave that block out. One that "
        "never ends leaves no answer.",
    )
    boxes: BoxNumbers = Field(
        BoxNumbers(), description="In which numbers the model writes a box: a scale, and whether y comes first."
    )
    image: bool = Field(True, description="no: never shown the image, which measures how far the questions alone lead.")
    pad_square: bool = Field(
        False,
        description="Pad images to squares in the processor's mean colour before it resizes them, as LLaVA was "
        "trained; its processor cuts off the ends of images that are no squares.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = []
        if self.compiled:
            problems.append("compiled is for image encoders that are asked alone")
        if self.template == "plain":
            if "{prompt}" not in self.layout:
                problems.append("layout has no {prompt}")
            if self.image and "{image}" not in self.layout:
                problems.append("layout has no {image}; write `image: no` for a model that is never shown one")
            if self.system:
                problems.append("system belongs to template chat; write it in `layout`")
        elif self.layout != type(self).model_fields["layout"].default:  # cards travel as JSON with all their keys
            problems.append("layout belongs to template plain")
        if problems:
            raise ValueError("; ".join(problems))
        return self
