"""A training that is killed goes on: the same weights, and no step that was kept is done twice."""

import json
import random
import shutil
import subprocess
import time

import psutil
import pytest
import yaml

from tests.conftest import ROOT
from tests.scenarios.test_faults import leftovers, script_process
from tests.scenarios.workflow import copy_project, environment

pytestmark = pytest.mark.scenario

RUN = "tiny_sam+lora@brain_mri_tumour~seed0"
TRAINED = f"results/small/checkpoints/{RUN}/trained.safetensors"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The study of config/ci.yaml, ready to be trained on."""
    workflow = copy_project(tmp_path_factory.mktemp("training") / "project")
    workflow.write_study(**yaml.safe_load((ROOT / "config" / "ci.yaml").read_text()) | {"study": "small"})
    workflow.run("results/small/datasets/brain_mri_tumour/images.parquet")
    return workflow


def steps(workflow) -> dict[str, int]:
    record = workflow.results / "checkpoints" / RUN / "trained.safetensors.provenance.json"
    return json.loads(record.read_text())["steps"]


def test_kill_minus_nine_of_a_training_and_again(prepared, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "project", symlinks=True)
    workflow, reference = type(prepared)(tmp_path / "project"), prepared
    process = subprocess.Popen(
        workflow.command(TRAINED),
        cwd=workflow.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    state = workflow.results / "journal" / "finetune" / RUN
    deadline = time.monotonic() + 120
    while not list(state.rglob("*.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.5))
    victim = script_process(psutil.Process(process.pid), "finetune")
    assert victim is not None
    victim.kill()
    assert process.wait(180) != 0
    assert not list((workflow.results / "checkpoints").rglob("*.safetensors"))

    workflow.run(TRAINED)
    reference.run(TRAINED)
    whole = steps(reference)
    assert whole["resumed_from"] == 0
    assert steps(workflow)["resumed_from"] >= 5
    assert sum(steps(workflow).values()) == whole["done"]
    assert workflow.digests() == reference.digests()
    assert TRAINED.removeprefix("results/small/") in workflow.digests()
    assert not leftovers(workflow.results)
