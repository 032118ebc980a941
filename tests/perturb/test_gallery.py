"""The gallery's pictures are the ones that were cut, and its pages say and show what the code does."""

import csv
import hashlib
import inspect
import os
import re
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from medstress.perturb.protocol import Perturbation
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales.registry import SCALES
from medstress.pixels import decode_png
from tests.conftest import GALLERY, ROOT

sys.path.insert(0, str(ROOT / "docs"))
sys.path.insert(0, str(ROOT / "resources"))

import gallery
import gallery_phantoms
import scales

STALE = "run make gallery and commit docs"
KINDS = list(PERTURBATIONS.values())


def sheet() -> list[dict[str, str]]:
    with (GALLERY / "sheet.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def stored(name: str) -> np.ndarray:
    return decode_png((GALLERY / name).read_bytes(), where=name)


def test_every_picture_is_the_one_that_was_cut() -> None:
    lines = (GALLERY / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    present = {path.relative_to(GALLERY).as_posix(): path for path in GALLERY.rglob("*") if path.is_file()}
    assert set(listed) == set(present) - {"SHA256SUMS"}
    found = {name: hashlib.sha256(present[name].read_bytes()).hexdigest() for name in listed}
    assert found == listed
    assert sum(path.stat().st_size for path in present.values()) < 1_500_000


def test_the_provenance_names_every_real_picture_and_its_licence() -> None:
    with (GALLERY / "provenance.csv").open(newline="") as handle:
        table = list(csv.DictReader(handle))
    used = " ".join(row["used_in"] for row in table).replace(" and ", " ").split()
    real = [row["file"].removesuffix(".png") for row in sheet() if row["synthetic"] == "false"]
    assert sorted(set(used) - {"licences"}) == sorted(real)
    for row in table:
        free = row["licence"] in {"CC0-1.0", "no known copyright restrictions"}
        assert free or "opyright" in (GALLERY / "licences" / row["licence_file"]).read_text()


def test_what_is_not_real_is_called_synthetic_in_its_name() -> None:
    for row in sheet():
        assert ("synthetic" in row["file"]) == (row["synthetic"] == "true"), row["file"]


@pytest.mark.parametrize("name", gallery_phantoms.PHANTOMS)
def test_a_phantom_is_what_its_script_draws(name: str) -> None:
    drawn = gallery_phantoms.phantom(name)
    # Another CPU may round the last bit of a formula otherwise.
    assert np.abs(drawn.astype(int) - stored(f"{name}.png")).max() <= 1


def test_a_windowed_picture_shows_the_ct_numbers_beside_it() -> None:
    windowed = [row for row in sheet() if row["raw"]]
    assert {row["modality"] for row in windowed} == {"ct"}
    for row in windowed:
        numbers = stored(row["raw"]) * float(row["slope"]) + float(row["intercept"])
        low, high = float(row["window_low"]), float(row["window_high"])
        shown = np.clip((numbers - low) / (high - low), 0, 1) * 255
        assert np.abs(shown - stored(row["file"])).max() <= 0.5
        assert numbers.min() < -900, "air lies around the patient"


@pytest.mark.skipif("MEDSTRESS_RAW" not in os.environ, reason="MEDSTRESS_RAW does not point at the raw files")
def test_cutting_again_gives_the_same_bytes(tmp_path) -> None:
    cut = [sys.executable, "resources/cut_gallery.py", "--raw", os.environ["MEDSTRESS_RAW"], "--out", str(tmp_path)]
    subprocess.run(cut, cwd=ROOT, check=True)
    assert (tmp_path / "SHA256SUMS").read_bytes() == (GALLERY / "SHA256SUMS").read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_docstring_has_a_sentence_a_formula_and_a_source(kind: Perturbation) -> None:
    sentence, *formula, source = (inspect.getdoc(kind.realise) or "").split("\n\n")
    assert re.match(r"[A-Z].*[.:]", sentence, re.DOTALL)
    assert any(re.search(r"[=*/^+]|->", paragraph) for paragraph in formula), "no formula"
    assert re.match(r"Source: .*\b(19|20)\d\d\b|Source: .*DICOM", source, re.DOTALL), "no source with its year"


def test_every_type_has_its_section_with_unit_and_picture() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE))
    assert set(sections) == set(PERTURBATIONS), STALE
    for kind in KINDS:
        assert f"Strength: {kind.unit}" in sections[kind.name]
        picture = re.findall(r"\]\((images/gallery/\w+\.jpg)\)", sections[kind.name])
        assert picture == [f"images/gallery/{kind.name}.jpg"]
        assert (ROOT / "docs" / picture[0]).is_file(), STALE


def test_the_pages_are_what_the_generator_writes() -> None:
    assert (ROOT / "docs" / "gallery.md").read_text() == gallery.page(), STALE
    assert (ROOT / "docs" / "scales.md").read_text() == scales.page(), STALE


def test_the_pictures_show_what_the_types_do() -> None:
    files = {file.stem: file for file in (ROOT / "docs" / "images" / "gallery").glob("*.jpg")}
    assert set(files) == set(PERTURBATIONS), STALE
    assert sum(file.stat().st_size for file in files.values()) < 5_000_000
    for kind in KINDS:
        drawn = gallery.strip(kind)
        with PIL.Image.open(files[kind.name]) as opened:
            committed = opened.convert("RGB")
        assert committed.size == drawn.size, f"{kind.name}: {STALE}"
        # Compared in blocks, which JPEG keeps; another CPU may end a search one step sooner.
        difference = np.subtract(*(np.asarray(image.reduce(8), np.float32) for image in (committed, drawn)))
        assert np.abs(difference).mean() < 2.5, f"{kind.name}: {STALE}"


def test_a_type_is_shown_on_a_picture_of_its_modality() -> None:
    for kind in KINDS:
        modality = gallery.picture_of(kind).scene.modality
        assert modality is not None
        assert kind.fits(modality), kind.name


def test_every_published_type_and_value_is_on_the_page_of_scales() -> None:
    page = (ROOT / "docs" / "scales.md").read_text()
    for scale in SCALES.values():
        part = page.split(f"## {scale.name}\n")[1].split("\n## ")[0].replace("\\", "")
        for kinds in scale.variants.values():
            for kind in kinds.values():
                values = " | ".join(", ".join(f"{value:g}" for value in level) for level in kind.severities)
                assert f"| {kind.name} | {kind.original} |" in part
                assert values in part
