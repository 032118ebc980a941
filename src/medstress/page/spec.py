"""What the page needs to know of a study."""

from pydantic import Field

from medstress.cards.attack import PromptJitter
from medstress.cards.classification import Classes
from medstress.cards.strict import Strict
from medstress.names import FigureName, TableName
from medstress.table_spec import TableSpec


class RunOrigin(Strict):
    """Where the answers of one run come from."""

    model: str
    weights: str | None = Field(
        None, description="File or folder of the weights, as the card has it; none, no weights."
    )
    sha256: str | None = Field(None, description="Of the weights, where the card says it.")
    strategy: str | None = None
    trainset: str | None = None
    seed: int | None = None
    prompts: str | None = Field(None, description="Name of the prompt set of a classifier that is asked with texts.")


class PageSpec(Strict):
    """What the page needs to know."""

    tables: TableSpec
    shown: list[TableName] = Field(description="The study's tables, in its order.")
    figures: list[FigureName] = Field(default_factory=list, description="The study's figures, in its order.")
    classes: dict[str, Classes] = Field(default_factory=dict, description="The classes of each data set that has some.")
    runs: dict[str, RunOrigin] = Field(description="Each run, one for every training set and seed.")
    prompts: list[PromptJitter] = Field(default_factory=list, description="Boxes that are not quite right.")
