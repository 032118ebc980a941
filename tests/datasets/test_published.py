"""The cards of published data read the layouts that are published, here in miniature."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from medstress.cards.segmentation import SegmentationCard
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.datasets.summary import Summary
from medstress.errors import MedstressError
from medstress.fetch.plan import dataset_folder
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec
from tests.conftest import ROOT
from tests.datasets.conftest import disc, picture, save, save_volume

CARDS = sorted(
    path.stem for path in (ROOT / "config" / "datasets").glob("*.yaml") if "\ntask: " not in f"\n{path.read_text()}"
)
COLOUR = (40, 50, 3)


def card_of(name: str, **changes: Any) -> SegmentationCard:
    data = yaml.safe_load((ROOT / "config" / "datasets" / f"{name}.yaml").read_text())
    return SegmentationCard.model_validate(data | changes)


def prepare(card: SegmentationCard, root: Path) -> tuple[Summary, list[ImageRow], list[SampleRow]]:
    paths = root / "out" / "images.parquet", root / "out" / "samples.parquet"
    summary = prepare_dataset(PrepareSpec(card=card, limit=Limit()), root, *paths)
    return summary, read_rows(paths[0], ImageRow), read_rows(paths[1], SampleRow)


def resource(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "resources" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def isic2016(folder: Path) -> None:
    for part, numbers in (("Training", range(12)), ("Test", range(20, 25))):
        for number in numbers:
            data, truth = (folder / f"ISBI2016_ISIC_Part1_{part}_{kind}" for kind in ("Data", "GroundTruth"))
            save(data / f"ISIC_{number:07d}.jpg", picture(number, COLOUR))
            save(truth / f"ISIC_{number:07d}_Segmentation.png", disc())


def jpeg_masks(folder: Path) -> None:
    for number in range(6):
        save(folder / "images" / f"cju{number}.jpg", picture(number, COLOUR))
        save(folder / "masks" / f"cju{number}.jpg", np.repeat(disc()[..., None], 3, axis=2).astype(np.uint8) * 255)


def busi(folder: Path) -> None:
    for number in range(1, 5):
        name = f"malignant ({number})"
        save(folder / "Dataset_BUSI_with_GT" / "malignant" / f"{name}.png", picture(number, COLOUR))
        save(folder / "Dataset_BUSI_with_GT" / "malignant" / f"{name}_mask.png", disc(centre=(12, 12), radius=5))
    save(folder / "Dataset_BUSI_with_GT" / "malignant" / "malignant (3)_mask_1.png", disc(centre=(30, 40), radius=4))
    save(folder / "Dataset_BUSI_with_GT" / "normal" / "normal (1).png", picture(9, COLOUR))


def flare22(folder: Path) -> None:
    for number in range(1, 5):
        voxels = np.zeros((40, 50, 3), np.int16)
        voxels[10:20, 10:20, 1], voxels[30:36, 30:36, 1] = 1, 13
        case = f"FLARE22_Tr_{number:04d}"
        scan = np.random.default_rng(number).integers(-1000, 1000, voxels.shape, np.int16)
        save_volume(folder / "FLARE22Train" / "images" / f"{case}_0000.nii.gz", scan)
        save_volume(folder / "FLARE22Train" / "labels" / f"{case}.nii.gz", voxels)


def nuclei_npy(folder: Path) -> None:
    for fold, count in ((1, 4), (2, 2), (3, 3)):
        masks = np.zeros((count, 40, 50, 6))
        masks[:, 5:15, 5:15, 0], masks[:, 20:30, 20:30, 0], masks[:, 20:30, 35:45, 4] = 7, 9, 3
        masks[0] = 0  # a tile without nuclei
        masks[..., 5] = masks[..., :5].sum(axis=-1) == 0
        images = np.stack([picture(fold * 10 + place, COLOUR) for place in range(count)]).astype(np.float64)
        save(folder / f"Fold {fold}" / "images" / f"fold{fold}" / "images.npy", images)
        save(folder / f"Fold {fold}" / "masks" / f"fold{fold}" / "masks.npy", masks)


def brain_tumour(folder: Path) -> None:
    tool = resource("brain_tumour_sheet")

    def slices() -> Iterator[Any]:
        for number in range(1, 13):
            image = np.random.default_rng(number).integers(0, 3000, (40, 50)).astype(np.int16)
            yield tool.Slice(number, f"{100 + number // 3}", "glioma", image, disc())

    assert tool.write(slices(), folder) == 12


def glaucoma(folder: Path) -> None:
    root = folder.parent / "smdg"
    names = {
        "PAPILA-1": "RET002OD.jpg",
        "PAPILA-2": "RET002OS.jpg",
        "PAPILA-3": "RET004OD.jpg",
        "REFUGE1-TRAIN-1": "g0001.jpg",
        "REFUGE1-TRAIN-2": "g0002.jpg",
    }
    lines = ["names,types,fundus,fundus_od_seg,fundus_oc_seg,original_name,patient_id"]
    for number, (name, original) in enumerate(names.items()):
        save(root / "full-fundus" / "full-fundus" / f"{name}.png", picture(number, COLOUR))
        save(root / "optic-disc" / "optic-disc" / f"{name}.png", disc())
        save(root / "optic-cup" / "optic-cup" / f"{name}.png", disc(radius=4))
        cup = "Not Visible" if number == 4 else f"/optic-cup/{name}.png"
        lines.append(f"{name},0,/full-fundus/{name}.png,/optic-disc/{name}.png,{cup},{original},")
    lines.append("BEH-1,0,/full-fundus/BEH-1.png,,,1.png,")
    (root / "metadata - standardized.csv").write_text("\n".join(lines) + "\n")
    subprocess.run([sys.executable, ROOT / "resources" / "glaucoma_sheet.py", root], check=True, capture_output=True)


# How each layout is made, and images and objects of the miniature.
LAYOUTS: dict[str, tuple[Callable[[Path], None], int, int]] = {
    "isic2016": (isic2016, 17, 17),
    "kvasir": (lambda folder: jpeg_masks(folder / "Kvasir-SEG"), 6, 6),
    "hyper_kvasir": (lambda folder: jpeg_masks(folder / "segmented-images"), 6, 6),
    "busi": (busi, 4, 5),
    "flare22": (flare22, 4, 8),
    "nuclei_npy": (nuclei_npy, 6, 18),
    "brain_tumour": (brain_tumour, 12, 12),
    "glaucoma_disc": (glaucoma, 5, 5),
    "glaucoma_cup": (glaucoma, 4, 4),
}
FOUND = {"isic2016": {"all": 17, "test": 5}, "nuclei_npy": {"train": 4, "val": 2, "test": 3}}


def made(name: str, root: Path) -> SegmentationCard:
    """The very card on a miniature of its data; only the counts are other."""
    make, images, _ = LAYOUTS[name]
    make(root / "downloads" / "datasets" / name)
    return card_of(name, expected=FOUND.get(name, {"all": images}))


def test_every_card_of_published_data_has_a_miniature() -> None:
    assert {name for name in CARDS if card_of(name).download} == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_card_reads_the_published_layout(name: str, tmp_path: Path) -> None:
    card = made(name, tmp_path)
    summary, images, samples = prepare(card, tmp_path)
    assert summary.rejects == []
    assert (len(images), sum(len(row.objects) for row in samples)) == LAYOUTS[name][1:]
    if card.size.side:
        assert {(row.height, row.width) for row in images} == {(256, 256)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_count_says_what_was_found(name: str, tmp_path: Path) -> None:
    made(name, tmp_path)
    found = sum(count for key, count in FOUND.get(name, {"all": LAYOUTS[name][1]}).items() if key != "test")
    found += FOUND.get(name, {}).get("test", 0) * (name == "nuclei_npy")
    published = card_of(name).expected
    with pytest.raises(MedstressError) as caught:
        prepare(card_of(name), tmp_path)
    for key, count in published.items():
        assert f"{name}: {key}: " in str(caught.value)
        assert f" images found, {count} expected. Some are missing" in str(caught.value)
    if "all" in published:
        assert f"all: {found} images found" in str(caught.value)
    with pytest.raises(MedstressError, match=f"all: {found} images found, 1 expected. There are others among them"):
        prepare(card_of(name, expected={"all": 1}), tmp_path)
    assert not list((tmp_path / "out").glob("*.parquet"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_card_says_where_its_data_come_from(name: str) -> None:
    card = card_of(name)
    assert dataset_folder(card) == f"downloads/datasets/{name}"
    assert card.expected
    assert "http" in card.reference + "".join(item.by_hand for item in card.download)


def test_isic_keeps_its_test_set_and_deals_val_out_of_train(tmp_path: Path) -> None:
    card = made("isic2016", tmp_path)
    _, images, _ = prepare(card, tmp_path)
    assert {row.image_id for row in images if row.split == "test"} == {f"test/ISIC_{n:07d}" for n in range(20, 25)}
    dealt = card.model_copy(update={"split": card.split.model_copy(update={"val_from_train": 0.4}), "expected": {}})
    _, again, _ = prepare(dealt, tmp_path)
    splits = {row.image_id: row.split for row in again}
    assert {split for image_id, split in splits.items() if image_id.startswith("test/")} == {"test"}
    assert {split for image_id, split in splits.items() if image_id.startswith("train/")} == {"train", "val"}


def test_slices_of_a_patient_stay_together(tmp_path: Path) -> None:
    _, images, samples = prepare(made("brain_tumour", tmp_path), tmp_path)
    splits: dict[str, set[str]] = {}
    for row in images:
        splits.setdefault(row.group_id, set()).add(row.split)
    assert sorted(splits) == ["100", "101", "102", "103", "104"]
    assert all(len(found) == 1 for found in splits.values())
    assert samples[0].attributes == (("tumour", "glioma"),)


def test_both_eyes_of_a_person_stay_together(tmp_path: Path) -> None:
    _, images, _ = prepare(made("glaucoma_disc", tmp_path), tmp_path)
    people = [row.group_id for row in images]
    assert people == ["PAPILA/RET002", "PAPILA/RET002", "PAPILA/RET004", "REFUGE1-TRAIN-1", "REFUGE1-TRAIN-2"]


def test_several_masks_of_an_image_are_several_objects(tmp_path: Path) -> None:
    _, _, samples = prepare(made("busi", tmp_path), tmp_path)
    objects = {row.image_id: [(item.object_id, item.label) for item in row.objects] for row in samples}
    assert [name for name, _ in objects["malignant (3)"]] == ["malignant (3)_mask", "malignant (3)_mask_1"]
    assert {label for items in objects.values() for _, label in items} == {"malignant tumour"}


def test_a_jpeg_mask_is_not_inflated_by_its_coding(tmp_path: Path) -> None:
    card = made("kvasir", tmp_path).model_copy(update={"size": card_of("busi").size.model_copy(update={"side": 50})})
    summary, _, samples = prepare(card, tmp_path)
    assert len(summary.thresholded) == 6
    exact = disc()
    for row in samples:
        x0, y0, x1, y1 = row.objects[0].box
        assert (x0, x1) == (22, 39)  # columns are as stored; with a threshold at 0 the box grows by coding noise
        assert (y1 - y0) == pytest.approx(50 / 40 * exact.any(axis=1).sum(), abs=1.5)


def test_a_stack_gives_each_nucleus_its_channel(tmp_path: Path) -> None:
    summary, images, samples = prepare(made("nuclei_npy", tmp_path), tmp_path)
    assert [row.image_id for row in images][:2] == ["test/00001", "test/00002"]
    assert {split: count.images for split, count in summary.splits.items()} == {"train": 3, "val": 1, "test": 2}
    assert summary.empty_images == 3
    found = [(item.object_id, item.label, item.box) for item in samples[0].objects]
    assert found == [
        ("0.7", "neoplastic", (5, 5, 15, 15)),
        ("0.9", "neoplastic", (20, 20, 30, 30)),
        ("4.3", "epithelial", (35, 20, 45, 30)),
    ]


def test_volumes_are_patients_and_count_once(tmp_path: Path) -> None:
    _, images, samples = prepare(made("flare22", tmp_path), tmp_path)
    assert [row.image_id for row in images] == [f"FLARE22_Tr_{number:04d}#z001" for number in range(1, 5)]
    assert sorted(item.label for item in samples[0].objects) == ["left kidney", "liver"]
    assert all(row.raw_png and row.unit == "HU" for row in images)


def test_a_card_may_not_take_two_places_for_one(tmp_path: Path) -> None:
    for source in (
        {"format": "folder", "images": {"train": "a", "test": "b"}, "masks": "c"},
        {"format": "folder", "images": {"train": "a", "test": "b"}, "masks": {"train": "a"}},
        {"format": "npy_stack", "images": "a.npy", "masks": {"train": "a.npy"}},
    ):
        with pytest.raises(ValueError, match="must both be one place, or name the same splits"):
            card_of("isic2016", source=source)
    with pytest.raises(ValueError, match=r"one place for each split needs split\.by: folder"):
        card_of("isic2016", split={"unit": "image", "by": "fraction"})


def test_docs_tell_how_to_get_every_data_set() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text()
    for name in CARDS:
        card = card_of(name)
        assert f"config/datasets/{name}.yaml" in text, name
        for count in card.expected.values():
            assert f"{count:,}" in text or str(count) in text, (name, count)
        for item in card.download:
            for place in (item.url, item.hub):
                assert place is None or place in text, (name, place)
