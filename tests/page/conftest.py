"""A small study on disk: one data set with outlines and one with texts, some of them hostile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from medstress.cards.attack import PromptJitter
from medstress.cards.claim import Claim
from medstress.config import Statistics
from medstress.figures.write import write_figure
from medstress.names import TableName
from medstress.page.spec import PageSpec, RunOrigin
from medstress.page.write import Sources
from medstress.pixels import Image, Mask, encode_mask, encode_png
from medstress.records import (
    ImageRow,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    WarpRow,
    write_rows,
)
from medstress.table_spec import TableSpec
from medstress.tables.write import write_table

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>\u2028 & \"'{{data}}"
SIZE = 40
IMAGES = 6
LEVELS = (1, 2)
TYPES = ("gaussian_noise", "rotation")
ATTACKS = ("fgsm", "pgd")
"""The images of pgd are kept."""
MOVED = "prompt_grown"
HOLE = ("rotation", 2)
"""Of the second run on squares, nothing is scored there."""
TURN = WarpRow("affine", (1.0, 0.0, 4.0, 0.0, 1.0, 0.0))
"""Four pixels to the side."""


SHOWN: list[TableName] = ["segmentation_perturbations", "segmentation_adversarial", "claims"]
CLAIM = Claim.model_validate(
    {
        "name": "cutter_loses",
        "text": "Rotation costs Cutter something",
        "source": "Nobody, 2026",
        "published": {"value": 0.2, "text": "a fifth", "where": "page 1", "models": ["cutter"], "datasets": ["seg"]},
        "test": {
            "task": "segmentation",
            "measure": "drop",
            "metric": "iou",
            "of": ["cutter"],
            "compare": "value",
            "at_least": -0.5,
        },
    }
)


@dataclass(frozen=True)
class Study:
    root: Path
    spec: PageSpec
    sources: Sources

    @property
    def index(self) -> Path:
        return self.root / "index.html"

    @property
    def folder(self) -> Path:
        return self.root / "page"


def square(shift: int = 0) -> Mask:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:20, 12 + shift : 24 + shift] = True
    return mask


def score(image: int, level: int, kind: str) -> float:
    """Image 4 loses most; the rest little, and rotation more than noise."""
    return 0.9 - 0.01 * image - level * (0.3 if image == 4 else 0.02) * (2 if kind == "rotation" else 1)


def make_study(root: Path) -> Study:
    random = np.random.default_rng(7)
    cells = [("clean", 0), *((kind, level) for kind in TYPES for level in LEVELS)]
    prompted = [(MOVED, level) for level in LEVELS]
    attacked = [(attack, level) for attack in ATTACKS for level in LEVELS]
    for dataset in ("seg", "ask"):
        names = [f"{dataset}{n}" for n in range(IMAGES)]
        pixels = {name: random.integers(0, 255, (SIZE, SIZE), dtype=np.uint8) for name in names}
        images = [ImageRow(n, f"p{n}", "test", "mri", encode_png(pixels[n]), SIZE, SIZE) for n in names]
        write_rows(root / f"datasets/{dataset}/images.parquet", ImageRow, images)
        thing = ObjectRow("1", "thing", (12, 10, 24, 20), encode_mask(square()))
        samples = [
            SampleRow(f"s_{n}", n, "segmentation", objects=(thing,))
            if dataset == "seg"
            else SampleRow(f"s_{n}", n, "vqa", question=f"What? {HOSTILE}", answer="a liver", answer_type="open")
            for n in names
        ]
        write_rows(root / f"datasets/{dataset}/samples.parquet", SampleRow, samples)
        for kind in TYPES:
            warp = TURN if kind == "rotation" else None
            rows = [
                PerturbedRow(
                    n, kind, k, encode_png(pixels[n] // (k + 1)), None, warp, 0.5 * k, 0.8, None, None, 1, "table"
                )
                for n in names
                for k in LEVELS
            ]
            write_rows(root / f"perturbed/{dataset}/{kind}.parquet", PerturbedRow, rows)
        thing_id = "1" if dataset == "seg" else ""
        task, metric = ("segmentation", "iou") if dataset == "seg" else ("vqa", "open_f1")
        for run in ("cutter", "other") if dataset == "seg" else ("talker",):
            own = [*cells, *prompted] if dataset == "seg" else cells
            answers = [
                PredictionRow(f"s_{n}", thing_id, kind, k, encode_mask(square(2)), "ok")
                if dataset == "seg"
                else PredictionRow(f"s_{n}", thing_id, kind, k, None, "ok", text=f"{HOSTILE} {kind} {k}")
                for n in names
                for kind, k in own
            ]
            write_rows(root / f"predictions/{run}/{dataset}.parquet", PredictionRow, answers)
            scores = [
                ScoreRow(
                    task, run, 0, dataset, "", f"s_{n}", f"p{n}", thing_id, kind, k, metric, score(place, k, kind), "ok"
                )
                for place, n in enumerate(names)
                for kind, k in [*own, *(attacked if run == "cutter" else [])]
                if run != "other" or (kind, k) != HOLE
            ]
            write_rows(root / f"scores/{run}/{dataset}.parquet", ScoreRow, scores)
        if dataset == "seg":
            write_attacks(root / "attacked/cutter", names, pixels, attacked)
    (root / "scores/cutter/seg.parquet.provenance.json").write_text(
        '{"stage": "score", "code": "0123456789abcdef", "seconds": 1.5, "finished": "2026-01-02T03:04:05+0000", '
        '"host": "here", "versions": {"numpy": "2"}}'
    )
    tables = TableSpec(
        study="small <study>",
        datasets={"seg": "Squares", "ask": f"Questions {HOSTILE}"},
        split_units={"seg": "patient", "ask": "patient"},
        runs={"cutter": "Cutter", "other": "Other", "talker": "Talker & co"},
        scored_on={"cutter": ["seg"], "other": ["seg"], "talker": ["ask"]},
        baselines=[],
        attacks={"fgsm": [1, 2, 3, 4, 5], "pgd": [1, 2, 3, 4, 5]},
        attacked=["cutter"],
        attacked_datasets=["seg"],
        kept=["pgd"],
        prompts={MOVED: [0.1, 0.5, 0.5, 0.5, 0.5]},
        stand_ins=["other", "talker"],
        claims=[CLAIM],
        perturbations=list(TYPES),
        fixed=["rotation"],
        levels=list(LEVELS),
        tasks={"seg": "segmentation", "ask": "vqa"},
        metrics=["iou"],
        statistics=Statistics(resamples=100),
    )
    sources = {
        "scores": sorted(root.glob("scores/*/*.parquet")),
        "images": sorted(root.glob("datasets/*/images.parquet")),
        "samples": sorted(root.glob("datasets/*/samples.parquet")),
        "perturbed": sorted(root.glob("perturbed/*/*.parquet")),
        "predictions": sorted(root.glob("predictions/*/*.parquet")),
        "training": [],
        "attacked": [root / "attacked/cutter/seg.parquet"],
        "adversarial": [root / "attacked/cutter/seg.images.parquet"],
    }
    made = []
    for name in SHOWN:
        outputs = {suffix: root / f"tables/{name}.{suffix}" for suffix in ("csv", "md", "tex", "parquet")}
        write_table(tables, name, sources, outputs)
        made.append(outputs["parquet"])
    drawn = {suffix: root / f"figures/severity_curves.{suffix}" for suffix in ("svg", "png")}
    write_figure(tables, "severity_curves", sources, drawn)
    spec = PageSpec(
        tables=tables,
        shown=SHOWN,
        figures=["severity_curves"],
        runs={
            "cutter": RunOrigin(model="cutter", weights="cutter.pth", sha256="ab" * 32),
            "other": RunOrigin(model="other"),
            **{f"talker+tuned@ask~seed{n}": RunOrigin(model="talker", seed=n) for n in range(2)},
            "talker": RunOrigin(model="talker"),
        },
        prompts=[PromptJitter(name=MOVED, kind="grow", shares=(0.1, 0.5, 0.5, 0.5, 0.5))],
    )
    return Study(root, spec, {"tables": made, "figures": [drawn["svg"]], **sources})


def write_attacks(
    folder: Path, names: Sequence[str], pixels: Mapping[str, Image], cells: Sequence[tuple[str, int]]
) -> None:
    """Answers to all attacks, and the images of pgd: a little darker at each level."""
    answers = [PredictionRow(f"s_{n}", "1", kind, k, encode_mask(square(k)), "ok") for n in names for kind, k in cells]
    write_rows(folder / "seg.parquet", PredictionRow, answers)
    images = [
        PerturbedRow(n, "pgd@cutter", k, encode_png(pixels[n] // 2), None, None, float(k), 0.9, None, None, 9, "table")
        for n in names
        for k in LEVELS
    ]
    write_rows(folder / "seg.images.parquet", PerturbedRow, images)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    from medstress.page.write import write_page

    made = make_study(tmp_path_factory.mktemp("page"))
    write_page(made.spec, made.sources, made.index, made.folder)
    return made
