"""Cards of models that answer in words, but for those that run on this machine: config/models/*.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from medstress.cards.generation import BoxNumbers
from medstress.cards.strict import Name, Strict


class _Api(Strict):
    name: Name
    title: str
    baseline: bool = False
    gpu: int = Field(0, ge=0, le=0, description="Needs no GPU here.")
    model: str = Field(pattern=r"^[\w.:/@-]+$", description="Its name on the server.")
    key_variable: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_]*$",
        description="Environment variable that holds the key; none for a server that wants none.",
    )
    third_party: bool = Field(
        True, description="Somebody else runs the server. false for one of your own, which may see all data."
    )
    system: str = Field("", description="System prompt.")
    max_output_tokens: int = Field(512, ge=1, description="Most tokens of an answer, thoughts included.")
    temperature: float | None = Field(0.0, ge=0, le=2, description="null leaves it out, where a model refuses it.")
    concurrency: int = Field(32, ge=1, le=256, description="Most requests in flight; fewer where the server is busy.")
    timeout: float = Field(120.0, gt=0, description="Seconds for one request.")
    price_in: float | None = Field(None, ge=0, description="Of a million tokens of questions and images.")
    price_out: float | None = Field(None, ge=0, description="Of a million tokens of answers.")
    image_tokens: int | None = Field(None, ge=0, description="The most tokens that the server counts an image as.")
    spending_limit: float | None = Field(
        None,
        gt=0,
        description="The most that one run on one data set may cost, in the currency of the prices; it stops before.",
    )
    boxes: BoxNumbers = Field(BoxNumbers(), description="In which numbers the model is asked for a box.")

    @model_validator(mode="after")
    def _limit_has_prices(self) -> Self:
        missing = [name for name in ("price_in", "price_out", "image_tokens") if getattr(self, name) is None]
        if self.spending_limit is not None and missing:
            raise ValueError(f"spending_limit needs {', '.join(missing)}, to know what a request may cost at most")
        return self


class OpenAiApi(_Api):
    """A model behind OpenAI's chat completions: OpenAI's own, or any server of vLLM, TGI or Ollama by its address."""

    adapter: Literal["openai_api"]
    base_url: str = Field(
        "https://api.openai.com/v1", pattern=r"^https?://[^\s@?#]+$", description="Up to and with /v1."
    )
    detail: Literal["low", "high", "auto"] = Field("high", description="How closely the server looks at the image.")
    token_parameter: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="What the server calls the limit; reasoning models want max_completion_tokens."
    )


class GeminiApi(_Api):
    """A model behind Gemini's generateContent."""

    adapter: Literal["gemini_api"]
    base_url: str = Field(
        "https://generativelanguage.googleapis.com/v1beta",
        pattern=r"^https?://[^\s@?#]+$",
        description="Up to and with the version.",
    )
    thinking_budget: int | None = Field(None, ge=-1, description="Tokens of thought: 0 none, -1 the model decides.")
    boxes: BoxNumbers = Field(
        BoxNumbers(scale="0-1000", y_first=True),
        description="In which numbers the model is asked for a box: those of its documentation.",
    )


class MajorityAnswer(Strict):
    """The commonest answer of the train split, whatever the image shows: what a model must beat.

    What has no answer in train is answered by the next larger group: of a question its kind (content_type, or
    question_type), of a kind all questions of its answer_type, and then all. Of options, the commonest is the answer.
    Captions are the commonest one, boxes the median box. What a shift of the data set's card puts out of distribution
    is not learnt.
    """

    name: Name
    title: str
    adapter: Literal["majority_answer"]
    baseline: bool = True
    gpu: int = Field(0, ge=0, le=0, description="Needs no GPU.")
    grouping: Literal["global", "question", "content_type"] = Field(
        "question", description="Among which questions of train an answer has to be common."
    )
    tie_seed: int | None = Field(
        None, description="Of answers as common, none takes the first by its letters; a number draws one a group."
    )


Api = Annotated[OpenAiApi | GeminiApi, Field(discriminator="adapter")]
