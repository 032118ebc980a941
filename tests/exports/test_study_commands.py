"""The commands about results, as people call them."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from medstress.errors import MedstressError
from medstress.study_commands import find_study
from tests.conftest import ROOT


def medstress(*arguments: object, folder: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "medstress.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "100"}
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study called as the toy results are, of real cards: their titles are other ones, which commands do not mind."""
    values = {
        "study": "toy",
        "datasets": ["nuclei"],
        "runs": ["box_fill", "tiny_sam"],
        "perturbations": {"types": ["gaussian_noise", "rotation"]},
    }
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_bundle_packs_the_study_with_its_cards(results, study, tmp_path):
    done = medstress("bundle", results, tmp_path / "toy.zip", "--configfile", study)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "toy.zip") as archive:
        names = set(archive.namelist())
        assert yaml.safe_load(archive.read("study/toy.yaml"))["study"] == "toy"
        assert json.loads(archive.read("tables.json"))["datasets"] == {"nuclei": "Nuclei"}
    assert {"study/datasets/nuclei.yaml", "study/models/tiny_sam.yaml", "records/scores/net/many.parquet"} <= names
    assert f"{len(names)} files" in done.stderr


def test_export_paper_writes_everything(results, study, tmp_path):
    done = medstress("export-paper", results, tmp_path / "paper", "--configfile", study)
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path / "paper").as_posix() for path in (tmp_path / "paper").rglob("*.*")}
    assert made >= {"tables.xlsx", "tables.tex", "RESULTS.md"}


def test_what_lacks_is_old_or_edited_is_said_by_all_three(results, study, tmp_path):
    mine = tmp_path / "results/toy"
    shutil.copytree(results, mine)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    shutil.copy(study, tmp_path / "config/toy.yaml")
    commands = [["summary", mine], ["compare", results, mine], ["export-paper", mine, tmp_path / "paper"]]
    lacks = (
        r"The study lacks \d+ records, so tables in .* have holes. `snakemake --profile local --configfile config/toy"
    )
    for command in commands:
        done = medstress(*command, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert re.search(lacks, done.stderr), done.stderr
        assert "older" not in done.stderr
        assert "edited" not in done.stderr
    score = next(mine.glob("scores/box/few.parquet"))
    later = max(path.stat().st_mtime for path in mine.rglob("*")) + 5
    os.utime(score, (later, later))
    table = mine / "tables/calibration.csv"
    table.write_text(table.read_text().replace("rotation", "rotating"))
    for command in commands:
        done = medstress(*command, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        old, edited = done.stderr.splitlines()[-2:]
        assert "2 tables in" in old
        assert "are older than the scores: run `snakemake --profile local --configfile config/toy.yaml`" in old
        assert old.endswith("segmentation_adversarial, segmentation_main")
        assert "is edited: the .csv is not what the .parquet says" in edited
        assert edited.endswith("calibration")


def test_validate_counts_runs_as_tables_do_and_says_what_is_not_there_yet(tmp_path):
    for part in ("config", "resources"):
        shutil.copytree(ROOT / part, tmp_path / part)
    done = medstress("validate", "config/config.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ", 24 runs (27 with seeds)," in done.stdout
    assert all(line.startswith("warning: claim ") for line in done.stderr.splitlines())
    (tmp_path / "resources/embedded/nuclei/sheet.csv").unlink()
    values = {
        "study": "mine",
        "datasets": ["nuclei", "brain_tumour", "kvasir"],
        "runs": ["box_fill", "tiny_sam"],
        "perturbations": {"types": ["gaussian_noise"]},
        "tables": ["claims"],
        "claims": ["lora_degrades_twice"],
    }
    (tmp_path / "config/mine.yaml").write_text(yaml.safe_dump(values))
    done = medstress("validate", "config/mine.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    nuclei, by_hand, claim = done.stderr.splitlines()
    assert nuclei.startswith("warning: data set nuclei: resources/embedded/nuclei/sheet.csv: not there yet")
    assert by_hand.endswith(
        "downloads/datasets/brain_tumour/sheet.csv: not there yet; put it there by hand, as its card says"
    )
    assert claim.startswith("warning: claim lora_degrades_twice: ")
    assert claim.endswith(": matches no run of this study")


def test_summary_and_compare_print_to_the_terminal(results):
    done = medstress("summary", results)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Study toy\n")
    done = medstress("compare", results, results)
    assert done.returncode == 0, done.stderr
    assert " 0 differ" in done.stdout


def test_results_of_another_study_are_refused(results, study, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(MedstressError, match="no study in config/ has this name"):
        find_study(results, None)
    with pytest.raises(MedstressError, match="is the study toy, and results/other are those of other"):
        find_study(Path("results/other"), study)
    assert find_study(Path("results/demo"), None)[0] == Path("config/config.yaml")


def test_the_page_is_the_last_thing_that_a_run_prints(study, tmp_path):
    for part in ("config", "resources"):
        (tmp_path / part).symlink_to(ROOT / part)
    folder = tmp_path / "results/toy"
    (folder / "tables").mkdir(parents=True)
    for name in ("tables/segmentation_main.md", "index.html"):
        (folder / name).touch()
    done = medstress("outputs", study, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["tables:", "  results/toy/tables/segmentation_main.md"]
    assert done.stdout.splitlines()[-1] == "results/toy/index.html"


def test_the_pages_name_commands_that_there_are():
    known = set(re.findall(r"^    ([a-z-]+)", medstress("--help").stdout, re.MULTILINE))
    text = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    used = set(re.findall(r"^medstress ([a-z-]+)", blocks, re.MULTILINE))
    assert {"compare", "summary", "bundle", "export-paper"} <= used <= known
