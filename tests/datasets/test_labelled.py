"""Every source of classification data becomes the same two records, or one message that says all that is wrong."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medstress.datasets.candidate import Candidate
from medstress.datasets.limit import some_of_each_class
from medstress.errors import MedstressError
from tests.datasets.conftest import picture, save, save_volume
from tests.datasets.labelled_files import NAMES, SIZES, Labelled, medmnist_arrays, pixels


@pytest.fixture
def data(tmp_path: Path) -> Labelled:
    return Labelled(tmp_path)


def refusal(data: Labelled, card: Any) -> str:
    data.images.unlink(missing_ok=True)
    data.samples.unlink(missing_ok=True)
    with pytest.raises(MedstressError) as caught:
        data.prepare(card)
    assert not data.images.exists()
    assert not data.samples.exists()
    return str(caught.value)


@pytest.mark.parametrize("shape", [(20, 20), (20, 20, 3), (20, 20, 1)])
def test_medmnist_arrays_become_records(data: Labelled, shape: tuple[int, ...], caplog: Any) -> None:
    arrays = medmnist_arrays(shape)
    with caplog.at_level(logging.INFO, logger="medstress"):
        _, images, samples = data.prepare(data.medmnist(**arrays))
    assert [row.image_id for row in images] == [
        f"{split}/{n:06d}" for split in sorted(SIZES) for n in range(SIZES[split])
    ]
    assert [row.sample_id for row in samples] == [row.image_id for row in images] == [row.group_id for row in images]
    assert {(row.task, row.objects) for row in samples} == {("classification", ())}
    for row, sample in zip(images, samples, strict=True):
        place = int(row.image_id[-6:])
        assert sample.labels == (place % 3,)
        assert (row.split, row.modality) == (row.image_id.partition("/")[0], "microscopy")
        stored = arrays[f"{row.split}_images"][place]
        np.testing.assert_array_equal(pixels(row), stored[..., 0] if shape[2:] == (1,) else stored)
    assert "mine test, found: red 3, green 3, blue 2" in caplog.messages


def test_images_with_several_findings_or_none(data: Labelled) -> None:
    matrix = np.zeros((8, 3), np.uint8)
    matrix[0, 2] = matrix[1, :] = matrix[2, 0] = 1
    labels = {f"{split}_labels": np.zeros((SIZES[split], 3), np.uint8) for split in ("train", "val")}
    # Column by column, as pandas hands arrays on.
    card = data.medmnist(**labels, test_labels=np.asfortranarray(matrix))
    card = card.model_copy(update={"classes": card.classes.model_copy(update={"kind": "multi_label"})})
    _, _, samples = data.prepare(card)
    assert [row.labels for row in samples[:4]] == [(2,), (0, 1, 2), (0,), ()]
    data.medmnist()
    assert "test_labels: has the shape (8, 1); expected [N, 3] with 0 and 1" in refusal(data, card)


def test_all_that_is_wrong_with_the_arrays_comes_at_once(data: Labelled) -> None:
    card = data.medmnist(
        train_images=np.zeros((12, 20, 20), np.float32),
        val_images=np.zeros((3, 20, 20), np.uint8),
        test_images=np.zeros((8, 20, 20, 20), np.uint8),
        test_labels=np.array([[0], [1], [2], [3], [9], [0], [1], [2]]),
        train_labels=np.full((12, 1), 0.5),
    )
    text = refusal(data, card)
    for part in (
        "train_images: holds float32 numbers; expected uint8",
        "train_labels: holds float64 numbers; expected whole ones",
        "val_images holds 3 images, but val_labels holds 4 labels",
        "test_images: has the shape (8, 20, 20, 20); expected [N, H, W] or [N, H, W, 3]",
        "test_labels: 2 of 8 labels are outside 0..2: 3, 9; the first is that of image 3",
    ):
        assert part in text
    wrong = data.medmnist(test_images=None, test_labels=None, images=np.zeros((3, 20, 20), np.uint8))
    assert "has no array test_images, test_labels; it holds images, train_images" in refusal(data, wrong)
    (data.root / "mine_28.npz").write_bytes(b"PK\3\4 half a file")
    assert "mine_28.npz: not a readable .npz file" in refusal(data, wrong)
    absent = data.card({"format": "medmnist", "file": "other.npz"})
    assert "other.npz: no such file. Check `source.file`" in refusal(data, absent)


def test_the_layout_of_robustmedclip_has_the_splits_that_are_there(data: Labelled) -> None:
    card = data.card({"format": "medimeta_c", "folder": "oct"})
    (data.root / "oct").mkdir()
    assert "none of train/clean.npz, val/clean.npz, test/clean.npz is there" in refusal(data, card)
    arrays = medmnist_arrays()
    for split in ("val", "test"):
        (data.root / "oct" / split).mkdir()
        labels = arrays[f"{split}_labels"][:, 0].astype(np.int64)
        np.savez(data.root / "oct" / split / "clean.npz", images=arrays[f"{split}_images"], labels=labels)
    _, images, samples = data.prepare(card)
    assert [row.split for row in images] == ["test"] * 8 + ["val"] * 4
    np.testing.assert_array_equal(pixels(images[5]), arrays["test_images"][5])
    assert samples[5].labels == (2,)
    np.savez(data.root / "oct" / "val" / "clean.npz", imgs=arrays["val_images"], labels=labels)
    assert "val/clean.npz: has no array images; it holds imgs, labels" in refusal(data, card)


def test_a_sheet_takes_names_and_numbers_and_says_each_modality(data: Labelled) -> None:
    for number in range(6):
        save(data.root / "img" / f"{number}.png", picture(number, (20, 24)))
    rows = [
        f"img/{n}.png,{label},s{n // 2},{split},{kind},x{n}"
        for n, label, split, kind in (
            (0, "red", "test", "ct"),
            (1, "1", "test", "mri"),
            (2, "blue", "test", "ct"),
            (3, "0", "train", "ct"),
        )
    ]
    data.write_sheet("image,label,group,split,modality,site", *rows)
    source = {"format": "sheet", "sheet": "sheet.csv", "attributes": ["site"]}
    card = data.card(source, modality="mixed", split={"unit": "source", "by": "column"})
    text = refusal(data, card)
    assert "the source 's1' is in several splits: test (" in text
    data.write_sheet("image,label,group,split,modality,site", *rows[:3])
    _, images, samples = data.prepare(card)
    assert [(row.image_id, row.group_id, row.modality) for row in images] == [
        ("img/0", "s0", "ct"),
        ("img/1", "s0", "mri"),
        ("img/2", "s1", "ct"),
    ]
    assert [row.labels for row in samples] == [(0,), (1,), (2,)]
    assert samples[1].attributes == (("site", "x1"),)


def test_a_parquet_sheet_with_several_labels(data: Labelled) -> None:
    for number in range(3):
        save(data.root / f"{number}.png", picture(number, (20, 24)))
    table = pa.table({"image": [f"{n}.png" for n in range(3)], "label": ["blue;red", "1; 2", None]})
    pq.write_table(table, data.root / "sheet.parquet")
    card = data.card(
        {"format": "sheet", "sheet": "sheet.parquet"},
        classes={"kind": "multi_label"},
        split={"unit": "image", "by": "fraction", "val": 0, "test": 1},
    )
    assert [row.labels for row in data.prepare(card)[2]] == [(0, 2), (1, 2), ()]


def test_every_bad_row_of_a_sheet_is_listed(data: Labelled) -> None:
    for name in ("a", "b", "c"):
        save(data.root / f"{name}.png", picture(1, (20, 24)))
    save(data.root / "tiny.png", picture(1, (5, 5)))
    save_volume(data.root / "v.nii.gz", np.zeros((20, 24, 4), np.uint8))
    lines = [
        "a.png,red,ct",
        "b.png,gren,ct",
        "c.png,3,ct",
        "a.png,,ct",
        "b.png,red,ctt",
        "no.png,red,ct",
        "v.nii.gz,red,ct",
    ]
    data.write_sheet("image,label,modality", *lines)
    split = {"unit": "image", "by": "fraction", "val": 0, "test": 1}
    source = {"format": "sheet", "sheet": "sheet.csv"}
    text = refusal(data, data.card(source, modality="mixed", split=split))
    for part in (
        "mine: 6 bad samples, 0 tolerated",
        "mine: test: no image of 'green', 'blue'",
        "sheet.csv, line 3: label is 'gren'; expected one of red, green, blue, or a number from 0 to 2. Did you",
        "sheet.csv, line 4: label is '3'",
        "sheet.csv, line 5: the cell label is empty",
        "sheet.csv, line 6: modality is 'ctt'; expected one of dermoscopy, mri",
        "sheet.csv, line 7: no such file",
        "v.nii.gz: is a volume of 4 slices. Save one image a file.",
    ):
        assert part in text
    data.write_sheet("image,label", "a.png,red", "b.png,green", "c.png,blue", "tiny.png,red")
    assert "no column modality. The sheet has: image, label" in refusal(
        data, data.card(source, modality="mixed", split=split)
    )
    text = refusal(data, data.card(source, split={**split, "unit": "patient"}))
    assert "Give the sheet a column `group`" in text
    assert "NIfTI" not in text
    assert "tiny.png: is 5 x 5 pixels" in refusal(data, data.card(source, split=split)).replace(" (line 5)", "")
    summary, images, _ = data.prepare(data.card(source, split=split, tolerate_rejects=1))
    assert (len(images), len(summary.rejects)) == (3, 1)


def test_class_folders_with_splits_and_without(data: Labelled) -> None:
    made = data.class_folders(splits=True)
    _, images, samples = data.prepare(data.card({"format": "class_folders", "folder": "data"}))
    assert [row.image_id for row in images] == sorted(made)
    for row, sample in zip(images, samples, strict=True):
        np.testing.assert_array_equal(pixels(row), made[row.image_id])
        split, name, _ = row.image_id.split("/")
        assert (row.split, sample.labels) == (split, (NAMES.index(name),))


def test_class_folders_with_patients(data: Labelled) -> None:
    data.class_folders(splits=False)
    split = {"unit": "patient", "by": "fraction", "val": 0, "test": 1}
    source = {"format": "class_folders", "folder": "data"}
    assert "Give `source.group_pattern` in the card" in refusal(data, data.card(source, split=split))
    card = data.card({**source, "group_pattern": "/(p[0-9]+)_"}, split=split)
    assert {row.group_id for row in data.prepare(card)[1]} == {"p0", "p1", "p2"}


def test_folders_that_are_missing_or_no_class_are_listed(data: Labelled) -> None:
    data.class_folders(splits=True)
    (data.root / "data" / "test" / "green").rename(data.root / "data" / "test" / "greens")
    (data.root / "data" / "validation").mkdir()
    card = data.card({"format": "class_folders", "folder": "data"})
    text = refusal(data, card)
    assert "data/validation: is not a split" in text
    assert "data/test: no folder green." in text
    assert "data/test/greens: is not a class (`classes.names` in the card names all: red, green, blue)" in text
    assert "Did you mean green?" in text


def test_medimeta_keeps_patients_together_and_reads_its_splits(data: Labelled) -> None:
    _, images, samples = data.prepare(data.medimeta())
    assert [row.image_id for row in images] == [
        *(f"test/images/{n:06d}" for n in range(6, 12)),
        *(f"train/images/{n:06d}" for n in range(6)),
    ]
    assert [row.group_id for row in images[:3]] == ["p3", "p3", "p4"]
    assert [row.labels for row in samples[:4]] == [(0,), (1,), (2,), (0,)]
    np.testing.assert_array_equal(pixels(images[0]), picture(6, (20, 24)))


@pytest.mark.parametrize("patients", [True, False])
def test_medimeta_with_an_image_in_two_splits(data: Labelled, patients: bool) -> None:
    card = data.medimeta(patients=patients)
    with (data.root / "mine" / "splits" / "test.txt").open("a") as handle:
        handle.write("images/000002.tiff\n")
    assert f"{'p1' if patients else 'images/000002'}' is in several splits: " in refusal(data, card)


def test_medimeta_without_a_row_for_an_image(data: Labelled) -> None:
    card = data.medimeta()
    sheet = data.root / "mine" / "annotations.csv"
    sheet.write_text(sheet.read_text().replace("images/000007", "images/7"))
    assert "000007.tiff: annotations.csv has no row for images/000007.tiff" in refusal(data, card)


def test_medimeta_with_other_labels_than_the_card(data: Labelled) -> None:
    text = refusal(data, data.medimeta(labels=["green", "red", "blue"]))
    assert "the task 'colour' has another order than `classes.names` in the card" in text
    assert "info.yaml: green, red, blue\n" in text
    assert "card:      red, green, blue" in text


def test_medimeta_without_what_the_card_asks_for(data: Labelled) -> None:
    card = data.medimeta(patients=False)
    patients = card.model_copy(update={"split": card.split.model_copy(update={"unit": "patient"})})
    assert "annotations.csv has no column `patient_id`" in refusal(data, patients)
    assert len(data.prepare(card)[1]) == 12
    folder = data.root / "mine"
    (folder / "images").rename(folder / "old")
    (folder / "images.hdf5").write_bytes(b"")
    text = refusal(data, card.model_copy(update={"source": card.source.model_copy(update={"labels": "shape"})}))
    assert "images: no such folder. images.hdf5 is not read: get the images folder" in text
    assert "has no task 'shape'; it has colour" in text
    assert "task_labels/ holds colour" in text


def test_a_class_without_an_image_is_named_unless_the_card_knows(data: Labelled) -> None:
    card = data.medmnist(test_labels=np.zeros((8, 1), np.uint8))
    assert "mine: test: no image of 'green', 'blue', so no score can be given." in refusal(data, card)
    known = card.classes.model_copy(update={"counts": {"test": [8, 0, 0]}})
    assert len(data.prepare(card.model_copy(update={"classes": known}))[1]) == 24


def test_other_counts_than_the_cards_show_that_the_order_is_wrong(data: Labelled) -> None:
    card = data.medmnist(test_labels=np.array([[0], [1], [1], [1], [1], [2], [2], [2]]))
    for said, why in (
        ([4, 3, 1], "The counts are the same in another order: the order of `names` is wrong."),
        ([1, 5, 2], "The order of `names` may be wrong, or the data are others."),
    ):
        wrong = card.classes.model_copy(update={"counts": {"test": said, "val": [2, 1, 1]}})
        text = refusal(data, card.model_copy(update={"classes": wrong, "expected": {"all": 25}}))
        assert f"test: the classes have other counts than `classes.counts` in the card. {why}" in text
        assert f"    0 red: card {said[0]}, found 1\n    1 green: card {said[1]}, found 4\n" in text
        assert "val: the classes" not in text
        assert "all: 24 images found, 25 expected. Some are missing" in text


def test_the_limit_takes_as_many_of_each_class_and_split(data: Labelled) -> None:
    card = data.medmnist()
    _, images, samples = data.prepare(card, per_class=2)
    found = {(row.split, sample.labels[0]) for row, sample in zip(images, samples, strict=True)}
    assert len(found) == 9
    counts = [sum(row.image_id.startswith(split) for row in samples) for split in ("train", "val", "test")]
    assert counts == [6, 4, 6]
    more = {row.image_id for row in data.prepare(card, per_class=3)[1]}
    assert {row.image_id for row in images} < more
    arrays = medmnist_arrays()
    for row in images:
        np.testing.assert_array_equal(pixels(row), arrays[f"{row.split}_images"][int(row.image_id[-6:])])


def test_the_limit_takes_groups_in_turn_and_images_without_a_label() -> None:
    def one(index: int, group: str, *labels: int) -> Candidate:
        return Candidate(f"i{index}", f"i{index}.png", Path(f"i{index}"), (), group, labels=labels)

    rows = [one(index, f"p{index // 4}", 0) for index in range(12)] + [one(20, "q", 0, 1), one(21, "q"), one(22, "r")]
    kept = some_of_each_class(rows, 1, "mine")
    assert sum(not item.labels for item in kept) == 1
    assert {label for item in kept for label in item.labels} == {0, 1}
    kept = some_of_each_class(rows[:12], 3, "mine")
    assert {item.group for item in kept} == {"p0", "p1", "p2"}
    assert kept == [item for item in rows if item in kept]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"modality": "mixed"}, "modality: mixed needs a sheet"),
        ({"classes": {"names": NAMES, "kind": "multi_label"}}, "class folders hold one class an image"),
        ({"corrupted": {"format": "medmnist_c", "folder": "c"}}, "`corrupted` needs clean images in arrays"),
    ],
)
def test_what_a_source_cannot_say_is_refused(data: Labelled, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        data.card({"format": "class_folders", "folder": "data"}, **changes)
