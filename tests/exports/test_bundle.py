"""Bundles: any table again from the bundle alone, the same bytes again, and refusals that say why."""

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from medstress.errors import MedstressError
from medstress.exports.bundle import KINDS, pack_bundle, unpack_bundle
from medstress.records import PerturbedRow, PredictionRow, read_rows
from medstress.tables.registry import TABLES
from medstress.tables.write import write_table
from tests.conftest import ROOT
from tests.exports.conftest import TABLES_MADE
from tests.scenarios.workflow import environment


@pytest.fixture(scope="module")
def packed(toy, results, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "toy.zip"
    assert pack_bundle(results, toy.spec, {"toy.yaml": ROOT / "config/ci.yaml"}, [], out) > 10
    return out


def changed(packed: Path, out: Path, members: dict[str, bytes | None]) -> Path:
    """The bundle with other contents: None takes a member out."""
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as sink:
        for name in source.namelist():
            if name not in members:
                sink.writestr(name, source.read(name))
        for name, content in members.items():
            if content is not None:
                sink.writestr(name, content)
    return out


def test_a_bundle_has_all_that_any_table_reads():
    assert {kind for entry in TABLES.values() for kind in entry.reads} <= set(KINDS)


@pytest.mark.parametrize("name", TABLES_MADE)
def test_a_table_again_from_the_bundle_alone(packed, results, tmp_path, name):
    bundle = unpack_bundle(packed, tmp_path)
    outputs = {kind: tmp_path / f"{name}.{kind}" for kind in ("csv", "md", "tex", "parquet")}
    kinds = ("scores", "perturbed", "training")
    write_table(bundle.spec, name, {kind: [Path(path) for path in bundle.records(kind)] for kind in kinds}, outputs)
    for kind, path in outputs.items():
        assert path.read_bytes() == (results / "tables" / f"{name}.{kind}").read_bytes(), kind
    assert bundle.tables == tuple(sorted(TABLES_MADE))
    assert bundle.records("images") == []


def test_the_same_results_are_the_same_bytes(toy, results, packed, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(results, again)
    for path in again.rglob("*"):
        path.touch()
    pack_bundle(again, toy.spec, {"toy.yaml": ROOT / "config/ci.yaml"}, [], tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_no_pixel_and_no_mask_is_packed(toy, results, tmp_path):
    judged = toy.spec.model_copy(update={"judges": {"judge": "Judge"}})
    pack_bundle(results, judged, {}, [], tmp_path / "b.zip")
    folder = unpack_bundle(tmp_path / "b.zip", tmp_path).folder
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".parquet", ".json"}
    perturbed = read_rows(folder / "records/perturbed/many/rotation.parquet", PerturbedRow, pixels=False)
    assert perturbed
    assert all(row.valid is None and row.warp is None for row in perturbed)
    assert not any(b"\x89PNG" in path.read_bytes() for path in folder.rglob("*.parquet"))
    answers = [row for path in folder.glob("records/predictions/*/*.parquet") for row in read_rows(path, PredictionRow)]
    assert all(row.mask is None for row in answers)


def test_every_file_is_in_the_manifest_with_its_digest(packed):
    with zipfile.ZipFile(packed) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert set(archive.namelist()) == {"manifest.json", *manifest["files"]}
        for name, one in manifest["files"].items():
            content = archive.read(name)
            assert (one["sha256"], one["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_foreign_and_damaged_bundles_are_refused(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        score = next(name for name in archive.namelist() if name.startswith("records/scores/"))
        whole, spec = archive.read(score), archive.read("tables.json")
    other = json.dumps(manifest | {"format": "medstress bundle 9"}).encode()
    escape = json.loads(json.dumps(manifest))
    escape["files"]["../../evil.txt"] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}
    below = json.loads(json.dumps(manifest))
    below["files"]["tables.json/x"] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}
    renamed = spec.replace(b'"study": "toy"', b'"study": "../x"')
    outside = json.loads(json.dumps(manifest))
    outside["files"]["tables.json"] = {"sha256": hashlib.sha256(renamed).hexdigest(), "bytes": len(renamed)}
    cases: dict[str, tuple[dict[str, bytes | None], str]] = {
        "no manifest": ({"manifest.json": None}, r"no manifest\.json"),
        "not json": ({"manifest.json": b"{"}, "cannot be read"),
        "version": ({"manifest.json": other}, "its format is 'medstress bundle 9'"),
        "flipped": ({score: whole[:-1] + bytes([whole[-1] ^ 1])}, "is not what was packed: its SHA-256 differs"),
        "missing": ({score: None}, "missing"),
        "grown": ({score: whole + b"x"}, "bytes, and the manifest says"),
        "under a file": ({"tables.json/x": b"x", "manifest.json": json.dumps(below).encode()}, "a file and a folder"),
        "bomb": ({"zeros": bytes(2**27)}, "which no bundle of its size does"),
        "more": ({"more.txt": b"x"}, r"more\.txt: not in the manifest"),
        "escape": ({"../../evil.txt": b"x", "manifest.json": json.dumps(escape).encode()}, "leads out of its folder"),
        "study": ({"tables.json": renamed, "manifest.json": json.dumps(outside).encode()}, "which no folder can be"),
    }
    for name, (members, message) in cases.items():
        bad = changed(packed, tmp_path / f"{name}.zip", members)
        with pytest.raises(MedstressError, match=message):
            unpack_bundle(bad, tmp_path / "results")
    torn = tmp_path / "torn.zip"
    torn.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(MedstressError, match=r"damaged, or not a ZIP file"):
        unpack_bundle(torn, tmp_path / "results")
    with pytest.raises(MedstressError, match="no such bundle"):
        unpack_bundle(tmp_path / "none.zip", tmp_path / "results")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_whatever_bytes_are_wrong_the_reason_is_said(packed, tmp_path):
    draw, whole = random.Random(0), packed.read_bytes()
    refused = 0
    for place in range(150):
        content = bytearray(whole)
        # Most of all where the ZIP file says what is in it.
        for where in draw.choices([draw.randrange(len(whole)), len(whole) - draw.randrange(1, 3000)], k=3):
            content[where] ^= draw.randrange(1, 256)
        bad = tmp_path / "bad.zip"
        bad.write_bytes(bytes(content) if place % 5 else whole[: draw.randrange(len(whole))])
        try:
            unpack_bundle(bad, tmp_path / f"{place}")
        except MedstressError:
            refused += 1
    # The rest is in bytes that say nothing of the content, such as times.
    assert refused > 100


def test_what_the_study_lacks_is_in_the_manifest(toy, results, packed, tmp_path):
    pack_bundle(results, toy.spec, {}, [], tmp_path / "b.zip", ["scores/net/few.parquet"])
    assert unpack_bundle(tmp_path / "b.zip", tmp_path).missing == ("scores/net/few.parquet",)
    assert unpack_bundle(packed, tmp_path).missing == ()


def test_results_without_scores_are_not_packed(toy, tmp_path):
    with pytest.raises(MedstressError, match="no scores to pack"):
        pack_bundle(tmp_path, toy.spec, {}, [], tmp_path / "b.zip")


@pytest.mark.scenario
def test_snakemake_rebuilds_one_table_and_nothing_else(packed, results, tmp_path):
    for part in ("Snakefile", "workflow", "scripts", "envs"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({"study": "toy"}))

    def snakemake(bundle: Path, *options: str) -> subprocess.CompletedProcess:
        asked = options or ("results/toy/tables/segmentation_main.csv",)
        command = ["snakemake", "-c1", *asked, "--config", f"bundle={bundle}"]
        arguments = [sys.executable, "-m", *command]
        return subprocess.run(arguments, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    done = snakemake(packed)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "results/toy"
    assert sorted(path.stem.split(".")[0] for path in (made / "tables").glob("*.csv")) == ["segmentation_main"]
    for kind in ("csv", "md", "tex", "parquet"):
        name = f"segmentation_main.{kind}"
        assert (made / "tables" / name).read_bytes() == (results / "tables" / name).read_bytes()
    assert {path.name for path in made.iterdir()} == {"bundle", "tables", "logs"}
    planned = snakemake(packed, "--dry-run")
    assert re.search(r"^table +3$", planned.stdout, re.MULTILINE), planned.stdout
    torn = tmp_path / "torn.zip"
    torn.write_bytes(packed.read_bytes()[:-200])
    refused = snakemake(torn)
    assert refused.returncode != 0
    assert "damaged, or not a ZIP file" in refused.stderr
