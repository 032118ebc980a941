"""From records to scores: statuses, validity, warps, order, and complaints about what is missing."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from medstress.errors import MedstressError
from medstress.perturb.warp import affine, valid_pixels, warp_mask
from medstress.pixels import Mask, encode_mask, encode_png
from medstress.records import (
    ImageRow,
    ObjectRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    ScoreRow,
    WarpRow,
    read_rows,
    write_rows,
)
from medstress.score.segmentation import score_predictions
from medstress.specs import ScoreSpec

SHAPE = (40, 48)
LEVELS = (1, 2)
SPEC = ScoreSpec.model_validate({"run": "model", "dataset": "toy", "split": "test", "scoring": {}})
TURN = affine(cv2.getRotationMatrix2D((23.5, 19.5), 25, 1.0))


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


TRUTHS = {"a": disc(14, 16, 8), "b": disc(32, 24, 6)}


class Study:
    """Two test images with two objects each, one train image; a photometric type, and a turn with invalid corners."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        png = encode_png(np.zeros(SHAPE, np.uint8))
        splits = {"i1": "test", "i2": "test", "i0": "train"}
        write_rows(
            folder / "images.parquet",
            ImageRow,
            [ImageRow(name, f"p-{name}", split, "ct", png, *SHAPE) for name, split in splits.items()],
        )
        objects = tuple(ObjectRow(name, "disc", (0, 0, 1, 1), encode_mask(mask)) for name, mask in TRUTHS.items())
        write_rows(
            folder / "samples.parquet",
            SampleRow,
            [SampleRow(f"s-{name}", name, "segmentation", objects) for name in splits],
        )
        self.statuses = {("i2", "gaussian_noise", 2): "unreachable"}
        valid = encode_mask(valid_pixels(*SHAPE, TURN))
        for kind, (seen, warp) in {"gaussian_noise": (None, None), "rotation": (valid, TURN)}.items():
            rows = [self.image_at(name, kind, level, seen, warp) for name in ("i1", "i2") for level in LEVELS]
            write_rows(self.perturbed(kind), PerturbedRow, rows)

    def image_at(self, name: str, kind: str, level: int, valid: bytes | None, warp: WarpRow | None) -> PerturbedRow:
        status = self.statuses.get((name, kind, level), "in_band")
        return PerturbedRow(name, kind, level, b"png", valid, warp, 1.0, 0.9, None, None, 1, status)

    def perturbed(self, kind: str) -> Path:
        return self.folder / "perturbed" / "toy" / f"{kind}.parquet"

    def oracle(self) -> list[PredictionRow]:
        """The truth in every cell, moved where the image moved."""
        cells = [("clean", 0)] + [(kind, level) for kind in ("gaussian_noise", "rotation") for level in LEVELS]
        moved = {name: warp_mask(mask, TURN) for name, mask in TRUTHS.items()}
        return [
            PredictionRow(
                f"s-{image}", name, kind, level, encode_mask(moved[name] if kind == "rotation" else mask), "ok"
            )
            for image in ("i1", "i2")
            for name, mask in TRUTHS.items()
            for kind, level in cells
        ]

    def score(
        self, answers: list[PredictionRow], kinds: tuple[str, ...] = ("rotation", "gaussian_noise")
    ) -> pd.DataFrame:
        write_rows(self.folder / "predictions.parquet", PredictionRow, answers)
        output = self.folder / "scores.parquet"
        score_predictions(
            SPEC,
            self.folder / "images.parquet",
            self.folder / "samples.parquet",
            [self.perturbed(kind) for kind in kinds],
            self.folder / "predictions.parquet",
            output,
        )
        return pd.DataFrame([dataclasses.asdict(row) for row in read_rows(output, ScoreRow)])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def changed(
    answers: list[PredictionRow], sample: str, name: str, kind: str, level: int, **new: object
) -> list[PredictionRow]:
    key = (sample, name, kind, level)
    found = [(row.sample_id, row.object_id, row.perturbation, row.level) == key for row in answers]
    assert sum(found) == 1
    return [
        dataclasses.replace(row, **new) if hit else row  # type: ignore[arg-type]
        for row, hit in zip(answers, found, strict=True)
    ]


def cell(frame: pd.DataFrame, sample: str, name: str, kind: str, level: int) -> pd.DataFrame:
    keys = {"sample_id": sample, "object_id": name, "perturbation": kind, "level": level}
    chosen = frame[(frame[list(keys)] == list(keys.values())).all(axis=1)]
    return chosen.set_index("metric")


def test_an_oracle_is_perfect_under_a_warp(study: Study) -> None:
    frame = study.score(study.oracle())
    assert len(frame) == 2 * 2 * 5 * 4
    assert (frame[frame.metric == "hd95"].value == 0).all()
    assert (frame[frame.metric != "hd95"].value == 1).all()
    assert set(frame.status) == {"ok", "unreachable"}
    assert set(frame.group_id) == {"p-i1", "p-i2"}
    # A prediction that stayed behind is not perfect: the truth has really moved.
    stayed = changed(study.oracle(), "s-i1", "a", "rotation", 1, mask=encode_mask(TRUTHS["a"]))
    assert cell(study.score(stayed), "s-i1", "a", "rotation", 1).value["iou"] < 0.9


@pytest.mark.parametrize(("share", "wrong"), [(0.05, 8), (0.25, 8), (0.25, 3)])
def test_an_error_of_one_size_counts_the_same_where_the_scene_shrinks(tmp_path: Path, share: float, wrong: int) -> None:
    shape = (240, 260)
    study = Study(tmp_path)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    truth = np.asarray(np.hypot(columns - 130, rows - 120) <= 80)
    eroded = np.asarray(np.hypot(columns - 130, rows - 120) <= 80 - wrong)
    shrunk = affine(cv2.getRotationMatrix2D((129.5, 119.5), 0, 1 - share))
    image = ImageRow("i1", "p1", "test", "ct", encode_png(np.zeros(shape, np.uint8)), *shape)
    write_rows(tmp_path / "images.parquet", ImageRow, [image])
    item = ObjectRow("a", "disc", (0, 0, 1, 1), encode_mask(truth))
    write_rows(tmp_path / "samples.parquet", SampleRow, [SampleRow("s-i1", "i1", "segmentation", (item,))])
    valid = encode_mask(valid_pixels(*shape, shrunk))
    write_rows(study.perturbed("scaling"), PerturbedRow, [study.image_at("i1", "scaling", 1, valid, shrunk)])
    answers = [
        PredictionRow("s-i1", "a", "clean", 0, encode_mask(eroded), "ok"),
        PredictionRow("s-i1", "a", "scaling", 1, encode_mask(warp_mask(eroded, shrunk)), "ok"),
    ]
    frame = study.score(answers, ("scaling",))
    clean, scaled = (cell(frame, "s-i1", "a", *key).value for key in (("clean", 0), ("scaling", 1)))
    assert clean["hd95"] == pytest.approx(wrong, abs=0.7)
    # Half a pixel of rounding on either outline, in clean pixels.
    assert scaled["hd95"] == pytest.approx(clean["hd95"], abs=0.75)
    # Three pixels are more than the tolerance of two, also where they have become 2.25.
    assert (clean["nsd"], scaled["nsd"]) == (0, pytest.approx(0, abs=0.1))


def test_a_rotation_has_the_tolerance_of_the_clean_image(study: Study) -> None:
    # Two pixels aside is the tolerance: it must not be missed by a rounding error of the map's determinant.
    aside = np.roll(warp_mask(TRUTHS["a"], TURN), 2, axis=1) & valid_pixels(*SHAPE, TURN)
    moved = changed(study.oracle(), "s-i1", "a", "rotation", 1, mask=encode_mask(aside))
    assert cell(study.score(moved), "s-i1", "a", "rotation", 1).value["nsd"] == 1.0


def test_only_valid_pixels_are_compared(study: Study) -> None:
    invalid = ~valid_pixels(*SHAPE, TURN)
    truth = warp_mask(TRUTHS["b"], TURN)
    spilled = changed(study.oracle(), "s-i1", "b", "rotation", 2, mask=encode_mask(truth | invalid))
    assert cell(study.score(spilled), "s-i1", "b", "rotation", 2).value["iou"] == 1.0
    # On a clean image every pixel counts.
    spilled = changed(study.oracle(), "s-i1", "b", "clean", 0, mask=encode_mask(TRUTHS["b"] | invalid))
    assert cell(study.score(spilled), "s-i1", "b", "clean", 0).value["iou"] < 0.5


def test_statuses(study: Study) -> None:
    answers = study.oracle()
    answers = changed(
        answers, "s-i1", "a", "gaussian_noise", 1, mask=encode_mask(np.zeros(SHAPE, bool)), status="empty"
    )
    answers = changed(answers, "s-i1", "a", "gaussian_noise", 2, mask=None, status="empty")
    answers = changed(answers, "s-i1", "a", "rotation", 1, mask=None, status="object_lost")
    answers = changed(answers, "s-i1", "a", "rotation", 2, mask=None, status="error", error="out of memory")
    answers = changed(answers, "s-i2", "a", "gaussian_noise", 2, mask=None, status="refused")
    frame = study.score(answers)
    for level in LEVELS:
        empty = cell(frame, "s-i1", "a", "gaussian_noise", level)
        assert set(empty.status) == {"empty"}
        assert empty.value.to_dict() == {"iou": 0.0, "dice": 0.0, "hd95": pytest.approx(np.hypot(39, 47)), "nsd": 0.0}
    for kind, level, status in [("rotation", 1, "object_lost"), ("rotation", 2, "error")]:
        assert set(cell(frame, "s-i1", "a", kind, level).status) == {status}
        assert cell(frame, "s-i1", "a", kind, level).value.isna().all()
    # The answer's own trouble comes before the image's; otherwise an unreachable cell keeps its value.
    assert set(cell(frame, "s-i2", "a", "gaussian_noise", 2).status) == {"refused"}
    unreachable = cell(frame, "s-i2", "b", "gaussian_noise", 2)
    assert set(unreachable.status) == {"unreachable"}
    assert unreachable.value["iou"] == 1.0


def test_an_object_without_valid_pixels_is_lost(study: Study) -> None:
    nothing = encode_mask(np.zeros(SHAPE, bool))
    rows = read_rows(study.perturbed("rotation"), PerturbedRow)
    write_rows(study.perturbed("rotation"), PerturbedRow, [dataclasses.replace(row, valid=nothing) for row in rows])
    frame = study.score(study.oracle())
    assert set(frame[frame.perturbation == "rotation"].status) == {"object_lost"}


def test_the_order_of_inputs_does_not_change_a_byte(study: Study) -> None:
    study.score(study.oracle())
    first = (study.folder / "scores.parquet").read_bytes()
    frame = study.score(study.oracle()[::-1], ("gaussian_noise", "rotation"))
    assert (study.folder / "scores.parquet").read_bytes() == first
    assert list(frame.perturbation[:20:4]) == ["clean", "gaussian_noise", "gaussian_noise", "rotation", "rotation"]
    assert list(frame.metric[:4]) == ["iou", "dice", "hd95", "nsd"]


def test_missing_doubled_and_foreign_answers_are_all_named(study: Study) -> None:
    answers = [row for row in study.oracle() if row.perturbation != "rotation" or row.sample_id != "s-i2"]
    answers += [answers[0], dataclasses.replace(answers[0], perturbation="speckle", level=1)]
    with pytest.raises(MedstressError) as caught:
        study.score(answers)
    text = str(caught.value)
    assert "4 answers are missing: s-i2/a/rotation/1, s-i2/a/rotation/2, s-i2/b/rotation/1" in text
    assert "1 answers belong to no object or cell of the study: s-i1/a/speckle/1" in text
    assert "1 answers are there more than once: s-i1/a/clean/0" in text
    assert "predictions.parquet" in text


def test_a_missing_perturbed_image_is_named(study: Study) -> None:
    rows = read_rows(study.perturbed("rotation"), PerturbedRow)
    write_rows(study.perturbed("rotation"), PerturbedRow, rows[:-1])
    with pytest.raises(MedstressError, match="1 perturbed images of toy are missing: i2/rotation/2"):
        study.score(study.oracle())


def test_an_answer_without_its_mask_is_an_error(study: Study) -> None:
    with pytest.raises(MedstressError, match="s-i1/b: an answer with status ok has no mask"):
        study.score(changed(study.oracle(), "s-i1", "b", "clean", 0, mask=None))


def test_no_object_in_the_split(study: Study) -> None:
    write_rows(study.folder / "samples.parquet", SampleRow, [])
    with pytest.raises(MedstressError, match="the test split has no object"):
        study.score(study.oracle())
