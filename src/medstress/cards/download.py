"""Where files come from."""

from pathlib import PurePosixPath
from typing import Self

from pydantic import Field, model_validator

from medstress.cards.strict import Strict


class Download(Strict):
    """Files of a Hugging Face repository, or one file at a URL. Tokens come from the environment alone."""

    hub: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="Repository, as owner/name.")
    revision: str = Field("main", description="Branch, tag or commit of the repository; a commit never changes.")
    files: list[str] = Field(default_factory=list, description="Files or patterns of the repository; none means all.")
    dataset: bool = Field(False, description="The repository is one of data sets, not of models.")
    url: str | None = Field(None, pattern=r"^https?://", description="Address of one file.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the file at `url`, checked.")
    md5: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{32}$",
        description="Of the file at `url`, checked where no sha256 is given: it shows damage, but not forgery.",
    )
    unpack: bool = Field(False, description="The file at `url` is a zip or tar archive; its content is wanted.")
    into: str = Field("", description="Folder for the files, below that of the card.")
    token: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_]*$",
        description="Environment variable that holds the token, if one is needed. A hub gets HF_TOKEN unless another "
        "is named; a URL gets none unless one is named.",
    )
    by_hand: str = Field("", description="What a person has to do where nothing may be downloaded by a program.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.hub, self.url, self.by_hand))) != 1:
            raise ValueError("exactly one of hub, url and by_hand")
        if self.url is None and (self.sha256 or self.md5 or self.unpack):
            raise ValueError("sha256, md5 and unpack belong to `url`")
        if self.hub is None and (self.files or self.dataset or self.revision != "main"):
            raise ValueError("files, revision and dataset belong to `hub`")
        path = PurePosixPath(self.into)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("`into` must lie below the folder of the card")
        return self
