"""What runs answered about the samples that are shown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from medstress.cards.classification import Classes
from medstress.names import Task
from medstress.page.pictures import box_path, outlines
from medstress.pixels import decode_mask
from medstress.records import PredictionRow, read_tables
from medstress.runs import family_of

_LONGEST_TEXT = 600
_LARGEST_CLASSES = 3

Place = tuple[str, str, int]
"""Sample, perturbation and level."""


def read_answers(
    paths: Sequence[Path],
    samples: Collection[str],
    task: Task,
    sizes: Mapping[str, tuple[int, int]],
    classes: Classes | None,
) -> dict[str, dict[Place, dict[str, Any]]]:
    """The answers about some samples of one data set, by family of runs, then by place.

    Of several seeds, the first run's. `sizes`: height and width of each sample's image.
    """
    found: dict[str, dict[Place, dict[str, Any]]] = {}
    for path in sorted(paths):
        family = family_of(path.parent.name)
        if family in found:
            continue
        table = read_tables([path], PredictionRow, _columns(task))
        kept = table.filter(pc.field("sample_id").isin(sorted(samples))).to_pylist()
        by_place: dict[Place, list[dict[str, Any]]] = {}
        for row in kept:
            by_place.setdefault((row["sample_id"], row["perturbation"], row["level"]), []).append(row)
        found[family] = {place: _answer(task, rows, sizes[place[0]], classes) for place, rows in by_place.items()}
    return found


def merged(
    first: Mapping[str, Mapping[Place, dict[str, Any]]], second: Mapping[str, Mapping[Place, dict[str, Any]]]
) -> dict[str, dict[Place, dict[str, Any]]]:
    """The answers of both, by family of runs."""
    return {run: {**first.get(run, {}), **second.get(run, {})} for run in sorted({*first, *second})}


def _columns(task: Task) -> list[str]:
    own = {"segmentation": ["mask"], "classification": ["logits"], "grounding": ["text", "box"]}.get(task, ["text"])
    return ["sample_id", "object_id", "perturbation", "level", "status", "error", *own]


def _answer(
    task: Task, rows: Iterable[Mapping[str, Any]], size: tuple[int, int], classes: Classes | None
) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: str(row["object_id"]))
    first = rows[0]
    troubles = sorted({row["status"] for row in rows} - {"ok"})
    answer: dict[str, Any] = {"status": ", ".join(troubles)} if troubles else {}
    if task == "segmentation":
        answer["path"] = outlines([decode_mask(row["mask"], *size) for row in rows if row["mask"] is not None])
    elif task == "classification":
        order, shares = _classes(first["logits"], classes)
        answer["best"] = order[0] if order else ""
        answer["text"] = ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(order, shares, strict=True))
    else:
        answer["text"] = _cut(first["text"] or first["error"] or "")
        if task == "grounding" and first["box"] is not None:
            answer["path"] = box_path(tuple(first["box"]))
    return answer


def _classes(logits: Sequence[float] | None, classes: Classes | None) -> tuple[list[str], list[float]]:
    """The likeliest classes with their probabilities, by the softmax of the logits.

    Where several may be there, by the logistic of each.
    """
    if not logits or classes is None:
        return [], []
    values = np.asarray(logits, np.float64)
    if classes.kind == "multi_label":
        shares = 1 / (1 + np.exp(-values))
    else:
        shares = np.exp(values - values.max())
        shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")[:_LARGEST_CLASSES]
    return [classes.names[index] for index in order], [float(shares[index]) for index in order]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"
