"""Corrupted images from disk: what belongs to the clean ones becomes a record, what does not is said."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import structural_similarity

from medstress.cards.classification import ClassificationCard
from medstress.cards.images import Resize
from medstress.errors import MedstressError
from medstress.exports.corrupted import read_corrupted
from medstress.exports.source import find_perturbed
from medstress.exports.write import export
from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_dataset
from medstress.pixels import decode_png
from medstress.records import PerturbedRow, SampleRow, read_rows
from medstress.specs import CorruptedSpec, PerturbSpec
from tests.datasets.conftest import picture
from tests.datasets.labelled_files import SIZES, Labelled

LEVELS = [1, 2, 3, 4, 5]
TYPES = {"jpeg": "jpeg_compression", "speckle": "speckle_noise"}
COUNT = SIZES["test"]


def with_corrupted(card: ClassificationCard, form: str, missing: str = "error") -> ClassificationCard:
    corrupted = {"format": form, "folder": "corrupted", "missing": missing}
    return ClassificationCard.model_validate(card.model_dump() | {"corrupted": corrupted})


def spec_of(card: ClassificationCard, name: str = "jpeg", **changes: Any) -> PerturbSpec:
    assert card.corrupted is not None
    original = TYPES[name] if card.corrupted.format == "medmnist_c" else name
    stored = CorruptedSpec(source=card.corrupted, original=original, size=card.size, classes=len(card.classes.names))
    base: dict[str, Any] = {"dataset": "mine", "modality": "microscopy", "perturbation": name, "levels": LEVELS}
    return PerturbSpec.model_validate(base | {"split": "test", "background": 0, "corrupted": stored} | changes)


def read(data: Labelled, spec: PerturbSpec) -> list[PerturbedRow]:
    output = data.root / "read.parquet"
    read_corrupted(spec, data.root, data.images, data.samples, output)
    return read_rows(output, PerturbedRow)


def write_medmnist_c(data: Labelled, **changes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    images = picture(7, (5 * COUNT, 20, 20))
    labels = np.tile(np.arange(COUNT) % 3, 5)[:, None]
    (data.root / "corrupted").mkdir(exist_ok=True)
    for original in TYPES.values():
        np.savez(
            data.root / "corrupted" / f"{original}.npz", **{"test_images": images, "test_labels": labels} | changes
        )
    return images


@pytest.fixture
def data(tmp_path: Path) -> Labelled:
    return Labelled(tmp_path)


@pytest.mark.parametrize("form", ["medmnist_c", "medimeta_c"])
def test_what_medstress_exported_is_read_back_as_it_was(data: Labelled, form: str) -> None:
    card = with_corrupted(data.medmnist(), form)
    study = data.root / "results" / "toy"
    data.images, data.samples = (study / "datasets" / "mine" / f"{name}.parquet" for name in ("images", "samples"))
    _, _, samples = data.prepare(card)
    made = {}
    for name in TYPES:
        record = study / "perturbed" / "mine" / f"{name}.parquet"
        perturb_dataset(PERTURBATIONS[name], spec_of(card, name, corrupted=None), data.images, record)
        made[name] = read_rows(record, PerturbedRow)
    labels = {row.image_id: row.labels for row in samples}
    export(find_perturbed(study, "mine"), labels, data.root / "corrupted" / ("test" * (form == "medimeta_c")), form)
    data.prepare(card, corrupted={name: spec_of(card, name).corrupted.original for name in TYPES}, levels=LEVELS)  # type: ignore[union-attr]
    for name in TYPES:
        rows = read(data, spec_of(card, name))
        assert [(row.image_id, row.level) for row in rows] == [(row.image_id, row.level) for row in made[name]]
        assert [row.png for row in rows] == [row.png for row in made[name]]
        assert [row.ssim for row in rows] == [row.ssim for row in made[name]]
        assert {(row.status, row.strength == row.level, row.seed, row.band_low, row.warp) for row in rows} == {
            ("table", True, 0, None, None)
        }


def test_only_the_images_of_the_record_and_the_levels_of_the_study_are_taken(data: Labelled) -> None:
    images = write_medmnist_c(data)
    card = with_corrupted(data.medmnist(), "medmnist_c")
    _, clean, _ = data.prepare(card, per_class=1)
    kept = [row for row in clean if row.split == "test"]
    rows = read(data, spec_of(card, levels=[4, 2]))
    assert [(row.image_id, row.level) for row in rows] == [(row.image_id, level) for row in kept for level in (2, 4)]
    for row in rows:
        stored = images[(row.level - 1) * COUNT + int(row.image_id[-6:])]
        np.testing.assert_array_equal(decode_png(row.png, where="test"), stored)
    first = decode_png(kept[0].png, where="test")
    expected = structural_similarity(first, decode_png(rows[0].png, where="test"), data_range=255)
    assert rows[0].ssim == pytest.approx(expected, abs=1e-6)


def test_images_are_brought_to_the_size_of_the_clean_ones(data: Labelled) -> None:
    write_medmnist_c(data)
    card = with_corrupted(data.medmnist(), "medmnist_c").model_copy(update={"size": Resize(mode="stretch", side=32)})
    data.prepare(card, corrupted=TYPES, levels=LEVELS)
    assert {decode_png(row.png, where="test").shape for row in read(data, spec_of(card))} == {(32, 32)}
    with pytest.raises(MedstressError, match=r"at level 1 has the shape \(20, 20\), and the clean image \(32, 32\)"):
        read(data, spec_of(card.model_copy(update={"size": Resize()})))


def test_all_missing_files_are_listed_before_anything_runs(data: Labelled) -> None:
    card = with_corrupted(data.medmnist(), "medimeta_c")
    folder = data.root / "corrupted" / "test"
    folder.mkdir(parents=True)
    arrays = {"images": picture(1, (COUNT, 20, 20)), "labels": np.arange(COUNT) % 3}
    for level in (1, 2, 3):
        np.savez(folder / f"jpeg_severity_{level}.npz", **arrays)
    with pytest.raises(MedstressError) as caught:
        data.prepare(card, corrupted={"jpeg": "jpeg", "fog": "fog"}, levels=LEVELS)
    text = str(caught.value)
    assert "7 files of corrupted images are missing. Copy them there; or set `corrupted.missing: report`" in text
    lines = text.splitlines()[1:]
    assert lines == [
        *(f"    jpeg: {folder}/jpeg_severity_{level}.npz" for level in (4, 5)),
        *(f"    fog: {folder}/fog_severity_{level}.npz" for level in LEVELS),
    ]
    assert not data.images.exists()
    data.prepare(card)
    with pytest.raises(MedstressError, match=r"of jpeg are missing:\n.*jpeg_severity_4\.npz\n.*jpeg_severity_5\.npz"):
        read(data, spec_of(card))


def test_a_hole_may_be_reported_instead(data: Labelled, caplog: pytest.LogCaptureFixture) -> None:
    card = with_corrupted(data.medmnist(), "medmnist_c", missing="report")
    write_medmnist_c(data)
    (data.root / "corrupted" / "jpeg_compression.npz").unlink()
    with caplog.at_level(logging.INFO, logger="medstress"):
        summary, _, _ = data.prepare(card, corrupted=TYPES, levels=LEVELS)
        assert read(data, spec_of(card)) == []
    assert summary.notes[0].startswith("types left out")
    assert summary.notes[1:] == [f"    jpeg: {data.root}/corrupted/jpeg_compression.npz"]
    assert f"jpeg: left out, since there is no {data.root}/corrupted/jpeg_compression.npz" in caplog.messages
    assert len(read(data, spec_of(card, "speckle"))) == 5 * COUNT


LABELS = np.tile(np.arange(COUNT) % 3, 5)[:, None]
WRONG: dict[str, tuple[dict[str, npt.NDArray[Any]], str]] = {
    "keys": ({"images": LABELS}, "has no array test_images, test_labels; it holds images"),
    "severities": (
        {"test_images": picture(1, (4 * COUNT, 20, 20)), "test_labels": LABELS[: 4 * COUNT]},
        "test_images holds 32 images; expected 5 levels of",
    ),
    "type": (
        {"test_images": np.zeros((5 * COUNT, 20, 20), np.float32), "test_labels": LABELS},
        "holds float32 numbers",
    ),
    "lengths": (
        {"test_images": picture(1, (5 * COUNT, 20, 20)), "test_labels": LABELS[:-1]},
        "test_images holds 40 images, but test_labels holds 39 labels",
    ),
    "range": (
        {"test_images": picture(1, (5 * COUNT, 20, 20)), "test_labels": LABELS + 1},
        "labels are outside 0..2: 3",
    ),
    "order": (
        {"test_images": picture(1, (5 * COUNT, 20, 20)), "test_labels": np.repeat(LABELS[:COUNT], 5, axis=0)},
        "the labels at level 1 are not those of the clean images: ",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_files_that_do_not_belong_to_the_clean_images_are_refused(data: Labelled, what: str) -> None:
    arrays, reason = WRONG[what]
    write_medmnist_c(data)
    np.savez(data.root / "corrupted" / "jpeg_compression.npz", **arrays)
    card = with_corrupted(data.medmnist(), "medmnist_c")
    with pytest.raises(MedstressError) as caught:
        data.prepare(card, corrupted=TYPES, levels=LEVELS)
    assert reason in str(caught.value)
    assert "speckle_noise.npz" not in str(caught.value)
    data.prepare(card, per_class=1)
    with pytest.raises(MedstressError) as caught:
        read(data, spec_of(card))
    assert reason in str(caught.value)


def test_another_size_or_number_of_images_is_refused_at_once(data: Labelled) -> None:
    card = with_corrupted(data.medmnist(), "medmnist_c")
    write_medmnist_c(data, test_images=picture(1, (5 * COUNT, 28, 28)))
    fewer = {"test_images": picture(1, (5 * 6, 20, 20)), "test_labels": np.tile(np.arange(6) % 3, 5)[:, None]}
    np.savez(data.root / "corrupted" / "speckle_noise.npz", **fewer)
    with pytest.raises(MedstressError) as caught:
        data.prepare(card, corrupted=TYPES, levels=LEVELS)
    assert "jpeg_compression.npz: images have the shape (28, 28), and the clean ones (20, 20)" in str(caught.value)
    assert "speckle_noise.npz: test_images holds 30 images; expected 5 levels of 8" in str(caught.value)


def test_medmnist_c_has_a_test_split_alone(data: Labelled) -> None:
    card = with_corrupted(data.medmnist(), "medmnist_c")
    with pytest.raises(MedstressError, match="of the test split alone, and the study's `split` is val"):
        data.prepare(card, corrupted=TYPES, levels=LEVELS, split="val")


def test_several_findings_an_image_are_compared_as_well(data: Labelled) -> None:
    matrix = np.eye(3, dtype=np.uint8)[np.arange(COUNT) % 3]
    matrix[0] = (1, 0, 1)
    labels = {f"{split}_labels": np.ones((SIZES[split], 3), np.uint8) for split in ("train", "val")}
    card = with_corrupted(data.medmnist(test_labels=matrix, **labels), "medmnist_c")
    card = card.model_copy(update={"classes": card.classes.model_copy(update={"kind": "multi_label"})})
    write_medmnist_c(data, test_labels=np.tile(matrix, (5, 1)))
    data.prepare(card, corrupted=TYPES, levels=LEVELS)
    assert read_rows(data.samples, SampleRow)[0].labels == (0, 2)
    assert len(read(data, spec_of(card))) == 5 * COUNT
    other = np.tile(matrix, (5, 1))
    other[2 * COUNT] = (1, 0, 0)
    write_medmnist_c(data, test_labels=other)
    with pytest.raises(MedstressError, match=r"level 3 .* 1 of 8 differ, first image 0 \(0 instead of 0, 2\)"):
        read(data, spec_of(card))
