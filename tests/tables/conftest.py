"""A study of two data sets, three runs and two perturbations, small enough to follow by hand, as records on disk."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from medstress.config import Statistics
from medstress.perturb.warp import affine, valid_pixels, warp_mask
from medstress.pixels import Mask, box_of, encode_mask, encode_png
from medstress.records import ImageRow, ObjectRow, PerturbedRow, PredictionRow, SampleRow, ScoreRow, write_rows
from medstress.runs import family_of
from medstress.score.segmentation import score_predictions
from medstress.specs import ScoreSpec
from medstress.table_spec import TableSpec

SHAPE = (64, 72)
LEVELS = (1, 2)
SEEDS = {"box": 0, "net": 0, "net+lora@many~seed0": 0, "net+lora@many~seed1": 1}
"""What is run, and its seed; the strategy is trained and scored on `many` alone."""
ADAPTED = {
    "runs": {"box": "Box_fill", "net": "Net", "net+lora": "Net + LoRA"},
    "scored_on": {"net+lora": ["many"]},
    "attacked": ["net", "net+lora"],
    "attacked_datasets": ["many", "few"],
}
"""What the strategy adds to the spec."""

CLAIM = {
    "name": "net_drops",
    "text": "Net loses IoU.",
    "source": "A publication",
    "published": {"text": "it does", "where": "Table 1"},
    "test": {"task": "segmentation", "metric": "iou", "measure": "drop", "of": ["net"], "at_least": 0},
}


@dataclass(frozen=True)
class ToyStudy:
    spec: TableSpec
    sources: dict[str, list[Path]]


def spec_of(**changes: object) -> TableSpec:
    """The toy study's spec without its strategy: data set `many` has six patients, `few` has two slabs."""
    values: dict[str, object] = {
        "study": "toy",
        "datasets": {"many": "Many patients", "few": "Few slabs"},
        "split_units": {"many": "patient", "few": "slab"},
        "runs": {"box": "Box_fill", "net": "Net"},
        "baselines": ["box"],
        "perturbations": ["gaussian_noise", "rotation"],
        "fixed": ["rotation"],
        "prompts": {"grown": [0.05, 0.1, 0.2, 0.3, 0.5]},
        "attacks": {"pgd": [2, 4, 6, 8, 10]},
        "attacked": ["net"],
        "attacked_datasets": ["many", "few"],
        "transfer": ["net"],
        "kept": ["pgd"],
        "levels": list(LEVELS),
        "claims": [CLAIM],
        "metrics": ["iou", "dice", "hd95", "nsd"],
        "statistics": Statistics(resamples=200),
    }
    return TableSpec.model_validate(values | changes)


def _write_dataset(folder: Path, dataset: str, count: int) -> dict[str, Mask]:
    random = np.random.default_rng(len(dataset))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    masks = {}
    for place in range(count):
        x, y, radius = random.uniform(28, 44), random.uniform(26, 38), 15 if place == 0 else random.uniform(8, 14)
        masks[f"i{place}"] = np.asarray(np.hypot(columns - x, 1.3 * (rows - y)) < radius)
    base = folder / "datasets" / dataset
    pictures = {name: random.integers(0, 60, SHAPE).astype(np.uint8) + 150 * mask for name, mask in masks.items()}
    images = [
        ImageRow(name, f"p{place}", "test", "ct", encode_png(picture.astype(np.uint8)), *SHAPE)
        for place, (name, picture) in enumerate(pictures.items())
    ]
    write_rows(base / "images.parquet", ImageRow, images)
    samples = [
        SampleRow(f"s-{name}", name, "segmentation", (ObjectRow("o1", "disc", box_of(mask), encode_mask(mask)),))
        for name, mask in masks.items()
    ]
    write_rows(base / "samples.parquet", SampleRow, samples)
    turn = affine(np.asarray(cv2.getRotationMatrix2D((35.5, 31.5), 15, 1.0), np.float64))
    seen = encode_mask(valid_pixels(*SHAPE, turn))
    for kind in ("gaussian_noise", "rotation"):
        moved = kind == "rotation"
        cells = []
        for image in images:
            for level in LEVELS:
                status = "table" if moved else "unreachable" if (image.image_id, level) == ("i0", 2) else "in_band"
                ssim = 0.85 if status == "unreachable" else 0.94 - 0.1 * (level - 1)
                band = (None, None) if moved else ((0.90, 0.98), (0.80, 0.84))[level - 1]
                row = PerturbedRow(
                    image.image_id,
                    kind,
                    level,
                    image.png,
                    seen if moved else None,
                    turn if moved else None,
                    float(level),
                    ssim,
                    *band,
                    7,
                    status,
                )
                cells.append(row)
        write_rows(folder / "perturbed" / dataset / f"{kind}.parquet", PerturbedRow, cells)
    for run in _runs_on(dataset):
        answers = []
        for name, mask in masks.items():
            for kind, level in [("clean", 0)] + [
                (kind, level) for kind in ("gaussian_noise", "rotation", *_unmoved(run)) for level in LEVELS
            ]:
                answers.append(_answer(run, name, warp_mask(mask, turn) if kind == "rotation" else mask, kind, level))
        write_rows(folder / "predictions" / run / f"{dataset}.parquet", PredictionRow, answers)
    return masks


def _unmoved(run: str) -> tuple[str, ...]:
    """Cells without a perturbed record here: moved prompts, the run's own attacks, and those made against `net`."""
    return ("grown", *(() if run == "box" else ("pgd",)), *(() if run == "net" else ("pgd@net",)))


def _runs_on(dataset: str) -> list[str]:
    return [run for run in SEEDS if family_of(run) in spec_of(**ADAPTED).runs_on(dataset)]


def _answer(run: str, name: str, truth: Mask, kind: str, level: int) -> PredictionRow:
    """`box` fills the box; `net` is the truth moved by one pixel more a level, lost once and failed once.

    The strategy's seed 0 moves it by one pixel less, seed 1 by as much.
    """
    shift = SEEDS[run] if "+" in run else 1
    mask: Mask | None = np.roll(truth, shift + level, axis=1)
    status = "ok"
    if run == "box":
        x0, y0, x1, y1 = map(int, box_of(truth))
        mask = np.zeros(SHAPE, bool)
        mask[y0:y1, x0:x1] = True
    elif run == "net" and (name, kind, level) == ("i1", "gaussian_noise", 1):
        mask, status = None, "error"
    if (name, kind, level) == ("i1", "rotation", 2):
        mask, status = None, "object_lost"
    return PredictionRow(f"s-{name}", "o1", kind, level, None if mask is None else encode_mask(mask), status)


def _write_training(folder: Path, run: str) -> Path:
    """The record of a training that kept its second look: val IoU .5, .6 and .55, and a tenth more with seed 1."""
    gain = 0.1 * SEEDS[run]
    facts = {
        "trainset": "many",
        "seed": SEEDS[run],
        "train_images": 4,
        "train_objects": 5,
        "trained_parameters": 1_500,
        "all_parameters": 120_000,
        "learning_rate": 0.001,
        "batch": 2,
        "planned_steps": 20,
        "steps": 20,
        "chosen_step": 10,
        "val_iou": [{"step": step, "iou": iou + gain} for step, iou in [(0, 0.5), (10, 0.6), (20, 0.55)]],
    }
    path = folder / "checkpoints" / run / "training.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyStudy:
    """The whole study, scored."""
    folder = tmp_path_factory.mktemp("toy") / "results" / "toy"
    spec = spec_of(**ADAPTED)
    sources: dict[str, list[Path]] = {kind: [] for kind in ("images", "samples", "perturbed", "predictions", "scores")}
    sources["training"] = [_write_training(folder, run) for run in SEEDS if "+" in run]
    for dataset, count in {"many": 6, "few": 2}.items():
        _write_dataset(folder, dataset, count)
        sources["images"].append(folder / "datasets" / dataset / "images.parquet")
        sources["samples"].append(folder / "datasets" / dataset / "samples.parquet")
        kinds = [folder / "perturbed" / dataset / f"{kind}.parquet" for kind in spec.perturbations]
        sources["perturbed"] += kinds
        for run in _runs_on(dataset):
            answers = folder / "predictions" / run / f"{dataset}.parquet"
            scores = folder / "scores" / run / f"{dataset}.parquet"
            values = {"run": run, "seed": SEEDS[run], "dataset": dataset, "split": "test", "scoring": {}} | {
                "unmoved": _unmoved(run)
            }
            scoring = ScoreSpec.model_validate(values)
            score_predictions(scoring, sources["images"][-1], sources["samples"][-1], kinds, answers, scores)
            sources["predictions"].append(answers)
            sources["scores"].append(scores)
    return ToyStudy(spec, sources)


@pytest.fixture
def make_spec() -> Callable[..., TableSpec]:
    """Builds the toy study's spec with changes."""
    return spec_of


@pytest.fixture
def make_score() -> Callable[..., ScoreRow]:
    """Builds one score of one object, whose patient has the same name."""

    def make(
        name: str, kind: str, level: int, value: float | None, status: str = "ok", *, seed: int = 0, **changes: str
    ) -> ScoreRow:
        given = {"run": "net", "dataset": "many", "metric": "iou"} | changes
        return ScoreRow(
            task="segmentation",
            run=given["run"],
            seed=seed,
            dataset=given["dataset"],
            subset="iid",
            sample_id=f"s-{name}",
            group_id=f"p-{name}",
            object_id="o1",
            perturbation=kind,
            level=level,
            metric=given["metric"],
            value=value,
            status=status,
        )

    return make
