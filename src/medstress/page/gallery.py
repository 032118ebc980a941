"""The pictures behind the cells of one data set: a chunk a perturbation, with the answers of all runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from medstress.cards.attack import PromptJitter
from medstress.cards.classification import Classes
from medstress.models.prompts import Subject, jittered_prompts
from medstress.names import Task
from medstress.page.answers import Place, merged, read_answers
from medstress.page.choose import Chosen, chosen_samples, fixed_sample
from medstress.page.conditions import Condition
from medstress.page.pictures import box_path, picture, truth_path
from medstress.perturb.warp import warp_mask
from medstress.pixels import box_of, decode_mask, decode_png
from medstress.records import CLEAN, ImageRow, PerturbedRow, SampleRow, read_rows, read_tables
from medstress.rows import WarpRow
from medstress.runs import adversarial_name, family_of

# Of each task, the metrics whose largest drops are looked for.
_SOUGHT: dict[Task, tuple[str, ...]] = {
    "segmentation": ("iou",),
    "classification": ("accuracy",),
    "vqa": ("closed_accuracy", "open_f1"),
    "captioning": ("cider_d",),
    "grounding": ("box_iou",),
}


@dataclass(frozen=True)
class Records:
    """The records of one data set; `perturbed` by perturbation, of the others one file a run.

    `attacked` are answers to adversarial images, `adversarial` the images themselves, of runs that keep them.
    """

    images: Path
    samples: Path
    perturbed: Mapping[str, Path]
    predictions: Sequence[Path]
    attacked: Sequence[Path] = ()
    adversarial: Sequence[Path] = ()


def galleries(
    task: Task,
    records: Records,
    frame: pd.DataFrame,
    pairs: pd.DataFrame,
    classes: Classes | None,
    most: Mapping[Condition, int],
    moved: Mapping[str, PromptJitter],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each condition of `most` its data: up to that many samples with pictures, truth, answers and scores.

    `frame` has the data set's scores, `pairs` their drops; `moved` are the prompts among the conditions by name.
    Pictures of attacks are of one run each, and under `own`; those of moved prompts are the clean ones.
    """
    dataset = records.images.parent.name
    chosen = {
        one: list(_chosen(task, dataset, pairs[pairs["perturbation"] == one.name], n)) for one, n in most.items() if n
    }
    shown = {one.sample_id for some in chosen.values() for one in some}
    samples = {row.sample_id: row for row in read_rows(records.samples, SampleRow) if row.sample_id in shown}
    wanted = {row.image_id for row in samples.values()}
    sizes = {
        row.image_id: (row.height, row.width)
        for row in read_rows(records.images, ImageRow, pixels=False)
        if row.image_id in wanted
    }
    of_sample = {name: sizes[row.image_id] for name, row in samples.items()}
    answers = merged(
        read_answers(records.predictions, shown, task, of_sample, classes),
        read_answers(records.attacked, shown, task, of_sample, classes),
    )
    clean = _clean(records.images, sorted(wanted))
    kept = frame[frame["sample_id"].isin(list(shown))]
    for condition, some in chosen.items():
        name, ids = condition.name, [one.sample_id for one in some]
        images = sorted({samples[one].image_id for one in ids})
        levels = _levels(records.perturbed[name], images) if condition.kind == "perturbation" else {}
        shots = [_shot(task, one, samples[one.sample_id], sizes, clean, levels, classes) for one in some]
        if name in moved:
            for shot in shots:
                shot["asked"] = _asked(dataset, samples[shot["sample"]], sizes, moved[name])
        data = {
            "samples": shots,
            "answers": {run: _of(given, name, ids) for run, given in answers.items()},
            "scores": _scores(task, kept[kept["sample_id"].isin(ids) & kept["perturbation"].isin([CLEAN, name])]),
        }
        if condition.kind == "attack":
            data["own"] = _adversarial(records.adversarial, name, images)
        yield name, data


def _asked(
    dataset: str, sample: SampleRow, sizes: Mapping[str, tuple[int, int]], jitter: PromptJitter
) -> dict[int, str]:
    """The boxes that a sample's objects are asked for with, by level; 0 is as they are."""
    subject = Subject(*sizes[sample.image_id], [(sample.sample_id, item) for item in sample.objects])
    found = {0: "".join(box_path(item.box) for item in sample.objects)}
    for level in range(1, len(jitter.shares) + 1):
        prompts = jittered_prompts(subject, dataset, [jitter], [level])
        found[level] = "".join(box_path(prompt.box) for prompt in prompts if prompt.box)
    return found


def _adversarial(paths: Sequence[Path], attack: str, images: Sequence[str]) -> dict[str, dict[str, dict[int, Any]]]:
    """What an attack made of images, by family of runs, image and level. Of several seeds, the first run's."""
    found: dict[str, dict[str, dict[int, Any]]] = {}
    for path in sorted(paths):
        family = family_of(path.parent.name)
        if family not in found and (made := _levels(path, images, adversarial_name(attack, path.parent.name))):
            found[family] = {}
            for (image, level), row in made.items():
                found[family].setdefault(image, {})[level] = {key: row[key] for key in row if key != "warp"}
    return found


def _chosen(task: Task, dataset: str, pairs: pd.DataFrame, most: int) -> list[Chosen]:
    sought = pairs[pairs["metric"].isin(_SOUGHT[task])]
    names = sorted(set(sought["sample_id"].astype(str)))
    return chosen_samples(fixed_sample(dataset, names), sought, most) if names else []


def _clean(path: Path, images: list[str]) -> dict[str, str]:
    table = pq.read_table(path, columns=["image_id", "image"], filters=[("image_id", "in", images)])
    return {row["image_id"]: _picture(row["image"]["bytes"], f"{path}, {row['image_id']}") for row in table.to_pylist()}


def _picture(png: bytes, where: str) -> str:
    return picture(decode_png(png, where=where))


def _levels(path: Path, images: Sequence[str], name: str | None = None) -> dict[tuple[str, int], dict[str, Any]]:
    """What an image looks like at each level, by image and level; in a file of several conditions, under `name`."""
    # Says what is wrong where the file is damaged; what follows reads only the row groups with these images.
    read_tables([path], PerturbedRow, ["image_id"])
    columns = ["image_id", "level", "image", "warp", "strength", "ssim", "status", "seed"]
    filters: list[tuple[str, str, Any]] = [("image_id", "in", list(images))]
    filters += [("perturbation", "==", name)] if name else []
    table = pq.read_table(path, columns=columns, filters=filters)
    found = {}
    for row in table.to_pylist():
        warp = row["warp"]
        found[row["image_id"], row["level"]] = {
            "picture": _picture(row["image"]["bytes"], f"{path}, {row['image_id']} level {row['level']}"),
            "warp": None if warp is None else WarpRow(warp["kind"], tuple(warp["parameters"])),
            "strength": row["strength"],
            "ssim": row["ssim"],
            "status": row["status"],
            # As text, since a number of JavaScript has 53 bits.
            "seed": str(row["seed"]),
        }
    return found


def _shot(
    task: Task,
    chosen: Chosen,
    sample: SampleRow,
    sizes: Mapping[str, tuple[int, int]],
    clean: Mapping[str, str],
    levels: Mapping[tuple[str, int], Mapping[str, Any]],
    classes: Classes | None,
) -> dict[str, Any]:
    """One sample: what it is, and its picture with the truth in it, clean (level 0) and at each level."""
    height, width = sizes[sample.image_id]
    places: dict[int, dict[str, Any]] = {0: {"picture": clean[sample.image_id], "warp": None}}
    places |= {level: dict(row) for (image, level), row in levels.items() if image == sample.image_id}
    return {
        "sample": sample.sample_id,
        "image": sample.image_id,
        "why": chosen.why,
        "height": height,
        "width": width,
        "question": sample.question,
        "options": list(sample.options),
        "truth": _truth_text(task, sample, classes),
        "levels": {
            level: {key: value for key, value in place.items() if key != "warp"}
            | {"path": _truth(task, sample, (height, width), place["warp"])}
            for level, place in sorted(places.items())
        },
    }


def _truth(task: Task, sample: SampleRow, size: tuple[int, int], warp: WarpRow | None) -> str:
    if not sample.objects or task not in ("segmentation", "grounding"):
        return ""
    if task == "segmentation":
        return truth_path(sample.objects, size, warp)
    if warp is None:
        return "".join(box_path(item.box) for item in sample.objects)
    moved = [warp_mask(decode_mask(item.mask, *size), warp) for item in sample.objects]
    return "".join(box_path(box_of(mask)) for mask in moved if mask.any())


def _truth_text(task: Task, sample: SampleRow, classes: Classes | None) -> str:
    if task == "classification":
        return ", ".join(classes.names[label] for label in sample.labels) if classes else ""
    return {"vqa": sample.answer, "captioning": sample.caption}.get(task, "")


def _of(
    given: Mapping[Place, dict[str, Any]], name: str, samples: Sequence[str]
) -> dict[str, dict[int, dict[str, Any]]]:
    """A run's answers about some samples under one perturbation, by sample and level."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for (sample, perturbation, level), answer in sorted(given.items()):
        if sample in samples and perturbation in (CLEAN, name):
            found.setdefault(sample, {})[level] = answer
    return found


def _scores(task: Task, frame: pd.DataFrame) -> list[list[Any]]:
    """Rows run, sample, level, metric, mean over objects and seeds."""
    if task == "classification":
        # The others are of all images together; what an image adds to them is no score of the image.
        frame = frame[frame["metric"].isin(_SOUGHT[task])]
    means = frame.groupby(["run", "sample_id", "level", "metric"], observed=True, sort=True)["value"].mean().dropna()
    rows: list[tuple[tuple[str, str, int, str], float]] = list(zip(means.index.tolist(), means.tolist(), strict=True))
    return [[run, sample, int(level), metric, value] for (run, sample, level, metric), value in rows]
