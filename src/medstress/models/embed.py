"""Runs one image encoder over one data set: every image once, whatever is asked about it afterwards."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medstress.errors import MedstressError
from medstress.journal import Journal, content_key
from medstress.models.zeroshot.protocol import ImageEncoder
from medstress.records import EmbeddingRow, record_writer
from medstress.specs import EmbedSpec
from medstress.views import Pace, View, decoded, read_views

# Keys of a model's card that do not touch its embeddings.
_NOT_ASKED = {"name", "title", "baseline", "gpu", "download"}


@dataclass(frozen=True)
class _Unit:
    """What is embedded and remembered together, what names it in the journal, and its rows to come, if it is new."""

    views: list[View]
    key: str
    coming: Future[list[EmbeddingRow]] | None


def _unit_key(code: str, weights: str, spec: EmbedSpec, views: Sequence[View]) -> str:
    """What determines the embeddings of a unit: the code, the model, its weights and the pixels. No prompt is in it."""
    model = spec.model_dump_json(
        include={"model": True, "strategy": True}, exclude={"model": _NOT_ASKED, "strategy": {"name", "title"}}
    )
    parts: list[str | bytes] = [code, weights, model]
    for view in views:
        parts += [view.image_id, view.perturbation, str(view.level), view.png]
    return content_key(*parts)


def _embed(encoder: ImageEncoder, spec: EmbedSpec, views: Sequence[View]) -> list[EmbeddingRow]:
    found = encoder.embed(decoded(spec.dataset, views, 1))
    if found.dtype != np.float32 or found.ndim != 2 or len(found) != len(views) or not np.isfinite(found).all():
        raise MedstressError(
            f"{spec.encoder} on {spec.dataset}: the encoder gave {found.dtype} {found.shape} for {len(views)} images, "
            "or numbers that are not finite; expected one finite float32 row an image. Write `precision: fp32` in the "
            "model's card, or look at its weights."
        )
    return [
        EmbeddingRow(view.image_id, view.perturbation, view.level, row.astype("<f4").tobytes())
        for view, row in zip(views, found, strict=True)
    ]


def _started_ahead(units: Iterator[_Unit], most: int) -> Iterator[_Unit]:
    """The units in their order, with at most `most` of those that follow begun."""
    begun: deque[_Unit] = deque()
    for unit in units:
        begun.append(unit)
        if len(begun) > most:
            yield begun.popleft()
    yield from begun


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

    A unit of the journal is one row group of one record. Units are embedded side by side, by one thread more than the
    card names, so that one is decoded and resized while the network is at another; each by itself, so its bits do not
    depend on that. `code` is the fingerprint of the code behind the embeddings, `weights` a hash of the files that the
    encoder was loaded from. Returns the pace. Raises MedstressError where the split holds no image, or an embedding is
    not finite.
    """
    workers, embedded, started = spec.model.threads + 1, 0, time.monotonic()
    pace = Pace()
    with record_writer(output, EmbeddingRow) as writer, ThreadPoolExecutor(workers, "embed") as pool:

        def unit(views: list[View]) -> _Unit:
            key = _unit_key(code, weights, spec, views)
            return _Unit(views, key, None if journal.has(key) else pool.submit(_embed, encoder, spec, views))

        def rows_of(unit: _Unit) -> list[EmbeddingRow]:
            # A unit that the journal had, but damaged, was not begun.
            pace.images += len(unit.views)
            return unit.coming.result() if unit.coming else _embed(encoder, spec, unit.views)

        try:
            for begun in _started_ahead(map(unit, read_views(images, perturbed, spec.split)), workers):
                rows = journal.rows(EmbeddingRow, begun.key, partial(rows_of, begun))
                writer.write(rows)
                embedded += len(rows)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        if not embedded:
            raise MedstressError(f"{images}: no image of the split {spec.split!r}. Check the card's split and limit.")
    pace.seconds = time.monotonic() - started if pace.images else 0.0
    return pace
