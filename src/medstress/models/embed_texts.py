"""Every text that a study asks one image-text model, encoded once."""

from pathlib import Path

import numpy as np

from medstress.errors import MedstressError
from medstress.models.zeroshot.protocol import Features, ImageTextModel
from medstress.records import TextRow, read_rows, write_rows
from medstress.specs import EmbedTextsSpec


def embed_texts(model: ImageTextModel, spec: EmbedTextsSpec, output: Path) -> None:
    """Write the embedding of each text. Raises MedstressError where one is not finite."""
    found = model.embed_texts(spec.texts)
    if bad := [text for text, row in zip(spec.texts, found, strict=True) if not np.isfinite(row).all()]:
        raise MedstressError(
            f"{spec.model.name}: the embedding of {bad[0]!r} is not finite. Look at the weights of its text encoder."
        )
    rows = zip(spec.texts, found, strict=True)
    write_rows(output, TextRow, (TextRow(text, row.astype("<f4").tobytes(), model.scale) for text, row in rows))


def read_texts(path: Path) -> tuple[dict[str, Features], float]:
    """The embedding [D] of each text, and the model's logit scale."""
    rows = read_rows(path, TextRow)
    return {row.text: np.frombuffer(row.embedding, "<f4") for row in rows}, rows[0].scale
