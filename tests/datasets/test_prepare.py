"""From files to records: every bad sample is listed before anything fails, and nothing half-written stays."""

import logging
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import tifffile
from pycocotools import mask as coco

from medstress.config import Limit
from medstress.errors import MedstressError
from medstress.pixels import decode_mask, decode_png
from medstress.specs import PrepareSpec
from tests.datasets.conftest import Project, disc, picture, save

SPLIT = {"unit": "patient", "by": "column"}


def add(project: Project, name: str, image: object = None, mask: object = None) -> str:
    """A row of the sheet, with its files unless they are given as names."""
    paths = []
    for kind, values, default in (("img", image, picture()), ("msk", mask, disc())):
        if isinstance(values, str):
            paths.append(values)
        else:
            suffix = ".png" if values is None or np.asarray(values).dtype != np.float64 else ".npy"
            save(project.root / kind / f"{name}{suffix}", default if values is None else np.asarray(values))
            paths.append(f"{kind}/{name}{suffix}")
    return ",".join(paths)


def spoil(project: Project) -> dict[str, str]:
    """A sheet with two good rows and one of each bad kind; the file to look at and the reason of each."""
    (project.root / "img").mkdir()
    (project.root / "img" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n1234")
    tifffile.imwrite(project.root / "img" / "deep.tif", np.zeros((40, 50), np.uint16))
    nan = np.zeros((40, 50))
    nan[3, 3] = np.nan
    rows = [
        add(project, "good") + ",p1,test",
        add(project, "other") + ",p2,train",
        add(project, "x1", image="img/broken.png") + ",p3,test",
        add(project, "small", mask=disc((30, 50))) + ",p4,test",
        add(project, "empty", mask=np.zeros((40, 50), np.uint8)) + ",p5,test",
        add(project, "nan", image=nan) + ",p6,test",
        add(project, "good") + ",p1,test",
        add(project, "x2", image="img/deep.tif") + ",p8,test",
        add(project, "x3", image="img/absent.png") + ",p9,test",
        add(project, "tiny", image=picture(shape=(5, 5)), mask=np.ones((5, 5), bool)) + ",p10,test",
        add(project, "side") + ",p11,validation",
        add(project, "nobody") + ",,test",
        add(project, "wide") + ",p12,test,more,cells",
    ]
    project.write_sheet("image,mask,group,split", *rows)
    return {
        "img/broken.png": "unreadable",
        "msk/small.png": "size mismatch",
        "msk/empty.png": "empty mask",
        "img/nan.npy": "NaN",
        "img/good.png (line 8)": "duplicate id",
        "img/deep.tif (line 9)": "uint16 intensities from 0 to 0; what is black and white must be said. Give `window:",
        "sheet.csv, line 10": "no such file",
        "img/tiny.png (line 11)": "5 x 5 pixels",
        "img/side.png (line 12)": "'validation'; expected one of train, val, test",
        "sheet.csv, line 13": "the cell group is empty",
        "sheet.csv, line 14": "2 cells more than the header",
    }


def test_all_bad_samples_are_listed_before_it_fails(project: Project) -> None:
    expected = spoil(project)
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.sheet_card(split=SPLIT, tolerate_rejects=len(expected) - 1))
    headline, *lines = str(caught.value).splitlines()
    assert headline.startswith(f"mine: {len(expected)} bad samples, {len(expected) - 1} tolerated")
    assert len(lines) == len(expected)
    for file, reason in expected.items():
        assert any(f"{project.root}/{file}" in line and reason in line for line in lines), (file, reason)
    assert project.wrote_nothing()


def test_as_many_as_tolerated_are_left_out_and_logged(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    expected = spoil(project)
    with caplog.at_level(logging.INFO, logger="medstress"):
        summary, images, _ = project.prepare(project.sheet_card(split=SPLIT, tolerate_rejects=len(expected)))
    assert [row.image_id for row in images] == ["img/good", "img/other"]
    assert len(summary.rejects) == len(expected)
    for file in expected:
        assert any(file in line for line in caplog.messages), file
    assert "mine test: 1 images, 1 objects, 1 groups (unit: patient)" in caplog.messages


def test_a_leak_is_never_tolerated_and_comes_with_the_bad_samples(project: Project) -> None:
    rows = [
        add(project, "a") + ",p1,train",
        add(project, "b") + ",p1,test",
        add(project, "c", image="no.png") + ",p2,test",
    ]
    project.write_sheet("image,mask,group,split", *rows)
    for tolerated in (0, 5):
        with pytest.raises(MedstressError) as caught:
            project.prepare(project.sheet_card(split=SPLIT, tolerate_rejects=tolerated))
        assert "the patient 'p1' is in several splits" in str(caught.value)
        assert "no such file" in str(caught.value)
    assert project.wrote_nothing()


def test_masks_and_images_without_partner_are_listed_together(project: Project) -> None:
    for name in ("a", "b"):
        save(project.root / "images" / f"{name}.png", picture())
    for name in ("a", "c"):
        save(project.root / "masks" / f"{name}.png", disc())
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card())
    assert "b.png: an image without a mask" in str(caught.value)
    assert "c.png: a mask without an image" in str(caught.value)


def test_jpeg_masks_are_reported(project: Project) -> None:
    save(project.root / "images" / "a.png", picture())
    save(project.root / "masks" / "a.jpg", disc().astype(np.uint8) * 255)
    summary, _, (sample,) = project.prepare(project.card())
    np.testing.assert_array_equal(decode_mask(sample.objects[0].mask, 40, 50), disc())
    assert any(line.startswith("JPEG masks thresholded at 127: 1") and "a.jpg" in line for line in summary.lines())


def test_small_objects_are_left_out_and_counted_but_are_no_bad_sample(project: Project) -> None:
    values = np.zeros((40, 50), np.uint8)
    values[0:2, 0:2], values[10:20, 10:20] = 1, 2
    save(project.root / "images" / "a.png", picture())
    save(project.root / "masks" / "a.png", values)
    save(project.root / "images" / "b.png", picture())
    save(project.root / "masks" / "b.png", np.minimum(values, 1) * (values == 1))
    summary, images, samples = project.prepare(project.card(labels={"kind": "label_map", "min_pixels": 30}))
    assert [row.image_id for row in images] == ["a"]
    assert [item.object_id for item in samples[0].objects] == ["2"]
    assert (summary.too_small, summary.images_too_small, summary.rejects) == (2, 1, [])


def test_nothing_left_is_an_error(project: Project) -> None:
    save(project.root / "images" / "a.png", picture())
    save(project.root / "masks" / "a.png", np.zeros((40, 50), np.uint8))
    with pytest.raises(MedstressError, match=r"no image is left(.|\n)*empty mask"):
        project.prepare(project.card(tolerate_rejects=1))


def sixteen(project: Project) -> None:
    for index in range(16):
        save(project.root / "images" / f"p{index // 4}_{index}.png", picture(index))
        values = np.zeros((40, 50), np.uint8)
        values[5:15, 5:15], values[20:30, 20:40], values[32:38, 2:20] = 1, 2, 3
        save(project.root / "masks" / f"p{index // 4}_{index}.png", values)


def test_a_limit_takes_each_group_and_the_same_bytes_come_again(project: Project) -> None:
    sixteen(project)
    source = {"format": "folder", "images": "images", "masks": "masks", "group_pattern": "^(p[0-9])_"}
    card = project.card(source=source, labels={"kind": "label_map"})
    _, images, samples = project.prepare(card, images=5, objects=2)
    written = project.images.read_bytes(), project.samples.read_bytes()
    assert [row.image_id for row in images] == sorted(row.image_id for row in images)
    assert {row.group_id for row in images} == {"p0", "p1", "p2", "p3"}
    assert all(len(row.objects) == 2 for row in samples)
    project.prepare(card, images=5, objects=2)
    assert (project.images.read_bytes(), project.samples.read_bytes()) == written
    # A bad image gives its place to the next one.
    bad = project.root / "images" / f"{images[0].image_id}.png"
    bad.write_bytes(b"")
    _, others, _ = project.prepare(card.model_copy(update={"tolerate_rejects": 1}), images=5)
    assert len(others) == 5
    assert {row.image_id for row in images[1:]} <= {row.image_id for row in others}


def test_a_limit_may_leave_splits_whole(project: Project) -> None:
    sixteen(project)
    split = {"unit": "image", "by": "fraction", "val": 0.25, "test": 0.4}
    source = {"format": "folder", "images": "images", "masks": "masks"}
    card = project.card(source=source, labels={"kind": "label_map"}, split=split)
    _, images, samples = project.prepare(card)
    whole = Counter(row.split for row in images)
    assert min(whole.values()) > 1
    _, some, cut = project.prepare(card, images=1, objects=1, splits=["val", "test"])
    assert Counter(row.split for row in some) == {"train": whole["train"], "val": 1, "test": 1}
    assert [row.image_id for row in some] == sorted(row.image_id for row in some)
    objects = {row.sample_id: row.objects for row in samples}
    for image, sample in zip(some, cut, strict=True):
        known = objects[sample.sample_id]
        assert sample.objects == known if image.split == "train" else len(sample.objects) == 1 <= len(known)


def test_a_failure_leaves_the_files_of_an_earlier_run_as_they_were(project: Project) -> None:
    sixteen(project)
    card = project.card(labels={"kind": "label_map"})
    project.prepare(card)
    written = project.images.read_bytes(), project.samples.read_bytes()
    (project.root / "images" / "p0_0.png").write_bytes(b"")
    with pytest.raises(MedstressError):
        project.prepare(card)
    assert (project.images.read_bytes(), project.samples.read_bytes()) == written
    assert sorted(path.name for path in project.images.parent.iterdir()) == ["images.parquet", "samples.parquet"]


KILLED = """
import os, signal, sys
from collections import Counter
from pathlib import Path
import medstress.datasets.prepare as prepare
from medstress.specs import PrepareSpec

prepare.raise_if_bad = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
prepare.prepare_dataset(PrepareSpec.model_validate_json(sys.argv[1]), *map(Path, sys.argv[2:]))
"""


def test_what_a_killed_run_leaves_is_overwritten_by_the_next(project: Project) -> None:
    sixteen(project)
    card = project.card(labels={"kind": "label_map"})
    spec = PrepareSpec(card=card, limit=Limit()).model_dump_json()
    places = [str(path) for path in (project.root, project.images, project.samples)]
    killed = subprocess.run([sys.executable, "-c", KILLED, spec, *places], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not project.wrote_nothing()
    project.prepare(card)
    assert sorted(path.name for path in project.images.parent.iterdir()) == ["images.parquet", "samples.parquet"]


def test_an_image_that_becomes_too_thin_is_refused(project: Project) -> None:
    for name, height in (("a", 60), ("b", 70)):
        save(project.root / "images" / f"{name}.png", picture(shape=(height, 640)))
        save(project.root / "masks" / f"{name}.png", disc((height, 640)))
    with pytest.raises(MedstressError) as caught:
        project.prepare(project.card(size={"mode": "longest_side", "side": 64}))
    (line,) = str(caught.value).splitlines()[1:]
    assert "a.png: is 640 x 60 pixels and becomes 64 x 6 with `size.mode: longest_side` and `size.side: 64`" in line
    assert "both sides need 7 or more. Give a larger `size.side`" in line
    padded = project.prepare(project.card(size={"mode": "pad", "side": 64}))[1]
    assert [(row.height, row.width) for row in padded] == [(64, 64)] * 2


def test_hugging_face_shows_pictures_and_pycocotools_reads_masks(project: Project, tmp_path: Path) -> None:
    save(project.root / "images" / "a.png", picture(shape=(40, 50, 3)))
    save(project.root / "masks" / "a.png", disc())
    project.prepare(project.card())
    loaded = datasets.load_dataset(
        "parquet", data_files=str(project.images), split="train", cache_dir=str(tmp_path / "cache")
    )
    shown = loaded[0]["image"]
    assert (shown.mode, shown.size) == ("RGB", (50, 40))
    np.testing.assert_array_equal(np.asarray(shown), picture(shape=(40, 50, 3)))
    rows = datasets.load_dataset(
        "parquet", data_files=str(project.samples), split="train", cache_dir=str(tmp_path / "cache")
    )
    (item,) = rows[0]["objects"]
    decoded = coco.decode({"size": [40, 50], "counts": item["mask"]})
    np.testing.assert_array_equal(decoded.astype(bool), disc())
    assert item["box"] == [22, 12, 39, 29]


def test_colour_is_stored_as_colour(project: Project) -> None:
    values = picture(shape=(40, 50, 3))
    save(project.root / "images" / "a.png", values)
    save(project.root / "masks" / "a.png", disc())
    (row,) = project.prepare(project.card())[1]
    np.testing.assert_array_equal(decode_png(row.png, where="a"), values)
