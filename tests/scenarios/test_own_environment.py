"""A model with an environment of its own in the real DAG."""

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scenarios.workflow import Workflow, copy_project, environment

pytestmark = pytest.mark.scenario

STUDY: dict[str, Any] = {
    "datasets": ["minivqa_vqa"],
    "runs": ["mine", "tiny_vlm"],
    "perturbations": {"types": ["brightness"], "levels": [1]},
    "limit": {"images": 2},
    "tables": ["vqa_main"],
    "figures": [],
}
TARGETS = [f"results/small/predictions/{run}/minivqa_vqa.parquet" for run in STUDY["runs"]]
CONDA = """#!/bin/sh
# What Snakemake asks before it lists environments, and no more.
case "$*" in
    "info --json") echo '{"conda_prefix": "/none", "platform": "linux-64", "conda_version": "24.7.1"}' ;;
    "--version") echo "conda 24.7.1" ;;
    "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}' ;;
    *) echo "$*" >&2; exit 1 ;;
esac
"""


def pin(workflow: Workflow, numpy: str) -> None:
    said = {"channels": ["conda-forge"], "dependencies": ["python=3.11", "pip", {"pip": [f"numpy=={numpy}"]}]}
    (workflow.folder / "envs" / "mine.yaml").write_text(yaml.safe_dump(said))


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = copy_project(tmp_path_factory.mktemp("own") / "project")
    models = workflow.folder / "config" / "models"
    card = yaml.safe_load((models / "tiny_vlm.yaml").read_text())
    (models / "mine.yaml").write_text(yaml.safe_dump(card | {"name": "mine", "environment": "envs/mine.yaml"}))
    workflow.write_study(**STUDY)
    return workflow


def test_it_is_refused_elsewhere_runs_there_and_is_asked_again_in_another(workflow: Workflow) -> None:
    pin(workflow, "1.0.0")
    refused = workflow.run(*TARGETS, check=False)
    assert refused.returncode
    assert "answer: the model wants the environment envs/mine.yaml, and this is another: numpy" in refused.stdout
    assert "--software-deployment-method conda" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert not (workflow.folder / TARGETS[0]).exists()
    assert (workflow.folder / TARGETS[1]).exists()  # the other model's answers came

    pin(workflow, version("numpy"))
    workflow.run(*TARGETS)
    provenance = json.loads((workflow.folder / f"{TARGETS[0]}.provenance.json").read_text())
    assert provenance["environment"] == {
        "file": "envs/mine.yaml",
        "pins": {"numpy": version("numpy"), "python": "3.11"},
    }
    assert workflow.planned(*TARGETS) == {}

    pin(workflow, "1.0.0")
    assert workflow.planned(*TARGETS) == {"answer": 1}


def test_snakemake_is_told_which_environment_each_model_wants(workflow: Workflow, tmp_path: Path) -> None:
    pin(workflow, "1.0.0")
    conda = tmp_path / "conda"
    conda.write_text(CONDA)
    conda.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{environment()['PATH']}"
    options = ["--list-conda-envs", "--software-deployment-method", "conda"]
    done = subprocess.run(
        workflow.command(*TARGETS, *options),
        cwd=workflow.folder,
        env=environment() | {"PATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    listed = [line.split()[0] for line in done.stdout.splitlines() if ".snakemake/conda/" in line]
    assert sorted(listed) == ["envs/environment.yaml", "envs/mine.yaml"]
