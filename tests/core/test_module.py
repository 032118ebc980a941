"""The workflow as a part of others: what the workflow catalog looks for, and a module of another Snakefile."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.scenarios.workflow import environment

OUTER = """
configfile: "config/mine.yaml"


module medstress:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from medstress as medstress_*


rule paper:
    default_target: True
    input:
        "results/mine/tables/segmentation_main.csv",
    output:
        "paper.csv",
    shell:
        "cp {{input}} {{output}}"
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "-c1", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A workflow of somebody else beside copies of the cards and of what they name."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    study = {
        "study": "mine",
        "datasets": ["nuclei"],
        "runs": ["box_fill", "tiny_sam"],
        "perturbations": {"types": ["jpeg", "rotation"]},
    }
    (tmp_path / "config/mine.yaml").write_text(yaml.safe_dump(study))
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=ROOT / "workflow/Snakefile"))
    return tmp_path


@pytest.mark.scenario
def test_another_workflow_uses_it_as_a_module(outer: Path):
    planned = snakemake(outer, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    lines = planned.stdout[planned.stdout.index("Job stats:") :].split("\n\n", 1)[0].splitlines()
    jobs = {words[0]: words[1] for line in lines if len(words := line.split()) == 2 and words[1].isdigit()}
    assert jobs == {
        "medstress_prepare_dataset": "1",
        "medstress_perturb": "2",
        "medstress_predict": "2",
        "medstress_score": "2",
        "medstress_table": "1",
        "paper": "1",
        "total": "9",
    }
    made = snakemake(outer, "results/mine/datasets/nuclei/images.parquet")
    assert made.returncode == 0, made.stdout + made.stderr
    assert (outer / "results/mine/datasets/nuclei/images.parquet").is_file()


@pytest.mark.scenario
def test_a_module_without_a_study_says_so(outer: Path):
    text = (outer / "Snakefile").read_text().replace('configfile: "config/mine.yaml"', "config = {'study': 'mine'}")
    (outer / "Snakefile").write_text(text)
    refused = snakemake(outer, "--dry-run")
    assert refused.returncode != 0
    assert "medstress reads the configfile of the outer workflow" in refused.stdout + refused.stderr


def test_what_the_catalog_looks_for_is_there():
    catalog = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert set(catalog["usage"]) <= {"mandatory-flags", "software-stack-deployment", "report"}
    assert catalog["usage"]["software-stack-deployment"]["conda"] is True
    assert (ROOT / "workflow/Snakefile").is_file()
    assert "config/config.yaml" in (ROOT / "config/README.md").read_text()
