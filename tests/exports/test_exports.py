"""Every export format: what other people's loaders find in it, and that our readers give the same pixels back."""

import csv
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from medstress.arrays import read_npz
from medstress.errors import MedstressError
from medstress.exports.arrays import write_npz
from medstress.exports.read import READERS
from medstress.exports.source import Perturbed, find_perturbed, read_labels
from medstress.exports.write import EXPORTS, export
from medstress.perturb import PERTURBATIONS
from medstress.perturb.build import perturb_dataset
from medstress.pixels import decode_png, encode_png
from medstress.records import ImageRow, PerturbedRow, read_rows, write_rows
from medstress.specs import PerturbSpec
from tests.conftest import embedded_image, in_colour

TYPES = ["jpeg", "speckle"]
LEVELS = [1, 2, 3, 4, 5]


def write_study(folder: Path, images: list[np.ndarray]) -> Path:
    study = folder / "results" / "toy"
    record = study / "datasets" / "cells" / "images.parquet"
    rows = [
        ImageRow(f"i{index:03d}", f"g{index}", "test", "microscopy", encode_png(image), *image.shape[:2])
        for index, image in enumerate(images)
    ]
    write_rows(record, ImageRow, rows)
    for name in TYPES:
        spec = PerturbSpec(
            dataset="cells", modality="microscopy", perturbation=name, levels=LEVELS, split="test", background=0
        )
        perturb_dataset(PERTURBATIONS[name], spec, record, study / "perturbed" / "cells" / f"{name}.parquet")
    return study


@pytest.fixture(scope="module", params=["grey", "colour"])
def study(request, tmp_path_factory) -> Path:
    images = [embedded_image("nuclei", index)[:48, :64] for index in range(3)]
    if request.param == "colour":
        images = [in_colour(image) for image in images]
    return write_study(tmp_path_factory.mktemp(request.param), images)


@pytest.fixture
def source(study) -> Perturbed:
    return find_perturbed(study, "cells")


@pytest.fixture
def labels(source, tmp_path):
    sheet = tmp_path / "labels.csv"
    sheet.write_text("image_id,label\n" + "".join(f"{name},{i + 4}\n" for i, name in enumerate(source.ids)))
    return read_labels(sheet, source.ids)


def stored(study: Path, name: str, level: int) -> list[np.ndarray]:
    rows = read_rows(study / "perturbed" / "cells" / f"{name}.parquet", PerturbedRow)
    return [decode_png(row.png, where="test") for row in rows if row.level == level]


def clean(study: Path) -> list[np.ndarray]:
    return [decode_png(row.png, where="test") for row in read_rows(study / "datasets/cells/images.parquet", ImageRow)]


ORIGINALS = {"jpeg": "jpeg_compression", "speckle": "speckle_noise"}


def test_medmnist_c_holds_the_levels_one_after_the_other(study, source, labels, tmp_path):
    export(source, labels, tmp_path / "out", "medmnist_c")
    for name in TYPES:
        with np.load(tmp_path / "out" / f"{ORIGINALS[name]}.npz") as loaded:
            assert sorted(loaded) == ["test_images", "test_labels"]
            expected = [image for level in LEVELS for image in stored(study, name, level)]
            assert np.array_equal(loaded["test_images"], np.stack(expected))
            assert loaded["test_labels"].tolist() == [[4], [5], [6]] * 5


def test_medimeta_c_holds_a_file_a_level(study, source, labels, tmp_path):
    export(source, labels, tmp_path / "out", "medimeta_c")
    with np.load(tmp_path / "out" / "clean.npz") as loaded:
        assert np.array_equal(loaded["images"], np.stack(clean(study)))
    with np.load(tmp_path / "out" / "jpeg_severity_3.npz") as loaded:
        assert np.array_equal(loaded["images"], np.stack(stored(study, "jpeg", 3)))
        assert loaded["labels"].tolist() == [[4], [5], [6]]


def test_cifar_c_is_plain_arrays(study, source, labels, tmp_path):
    export(source, labels, tmp_path / "out", "cifar_c")
    images = np.load(tmp_path / "out" / "jpeg_compression.npy", allow_pickle=False)
    assert np.array_equal(images[:3], np.stack(stored(study, "jpeg", 1)))
    assert np.array_equal(images[-3:], np.stack(stored(study, "jpeg", 5)))
    assert np.load(tmp_path / "out" / "labels.npy", allow_pickle=False).tolist() == [4, 5, 6] * 5


def test_hugging_face_datasets_opens_the_parquet_export(study, source, labels, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    export(source, labels, tmp_path / "out", "hugging_face")
    loaded = datasets.load_dataset(str(tmp_path / "out"), "speckle", split="test", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 15
    assert np.array_equal(np.asarray(loaded[4]["image"]), stored(study, "speckle", 2)[1])
    assert (loaded[4]["image_id"], loaded[4]["level"], loaded[4]["labels"]) == ("i001", 2, [5])


@pytest.mark.parametrize("form", list(EXPORTS))
def test_what_is_written_is_read_back(study, source, labels, tmp_path, form):
    export(source, labels, tmp_path / "out", form)
    originals = {"medmnist_c": ORIGINALS, "cifar_c": ORIGINALS, "medimeta_c": {}}.get(form, {})
    cells = list(READERS[form](tmp_path / "out"))
    for name in TYPES:
        own = [cell for cell in cells if cell.perturbation == originals.get(name, name)]
        assert [(cell.level, cell.index) for cell in own] == [(level, i) for level in LEVELS for i in range(3)]
        for level in LEVELS:
            expected = stored(study, name, level)
            assert all(np.array_equal(cell.image, expected[cell.index]) for cell in own if cell.level == level)
        if form != "folder":
            assert {(cell.index, cell.labels) for cell in own} == {(0, (4,)), (1, (5,)), (2, (6,))}
    if form in ("folder", "medimeta_c"):
        unperturbed = [cell.image for cell in cells if (cell.perturbation, cell.level) == ("clean", 0)]
        assert np.array_equal(np.stack(unperturbed), np.stack(clean(study)))
    with (tmp_path / "out" / "cells.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * 5 * 3
    assert {row["status"] for row in rows} <= {"in_band", "unreachable"}


def test_the_same_study_gives_the_same_bytes(source, labels, tmp_path):
    for name in ("one", "two"):
        export(source, labels, tmp_path / name, "medmnist_c")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_images_of_several_sizes_are_no_array(tmp_path):
    study = write_study(tmp_path, [embedded_image("nuclei")[:48, :64], embedded_image("nuclei", 1)[:64, :48]])
    source = find_perturbed(study, "cells")
    with pytest.raises(MedstressError, match=r"differ in size.*folder or Parquet"):
        export(source, dict.fromkeys(source.ids, (0,)), tmp_path / "out", "medmnist_c")
    export(source, None, tmp_path / "tree", "folder")
    assert len(list((tmp_path / "tree").rglob("*.png"))) == 2 + 2 * 2 * 5


def test_arrays_without_level_numbers_need_all_five_levels(source, labels, tmp_path):
    fewer = replace(source, levels=(1, 3))
    for form in ("medmnist_c", "cifar_c"):
        with pytest.raises(MedstressError, match="levels 1 to 5 one after another, and the study has 1, 3"):
            export(fewer, labels, tmp_path / form, form)
    export(fewer, labels, tmp_path / "out", "medimeta_c")
    assert (tmp_path / "out" / "clean.npz").is_file()


def test_what_is_missing_is_said(study, source, tmp_path):
    with pytest.raises(MedstressError, match="give --labels"):
        export(source, None, tmp_path, "cifar_c")
    with pytest.raises(MedstressError, match="The study has cells"):
        find_perturbed(study, "cell")
    sheet = tmp_path / "labels.csv"
    sheet.write_text("image_id,label\ni000,malignant\n")
    with pytest.raises(MedstressError, match=r"(?s)i000: labels are class indices.*2 images have no label: i001, i002"):
        read_labels(sheet, source.ids)


def test_a_long_array_is_never_whole_in_memory(tmp_path):
    entry = np.zeros((256, 256), np.uint8)

    def peak(count: int) -> int:
        path = tmp_path / f"{count}.npz"
        tracemalloc.start()
        write_npz(path, [("test_images", (entry for _ in range(count)), (count, 256, 256), np.uint8)])
        assert sum(1 for _ in read_npz(path, "test_images")) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(400) < 1.2 * peak(20) + 500_000


@pytest.mark.parametrize("damage", ["pickle", "short", "no_zip", "no_array"])
def test_damaged_or_dangerous_arrays_are_refused(tmp_path, damage):
    path = tmp_path / "jpeg.npz"
    if damage == "pickle":
        np.savez(path, test_images=np.array([{"a": 1}], dtype=object), test_labels=np.zeros((5, 1)))
    elif damage == "no_array":
        np.savez(path, images=np.zeros((5, 8, 8), np.uint8))
    elif damage == "no_zip":
        path.write_bytes(pickle.dumps([1]))
    else:
        good = np.lib.format.header_data_from_array_1_0(np.zeros((5, 8, 8), np.uint8))
        with zipfile.ZipFile(path, "w") as archive, archive.open("test_labels.npy", "w") as sink:
            np.lib.format.write_array_header_1_0(sink, good)
            sink.write(b"\0" * 100)
    with pytest.raises(MedstressError, match=r"jpeg\.npz"):
        list(READERS["medmnist_c"](tmp_path))


def test_the_command_writes_a_study(study, tmp_path):
    sheet = tmp_path / "labels.csv"
    sheet.write_text("image_id,label\ni000,0\ni001,1\ni002,0\n")
    arguments = ["export", study, "cells", tmp_path / "out", "--format", "medmnist_c", "--labels", sheet]
    command = [sys.executable, "-m", "medstress.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "30 perturbed images of 2 types" in done.stderr
    assert (tmp_path / "out" / "jpeg_compression.npz").is_file()
