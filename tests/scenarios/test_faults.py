"""Faults: a killed job, a broken file, a full disk. One clear message, nothing half-written, nothing done twice."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from medstress.records import ImageRow, read_rows
from tests.scenarios.workflow import copy_project, environment

pytestmark = pytest.mark.scenario

TABLE = "results/small/tables/segmentation_main.csv"
PREDICTION = "results/small/predictions/grabcut/nuclei.parquet"
LONGER = {"limit": {"images": 5, "objects": 4}, "runs": ["grabcut"], "tables": ["segmentation_main"], "figures": []}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A study whose data are prepared and perturbed, and nothing more."""
    workflow = copy_project(tmp_path_factory.mktemp("faults") / "project")
    workflow.write_study(**LONGER)
    workflow.run("--until", "perturb")
    return workflow


@pytest.fixture(scope="module")
def reference(prepared, tmp_path_factory):
    """What comes of the study when nothing happens to it."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(prepared.folder, folder, symlinks=True)
    whole = type(prepared)(folder)
    whole.run(TABLE)
    return whole


@pytest.fixture
def workflow(prepared, tmp_path):
    shutil.copytree(prepared.folder, tmp_path / "project", symlinks=True)
    return type(prepared)(tmp_path / "project")


def fails_with(done, *parts):
    assert done.returncode != 0
    for part in parts:
        assert part in done.stdout, done.stdout
    assert "Traceback" not in done.stdout, done.stdout


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.tmp"))


def journal(workflow) -> list[Path]:
    return list((workflow.results / "journal").rglob("*.parquet"))


def script_process(parent: psutil.Process, name: str) -> psutil.Process | None:
    for child in parent.children(recursive=True):
        try:
            command = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if name in command and "snakemake" not in Path(child.cmdline()[0]).name and ".py" in command:
            return child
    return None


def picture_in_use(workflow) -> Path:
    row = read_rows(workflow.results / "datasets" / "nuclei" / "images.parquet", ImageRow, pixels=False)[0]
    return workflow.folder / "resources" / "embedded" / "nuclei" / f"{row.image_id}.png"


@pytest.mark.parametrize("victim", ["predict", "snakemake"])
def test_kill_minus_nine_and_again(workflow, reference, victim):
    # Slow enough to be met half-way: many rounds of graph cut.
    output = workflow.results / "predictions" / "grabcut" / "nuclei.parquet"
    process = subprocess.Popen(
        workflow.command(TABLE),
        cwd=workflow.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(journal(workflow)) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    done_before = len(journal(workflow))
    assert done_before >= 2
    if victim == "predict":
        found = script_process(psutil.Process(process.pid), "predict")
        assert found is not None
        found.kill()
        assert process.wait(60) != 0
    else:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    assert not output.exists()

    again = workflow.run(TABLE, check=False)
    if victim == "snakemake" and again.returncode:
        fails_with(again, "--unlock")
        workflow.run("--unlock")
        again = workflow.run(TABLE)
    assert again.returncode == 0, again.stdout
    units = workflow.units()
    assert units["reused"] >= done_before
    assert units["computed"] >= 1
    assert units["reused"] + units["computed"] == reference.units()["computed"]
    assert workflow.digests() == reference.digests()
    assert not leftovers(workflow.results)


def test_a_truncated_record_is_named(workflow):
    path = workflow.results / "perturbed" / "nuclei" / "rotation.parquet"
    path.write_bytes(path.read_bytes()[:5000])
    fails_with(workflow.run(PREDICTION, check=False), "perturbed/nuclei/rotation.parquet", "truncated", "Delete it")
    assert not (workflow.results / "predictions" / "grabcut" / "nuclei.parquet").exists()
    path.unlink()
    workflow.run(PREDICTION)


def test_a_missing_raw_file_is_named(workflow):
    victim = picture_in_use(workflow)
    victim.unlink()
    shutil.rmtree(workflow.results / "datasets")
    fails_with(workflow.run(check=False), victim.name)
    assert not (workflow.results / "datasets" / "nuclei" / "images.parquet").exists()


def test_an_unreadable_picture_is_named(workflow):
    victim = picture_in_use(workflow)
    victim.write_bytes(victim.read_bytes()[:300])
    shutil.rmtree(workflow.results / "datasets")
    fails_with(workflow.run(check=False), victim.name)


@contextmanager
def mounted(folder: Path, *options: str):
    """A small file system of its own at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said(workflow):
    shutil.rmtree(workflow.results / "perturbed")
    with mounted(workflow.results / "perturbed", "-o", "size=64k"):
        done = workflow.run(check=False)
        fails_with(done, "perturb", "disk is full")
        assert not list((workflow.results / "perturbed").rglob("*.parquet"))
        assert not leftovers(workflow.results)


def test_results_that_cannot_be_written_are_said_before_any_work(workflow):
    shutil.rmtree(workflow.folder / "results")
    with mounted(workflow.folder / "results", "-o", "ro"):
        fails_with(workflow.run(check=False), "cannot be written", "results")


def test_a_file_where_results_should_go_is_said(workflow):
    shutil.rmtree(workflow.folder / "results")
    (workflow.folder / "results").write_text("in the way")
    fails_with(workflow.run(check=False), "is in the way")


def test_debugging_shows_the_traceback(workflow):
    path = workflow.results / "perturbed" / "nuclei" / "rotation.parquet"
    path.write_bytes(b"nothing")
    arguments = {"cwd": workflow.folder, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(workflow.command(), env=environment() | {"MEDSTRESS_DEBUG": "1"}, check=False, **arguments)
    assert "Traceback" in done.stdout
