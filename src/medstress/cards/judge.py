"""Judges of a study: models that are told the true answer and asked how good another one is."""

from typing import Annotated

from pydantic import Field

from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strict import Name, Strict

JudgeModel = Annotated[LocalVlm | OpenAiApi | GeminiApi, Field(discriminator="adapter")]
"""What can be a judge: a model that writes and that can be asked anything."""


class Judge(Strict):
    """A model that grades answers to questions without seeing the image, in `judges`.

    What follows its instruction is the same for all: the question, what is true and the answer as quoted data, and the
    form of the reply. Answers that have the same words as the truth get the best grade without being asked about.
    """

    name: Name = Field(description="Its name in folders and files.")
    title: str
    model: Name = Field(
        description="A card in config/models of a model that writes: local_vlm, openai_api or gemini_api. A server of "
        "somebody else is not asked about data sets with `third_party_api: forbidden`."
    )
    open: str = Field(
        "", description="What it is told about free answers, which it grades from 1 to 5, instead of what we tell it."
    )
    closed: str = Field("", description="The same for answers to closed questions, 0 or 1.")
    two_options: str = Field("", description="The same where the options are two things, both and none: 0, 0.5 or 1.")
