"""Several GPUs on one machine, without Slurm: each job gets its own."""

import json
import os
import subprocess

import pytest

from tests.scenarios.workflow import copy_project, environment

pytestmark = pytest.mark.scenario

# Lists two GPUs, after the jobs of both have asked: so they are there at the same time.
LISTING = """#!/bin/sh
touch "{folder}/$$"
for i in $(seq 300); do
    [ "$(ls "{folder}" | wc -l)" -ge 2 ] && break
    sleep 0.1
done
echo "GPU 0: NVIDIA H200 (UUID: GPU-a)"
echo "GPU 1: NVIDIA H200 (UUID: GPU-b)"
"""


def test_jobs_spread_over_the_gpus_of_a_machine(tmp_path):
    workflow = copy_project(tmp_path / "project")
    (tmp_path / "bin").mkdir()
    (tmp_path / "asked").mkdir()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text(LISTING.format(folder=tmp_path / "asked"))
    program.chmod(0o755)
    bare = {key: value for key, value in environment().items() if key not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")}
    done = subprocess.run(
        workflow.command("--until", "predict", "--set-resources", "predict:gpu=1", "--resources", "gpu=2"),
        cwd=workflow.folder,
        env=bare | {"PATH": f"{program.parent}{os.pathsep}{bare['PATH']}", "TMPDIR": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    records = sorted((workflow.results / "predictions").rglob("*.provenance.json"))
    gpus = [json.loads(path.read_text())["gpu"] for path in records]
    assert sorted(gpu["devices"] for gpu in gpus) == ["0", "1"]
    assert {gpu["by"] for gpu in gpus} == {"lock"}
