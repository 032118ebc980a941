"""Runs one image encoder over one data set: every image once, whatever is asked about it afterwards."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.views import Pace, View, ahead, decoded, read_views
from medstress.models.zeroshot.protocol import ImageEncoder
from medstress.records import EmbeddingRow, record_writer
from medstress.specs import EmbedSpec

if TYPE_CHECKING:
    from torch import Tensor

# Keys of a model's card that do not touch its embeddings.
_NOT_ASKED = {"name", "title", "baseline", "gpu", "download"}


@dataclass(frozen=True)
class _Unit:
    """What is embedded and remembered together, what names it in the journal, and the network's input if it is new."""

    views: list[View]
    key: str
    inputs: "Tensor | None"


def _unit_key(code: str, weights: str, spec: EmbedSpec, views: Sequence[View]) -> str:
    """What determines the embeddings of a unit: the code, the model, its weights and the pixels. No prompt is in it."""
    model = spec.model_dump_json(
        include={"model": True, "strategy": True}, exclude={"model": _NOT_ASKED, "strategy": {"name", "title"}}
    )
    parts: list[str | bytes] = [code, weights, model]
    for view in views:
        parts += [view.image_id, view.perturbation, str(view.level), view.png]
    return content_key(*parts)


def _inputs(encoder: ImageEncoder, spec: EmbedSpec, views: Sequence[View]) -> "Tensor":
    # One thread more than the network has: decoding a colour image takes as long as a small network does.
    return encoder.inputs(decoded(spec.dataset, views, spec.model.threads + 1))


def _embed(encoder: ImageEncoder, spec: EmbedSpec, unit: _Unit, pace: Pace) -> list[EmbeddingRow]:
    # A unit that the journal had, but damaged, comes without inputs.
    inputs = unit.inputs if unit.inputs is not None else _inputs(encoder, spec, unit.views)
    count, started = len(unit.views), time.monotonic()
    found = encoder.embed_inputs(inputs)
    pace.images += count
    pace.seconds += time.monotonic() - started
    if found.dtype != np.float32 or found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
        raise MedstressError(
            f"{spec.encoder} on {spec.dataset}: the encoder gave {found.dtype} {found.shape} for {count} images, "
            "or numbers that are not finite; expected one finite float32 row an image. Write `precision: fp32` in the "
            "model's card, or look at its weights."
        )
    return [
        EmbeddingRow(view.image_id, view.perturbation, view.level, row.astype("<f4").tobytes())
        for view, row in zip(unit.views, found, strict=True)
    ]


def embed_dataset(
    encoder: ImageEncoder,
    spec: EmbedSpec,
    images: Path,
    perturbed: Sequence[Path],
    output: Path,
    *,
    journal: Journal,
    code: str,
    weights: str = "",
) -> Pace:
    """Write the embeddings of one encoder on one data set: clean first, then the perturbations in the order given.

    A unit of the journal is one row group of one record; the next one is read, decoded and resized while the encoder is
    at work. `code` is the fingerprint of the code behind the embeddings, `weights` a hash of the files that the encoder
    was loaded from. Returns the pace. Raises MedstressError where the split holds no image, or an embedding is not
    finite.
    """
    pace, embedded = Pace(), 0

    def units() -> Iterator[_Unit]:
        for views in read_views(images, perturbed, spec.split):
            key = _unit_key(code, weights, spec, views)
            yield _Unit(views, key, None if journal.has(key) else _inputs(encoder, spec, views))

    with record_writer(output, EmbeddingRow) as writer:
        for unit in ahead(units()):
            rows = journal.rows(EmbeddingRow, unit.key, partial(_embed, encoder, spec, unit, pace))
            writer.write(rows)
            embedded += len(rows)
        if not embedded:
            raise MedstressError(f"{images}: no image of the split {spec.split!r}. Check the card's split and limit.")
    return pace
