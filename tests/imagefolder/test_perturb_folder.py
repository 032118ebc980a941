"""`medstress perturb`: every image of a folder, without a study."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from medstress.perturb.ssim import StructuralSimilarity
from medstress.perturb.warp import warp_image
from medstress.pixels import decode_png
from medstress.rows import WarpRow
from tests.conftest import EMBEDDED

NUCLEI = EMBEDDED / "nuclei"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey images, one in a folder of its own, and one in colour."""
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for index, name in enumerate(["a.png", "b.png", "deep/a.png"]):
        shutil.copy(sorted(NUCLEI.glob("*.png"))[index], source / name)
    colour = cv2.imread(str(source / "a.png"), cv2.IMREAD_COLOR)
    assert colour is not None
    colour[..., 0] //= 2
    cv2.imwrite(str(source / "colour.png"), colour)
    return source


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "medstress.cli", "perturb", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.[pc][ns][gv]"))}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_tree_and_the_manifest_say_what_was_done(folder, tmp_path):
    out = tmp_path / "out"
    done = run(folder, out, "--modality", "microscopy", "--types", "gaussian_noise,rotation", "--levels", "1,3-4")
    assert done.returncode == 0, done.stderr
    rows = rows_of(out)
    assert len(rows) == 4 * 2 * 3
    assert {row["file"] for row in rows} == set(files_of(out)) - {"manifest.csv"}
    for row in rows:
        assert row["file"] == f"{row['perturbation']}/{row['level']}/{row['image_id']}.png"
        clean = decode_png((folder / f"{row['image_id']}.png").read_bytes(), where="clean")
        made = decode_png((out / row["file"]).read_bytes(), where="made")
        assert made.shape == clean.shape
        assert float(row["ssim"]) == pytest.approx(StructuralSimilarity(clean)(made), abs=1e-12)
        if row["perturbation"] == "rotation":
            assert row["status"] == "table"
            warp = json.loads(row["warp"])
            moved = warp_image(clean, WarpRow(warp["kind"], tuple(warp["parameters"])), 0)
            assert np.array_equal(moved, made)
        else:
            assert row["status"] == "in_band"
            assert float(row["band_low"]) <= float(row["ssim"]) <= float(row["band_high"])


def test_workers_and_a_second_run_change_nothing(folder, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    common = ("--modality", "microscopy", "--types", "jpeg,speckle", "--levels", "1-2")
    assert run(folder, one, *common).returncode == 0
    assert run(folder, two, *common, "--workers", 2).returncode == 0
    assert files_of(one) == files_of(two)
    before = {path: path.stat().st_mtime_ns for path in one.rglob("*.png")}
    (one / "speckle/1/b.png").unlink()
    again = run(folder, one, *common)
    assert "1 image-type pairs made, 7 found from before" in again.stderr
    assert files_of(one) == files_of(two)
    kept = [path for path in before if path.parent.parent.name == "jpeg" or path.stem != "b"]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)


def test_a_killed_run_goes_on_and_ends_on_the_same_bytes(folder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    types = "gaussian_noise,speckle,gaussian_blur,motion_blur,jpeg,pixelate,contrast,brightness"
    common = ("--modality", "microscopy", "--types", types)
    for index in range(12):
        shutil.copy(folder / "b.png", folder / f"more_{index:02d}.png")
    assert run(folder, whole, *common).returncode == 0
    command = [sys.executable, "-m", "medstress.cli", "perturb", str(folder), str(killed), *common]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and len(list(killed.rglob("*.png"))) < 60:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "manifest.csv").exists()
    again = run(folder, killed, *common)
    assert again.returncode == 0, again.stderr
    assert files_of(killed) == files_of(whole)
    assert " 0 found from before" not in again.stderr


def test_an_image_that_changed_is_made_again(folder, tmp_path):
    out = tmp_path / "out"
    common = (folder, out, "--modality", "microscopy", "--types", "jpeg", "--levels", "3")
    assert run(*common).returncode == 0
    shutil.copy(folder / "a.png", folder / "b.png")
    assert "1 image-type pairs made, 3 found" in run(*common).stderr


def test_more_levels_join_those_that_are_there(folder, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    common = ("--modality", "microscopy", "--types", "speckle")
    assert run(folder, out, *common, "--levels", "3").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert run(folder, out, *common, "--levels", "1-4").returncode == 0
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert run(folder, whole, *common, "--levels", "1-4").returncode == 0
    assert files_of(out) == files_of(whole)


def test_other_settings_leave_nothing_of_the_old_ones(folder, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    common = ("--modality", "microscopy", "--types", "speckle")
    assert run(folder, out, *common, "--levels", "1-4").returncode == 0
    assert run(folder, out, *common, "--levels", "2", "--seed", "7").returncode == 0
    assert run(folder, fresh, *common, "--levels", "2", "--seed", "7").returncode == 0
    assert files_of(out) == files_of(fresh)


def test_everything_wrong_is_said_at_once(folder, tmp_path):
    wrong = run(
        folder, tmp_path / "out", "--modality", "microscopy", "--types", "gausian_noise,mri_motion,jpeg,path_bubles"
    )
    assert wrong.returncode == 1
    assert "did you mean gaussian_noise?" in wrong.stderr
    assert "did you mean path_bubbles?" in wrong.stderr
    assert "mri_motion is for mri, and this folder holds microscopy (--force makes it all the same)" in wrong.stderr
    assert not (tmp_path / "out").exists()
    forced = run(
        folder, tmp_path / "out", "--modality", "microscopy", "--types", "mri_motion", "--levels", "1", "--force"
    )
    assert forced.returncode == 0, forced.stderr


def test_bad_images_are_named_and_the_others_are_made(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / "deep16.png"), np.full((40, 40), 3000, np.uint16))
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((20, 40), np.uint8))
    cv2.imwrite(str(folder / "alpha.png"), np.zeros((40, 40, 4), np.uint8))
    done = run(folder, tmp_path / "out", "--modality", "microscopy", "--types", "jpeg", "--levels", "1")
    assert done.returncode == 1
    for name, why in [
        ("broken.png", "unreadable"),
        ("deep16.png", "--window LOW,HIGH"),
        ("tiny.png", "32 pixels or longer, got 40 x 20"),
        ("alpha.png", ""),
    ]:
        [line] = [line for line in done.stderr.splitlines() if name in line]
        assert why in line
    assert len(rows_of(tmp_path / "out")) == 4
    windowed = run(
        folder, tmp_path / "out", "--modality", "microscopy", "--types", "jpeg", "--levels", "1", "--window=0,4095"
    )
    assert "deep16" not in windowed.stderr
    assert len(rows_of(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels", "3-1"], "names no level"),
        (["--levels", "one"], "expected levels such as 1-5"),
        (["--levels", "4-7"], "has levels 1 to 5, not 6, 7"),
        (["--window", "3"], "expected two numbers"),
        (["--window", "3,1"], "the first number must be below the second"),
        (["--types", ","], "names no type"),
        (["--compat"], "name a published --scale"),
        (["--variant", "bloodmnist"], "the scale ssim is the same for all data sets"),
        (["--workers", "0"], "at least 1"),
    ],
)
def test_options_are_checked(folder, tmp_path, arguments, message):
    done = run(folder, tmp_path / "out", "--modality", "microscopy", "--types", "jpeg", *arguments)
    assert done.returncode == 1
    assert message in done.stderr


def test_the_images_are_not_looked_for_among_the_perturbed_ones(folder):
    done = run(folder, folder, "--modality", "microscopy", "--types", "jpeg")
    assert done.returncode == 1
    assert "holds the images themselves" in done.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_ends_without_a_traceback(folder, tmp_path, workers):
    out = tmp_path / "out"
    for index in range(30):
        shutil.copy(folder / "b.png", folder / f"more_{index:02d}.png")
    command = [sys.executable, "-m", "medstress.cli", "perturb", str(folder), str(out), "--modality", "microscopy"]
    command += ["--workers", str(workers)]
    # A shell that starts tests in the background lets them ignore Ctrl-C; a person's shell does not.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heard,  # noqa: PLW1509  (no threads here)
    )
    while process.poll() is None and len(list(out.rglob("*.png"))) < 10 * workers:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "medstress perturb: interrupted" in errors


def test_two_files_of_one_name_are_refused(folder, tmp_path):
    cv2.imwrite(str(folder / "a.jpg"), np.zeros((40, 40), np.uint8))
    done = run(folder, tmp_path / "out", "--modality", "microscopy", "--types", "jpeg")
    assert done.returncode == 1
    assert "would overwrite each other" in done.stderr


def test_two_commands_do_not_write_to_one_folder(folder, tmp_path):
    from medstress.imagefolder.ledger import Ledger

    out = tmp_path / "out"
    out.mkdir()
    with Ledger(out):
        done = run(folder, out, "--modality", "microscopy", "--types", "jpeg", "--levels", "1")
    assert done.returncode == 1
    assert "Is another medstress perturb at work" in done.stderr


def test_masks_and_labels_are_left_out_and_said(folder, tmp_path):
    for name in ("masks", "deep/Labels", "segmentation"):
        (folder / name).mkdir()
        shutil.copy(folder / "a.png", folder / name / "a.png")
    (folder / "masks_of_colour").mkdir()
    shutil.copy(folder / "b.png", folder / "masks_of_colour/b.png")
    options = ("--modality", "microscopy", "--types", "gaussian_noise", "--levels", "1")
    done = run(folder, tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    assert {row["image_id"] for row in rows_of(tmp_path / "out")} == {"a", "b", "colour", "deep/a", "masks_of_colour/b"}
    said = next(line for line in done.stderr.splitlines() if line.startswith("left out, as masks or labels"))
    assert f"{folder / 'deep/Labels'}, {folder / 'masks'}, {folder / 'segmentation'}." in said
    # Named itself, a folder of masks is a folder of images.
    done = run(folder / "masks", tmp_path / "of_masks", *options)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    assert [row["image_id"] for row in rows_of(tmp_path / "of_masks")] == ["a"]
    (folder / "deep/a.png").unlink()
    done = run(folder / "deep", tmp_path / "none", *options)
    assert done.returncode == 1
    assert f"no image found besides {folder / 'deep/Labels'}" in done.stderr
