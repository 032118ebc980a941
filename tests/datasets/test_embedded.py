"""The embedded data: unchanged, without leaks, and read by the same code as a user's own."""

import csv
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from medstress.cards.images import Window
from medstress.cards.segmentation import SegmentationCard
from medstress.config import Limit
from medstress.datasets.picture import Picture, to_display
from medstress.datasets.prepare import prepare_dataset
from medstress.pixels import decode_mask, decode_png
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec

ROOT = Path(__file__).parent.parent.parent
EMBEDDED = ROOT / "resources" / "embedded"
COUNTS = {
    "brain_mri_tumour": {"train": (2, 2, 1), "val": (1, 1, 1), "test": (7, 7, 1)},
    "lung_ct_tumour": {"train": (2, 2, 1), "val": (1, 1, 1), "test": (11, 11, 1)},
    "nuclei": {"train": (8, 64, 8), "val": (3, 20, 3), "test": (5, 36, 5)},
    "brain_anatomy": {"train": (8, 37, 4), "val": (4, 8, 2), "test": (10, 48, 5)},
}
"""Images, objects and groups of each split."""


def card_of(name: str) -> SegmentationCard:
    return SegmentationCard.model_validate(yaml.safe_load((ROOT / "config" / "datasets" / f"{name}.yaml").read_text()))


def sheet_of(name: str) -> list[dict[str, str]]:
    with (EMBEDDED / name / "sheet.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def grey(path: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def test_every_committed_file_is_the_one_that_was_cut() -> None:
    lines = (EMBEDDED / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    present = {path.relative_to(EMBEDDED).as_posix(): path for path in EMBEDDED.rglob("*") if path.is_file()}
    assert set(listed) == set(present) - {"SHA256SUMS"}
    changed = [
        name for name, digest in listed.items() if hashlib.sha256(present[name].read_bytes()).hexdigest() != digest
    ]
    assert changed == []
    assert sum(path.stat().st_size for path in present.values()) < 4_000_000


def test_every_licence_that_the_provenance_names_is_there() -> None:
    with (EMBEDDED / "provenance.csv").open(newline="") as handle:
        table = list(csv.DictReader(handle))
    page = (EMBEDDED / "PROVENANCE.md").read_text()
    for row in table:
        free = row["licence"] in {"CC0-1.0", "no known copyright restrictions"}
        assert free or "opyright" in (EMBEDDED / "licences" / row["licence_file"]).read_text()
        assert row["sha256"] in page


@pytest.mark.parametrize("name", COUNTS)
def test_it_goes_into_records_by_the_card(name: str, tmp_path: Path) -> None:
    images, samples = tmp_path / "images.parquet", tmp_path / "samples.parquet"
    summary = prepare_dataset(PrepareSpec(card=card_of(name), limit=Limit()), ROOT, images, samples)
    counts = {split: (count.images, count.objects, len(count.groups)) for split, count in summary.splits.items()}
    assert counts == COUNTS[name]
    assert (summary.rejects, summary.too_small) == ([], 0)
    rows = {row.image_id: row for row in read_rows(images, ImageRow)}
    for sample in read_rows(samples, SampleRow):
        row = rows[sample.image_id]
        labels = grey(EMBEDDED / name / "masks" / f"{sample.image_id}.png")
        union = np.zeros_like(labels, bool)
        for item in sample.objects:
            union |= decode_mask(item.mask, row.height, row.width)
        np.testing.assert_array_equal(union, labels > 0)
        if name == "lung_ct_tumour":
            assert row.raw_png is not None
            assert row.slope is not None
            assert row.intercept is not None
            hu = decode_png(row.raw_png, where="raw") * row.slope + row.intercept
            window = card_of(name).window
            np.testing.assert_array_equal(decode_png(row.png, where="png"), to_display(Picture(hu), window))
            assert row.unit == "HU"


@pytest.mark.parametrize("name", COUNTS)
def test_no_group_lies_in_two_splits(name: str) -> None:
    sides: dict[str, set[str]] = {}
    for row in sheet_of(name):
        sides.setdefault(row["group"], set()).add(row["split"])
        if "patient" in row:
            # Val is a slab of the training patient, and the card says so; test is another patient altogether.
            sides.setdefault(f"patient {row['patient']}", set()).add(
                "test" if row["split"] == "test" else "train or val"
            )
    assert all(len(splits) == 1 for splits in sides.values()), sides


def test_slabs_of_the_one_head_lie_apart() -> None:
    slices = sorted((int(row["slice"]), row["group"]) for row in sheet_of("brain_anatomy"))
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(slices) if before[1] != after[1]]
    assert min(gaps) == 8


def test_no_nucleus_is_in_two_splits() -> None:
    splits: dict[int, set[str]] = {}
    for row in sheet_of("nuclei"):
        for value in np.unique(grey(EMBEDDED / "nuclei" / row["mask"])):
            if value:
                splits.setdefault(int(value), set()).add(row["split"])
    assert all(len(sides) == 1 for sides in splits.values())


def test_tumours_can_be_seen_and_are_not_at_the_centre() -> None:
    for name in ("brain_mri_tumour", "lung_ct_tumour"):
        offsets, extents = [], []
        for row in sheet_of(name):
            rows, columns = np.nonzero(grey(EMBEDDED / name / row["mask"]))
            side = grey(EMBEDDED / name / row["mask"]).shape[0]
            extents.append((max(np.ptp(rows), np.ptp(columns)) + 1) / side)
            offsets.append((abs(rows.mean() / side - 0.5) + abs(columns.mean() / side - 0.5)) / 2)
        assert np.median(extents) >= 0.1
        assert np.mean(offsets) > 0.05


def test_the_window_of_the_card_is_a_lung_window() -> None:
    assert card_of("lung_ct_tumour").window == Window(low=-1350, high=150, unit="HU")


@pytest.mark.skipif("MEDSTRESS_RAW" not in os.environ, reason="MEDSTRESS_RAW does not point at the raw files")
def test_cutting_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for script in ("cut_embedded.py", "cut_modality.py"):
        cut = [sys.executable, f"resources/{script}", "--raw", os.environ["MEDSTRESS_RAW"], "--out", str(tmp_path)]
        subprocess.run(cut, cwd=ROOT, check=True)
    subprocess.run([sys.executable, "resources/cut_minivqa.py", "--embedded", str(tmp_path)], cwd=ROOT, check=True)
    assert (tmp_path / "SHA256SUMS").read_bytes() == (EMBEDDED / "SHA256SUMS").read_bytes()


@pytest.mark.parametrize("script", ["cut_embedded.py", "cut_modality.py"])
def test_another_raw_file_is_refused_by_name(script: str, tmp_path: Path) -> None:
    (tmp_path / "stardist").mkdir()
    (tmp_path / "stardist" / "img2d.tif").write_bytes(b"another image")
    cut = [sys.executable, f"resources/{script}", "--raw", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(cut, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "img2d.tif: its sha256 is not" in done.stderr
    assert "mask2d.tif: no such file" in done.stderr
    assert not (tmp_path / "out").exists()
