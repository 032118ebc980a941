"""The command of the README on a real Slurm: one node, four pretend GPUs, the same bytes as on a laptop.

MEDSTRESS_REQUIRE_SLURM=1 makes a failure of what is otherwise skipped where there is no Slurm.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import pytest

from medstress.configfile import load_project
from tests.conftest import ROOT
from tests.scenarios.workflow import Workflow, copy_project, environment

pytestmark = pytest.mark.scenario

COMMAND = "snakemake --profile slurm all --configfile config/ci.yaml"
GPUS = 4
PROJECT = load_project(ROOT / "config" / "ci.yaml")
STUDY = PROJECT.study
RUN, DATASET = STUDY.runs[0], STUDY.datasets[-1]
STAGES = (ROOT / "workflow" / "rules" / "study.smk").read_text()
LOCAL_RULES = set(re.findall(r"\w+", STAGES.split("localrules:")[1].split("\n\n")[0]))

SANDBOX = ROOT / "tests" / "slurm_sandbox.sh"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")


@dataclass(frozen=True)
class SlurmJob:
    """A line of squeue."""

    state: str
    name: str
    start: str
    end: str
    memory: str
    minutes: str
    gpus: str


@dataclass(frozen=True)
class Outcome:
    """What Snakemake said and the jobs that it gave to Slurm."""

    workflow: Workflow
    code: int
    said: str
    jobs: list[SlurmJob]


@dataclass(frozen=True)
class Runs:
    """The study without Slurm, on Slurm, with a job that fails, killed half-way, and given again after that."""

    local: Workflow
    whole: Outcome
    failing: Outcome
    killed: Outcome
    again: Outcome


def unavailable() -> str | None:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"Slurm is not installed: {', '.join(missing)} not found (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "a Slurm for tests needs root"
    return None


@pytest.fixture(scope="module")
def slurm():
    """A Slurm, alone on this machine, and gone afterwards."""
    reason = unavailable()
    if reason and os.environ.get("MEDSTRESS_REQUIRE_SLURM"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with (Path(tempfile.gettempdir()) / "medstress-slurm.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        try:
            subprocess.run([SANDBOX, "up", str(GPUS), "8"], check=True)
            yield
        finally:
            subprocess.run([SANDBOX, "down"], check=True)


def slurm_environment() -> dict[str, str]:
    """The environment of somebody who sits before a cluster and not inside a job."""
    return {key: value for key, value in environment().items() if not re.match("SLURM_|SBATCH_|CUDA_VISIBLE", key)}


def start(workflow: Workflow, *arguments: str, command: str = COMMAND) -> subprocess.Popen:
    return subprocess.Popen(
        [*command.split(), *arguments],
        cwd=workflow.folder,
        env=slurm_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def jobs_of(workflow: Workflow) -> list[SlurmJob]:
    """Every job that was sent from the project's folder, in order."""
    columns = ["WorkDir", "State", "Comment", "StartTime", "EndTime", "MinMemory", "TimeLimit", "tres-per-job"]
    command = [
        "squeue",
        "--noheader",
        "--states=all",
        "--sort=i",
        "--Format",
        ",".join(f"{column}:500|" for column in columns),
    ]
    out = subprocess.run(command, check=True, text=True, capture_output=True).stdout
    lines = [[cell.strip() for cell in line.split("|")] for line in out.splitlines()]
    return [SlurmJob(*cells[1:8]) for cells in lines if cells[0] == str(workflow.folder)]


def rule_of(job: SlurmJob) -> str:
    # A rule without wildcards has no more than its name.
    return re.match(r"rule_(.+?)(_wildcards_|$)", job.name)[1]


def outcome(workflow: Workflow, process: subprocess.Popen) -> Outcome:
    said, _ = process.communicate(timeout=400)
    return Outcome(workflow, process.returncode, said, jobs_of(workflow))


def predictions(workflow: Workflow) -> list[Path]:
    return sorted((workflow.results / "predictions").glob("*/*.parquet"))


def gpu_of(prediction: Path) -> dict[str, str]:
    return json.loads(prediction.with_name(f"{prediction.name}.provenance.json").read_text())["gpu"]


def whole_study(folder: Path) -> Outcome:
    workflow = replace(copy_project(folder), study="ci")
    # The baselines' cards ask for no GPU. That is all that is added to the command.
    return outcome(workflow, start(workflow, "--set-resources", "predict:gpu=1"))


def failing_job(local: Workflow, folder: Path) -> Outcome:
    workflow = copy_of(local, folder)
    record = workflow.results / "perturbed" / DATASET / "rotation.parquet"
    record.write_bytes(record.read_bytes()[:5000])
    target = f"results/ci/predictions/{RUN}/{DATASET}.parquet"
    return outcome(workflow, start(workflow, command=COMMAND.replace(" all ", f" {target} ")))


def killed_and_again(local: Workflow, folder: Path) -> tuple[Outcome, Outcome]:
    workflow = copy_of(local, folder)
    shutil.rmtree(workflow.results / "journal" / "predict" / RUN / DATASET)
    for kind in ("predictions", "scores"):
        (workflow.results / kind / RUN / f"{DATASET}.parquet").unlink()
    # What is made of the scores is made by Snakemake itself, in `whole`.
    command = COMMAND.replace(" all ", f" results/ci/scores/{RUN}/{DATASET}.parquet ")
    process = start(workflow, "--set-resources", "predict:gpu=0", command=command)
    wait_until(lambda: any(job.state == "RUNNING" for job in jobs_of(workflow)))
    process.kill()
    killed = outcome(workflow, process)
    # Slurm knows nothing of it: the job goes on.
    wait_until(lambda: all(job.state == "COMPLETED" for job in jobs_of(workflow)))
    locked = outcome(workflow, start(workflow, command=command))
    assert "--unlock" in locked.said, locked.said
    assert outcome(workflow, start(workflow, "--unlock")).code == 0
    return killed, outcome(workflow, start(workflow, "--set-resources", "predict:gpu=0", command=command))


def wait_until(reached: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def copy_of(workflow: Workflow, folder: Path) -> Workflow:
    shutil.copytree(workflow.folder, folder, symlinks=True)
    return replace(workflow, folder=folder)


@pytest.fixture(scope="module")
def runs(slurm, tmp_path_factory):
    """All that is run, at the same time, since most of it is waiting: the plug-in asks Slurm every few seconds."""
    folder = tmp_path_factory.mktemp("slurm")
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(whole_study, folder / "whole")
        local = replace(copy_project(folder / "local"), study="ci")
        local.run("all")
        failing = pool.submit(failing_job, local, folder / "failing")
        killed = pool.submit(killed_and_again, local, folder / "killed")
        return Runs(local, whole.result(), failing.result(), *killed.result())


def test_the_study_is_at_most_twenty_jobs_of_a_cluster(tmp_path):
    process = start(replace(copy_project(tmp_path / "project"), study="ci"), "--dry-run")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    sent = [rule for rule in re.findall(r"^rule (\w+):", said, re.MULTILINE) if rule not in LOCAL_RULES]
    assert {"prepare_dataset", "perturb", "predict"} <= set(sent)
    assert len(sent) <= 20


def test_the_profile_in_the_documentation_adds_an_account(tmp_path):
    workflow = replace(copy_project(tmp_path / "project"), study="ci")
    (mine := workflow.folder / "mine").mkdir()
    page = (ROOT / "docs" / "slurm.md").read_text()
    example = re.search(r"```yaml\n# mine/profile.yaml.*?\n(.*?)```", page, re.DOTALL)
    (mine / "profile.yaml").write_text(example[1])
    process = start(workflow, "--dry-run", command=COMMAND.replace(" all ", " --profile mine all "))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for rule, asked in re.findall(r"^rule (\w+):.*?resources: (.*?)$", said, re.MULTILINE | re.DOTALL):
        assert "slurm_account=my_account, slurm_partition=gpu" in asked
        assert rule in LOCAL_RULES or "runtime=" in asked
        assert rule != "predict" or "mem_mb=32000" in asked


def test_the_exact_command_runs_the_study(runs):
    assert runs.whole.code == 0, runs.whole.said
    assert {job.state for job in runs.whole.jobs} == {"COMPLETED"}
    names = [rule_of(job) for job in runs.whole.jobs]
    asked = sum(len(PROJECT.scored_on(run)) for run in PROJECT.runs)
    assert names.count("predict") == len(predictions(runs.local)) == asked
    assert names.count("finetune") == 1
    assert names.count("perturb") == len(STUDY.perturbations.types) * len(STUDY.datasets)
    assert {"score", "table", "figure"} <= LOCAL_RULES
    assert not LOCAL_RULES & set(names)


def test_the_bytes_are_those_of_a_local_run(runs):
    digests = runs.whole.workflow.digests()
    assert {f"tables/{table}.csv" for table in STUDY.tables} <= set(digests)
    assert digests == runs.local.digests()


def test_jobs_spread_over_the_gpus(runs):
    jobs = {job.name: job for job in runs.whole.jobs}
    used = []
    for path in predictions(runs.whole.workflow):
        job, gpu = jobs[f"rule_predict_wildcards_{path.parent.name}_{path.stem}"], gpu_of(path)
        assert gpu["by"] == "slurm"
        assert gpu["devices"] in {str(device) for device in range(GPUS)}
        assert job.gpus.endswith("gpu:1")
        used.append((job, gpu["devices"]))
    together = [(a, b) for (x, a), (y, b) in combinations(used, 2) if x.start < y.end and y.start < x.end]
    assert together
    assert all(a != b for a, b in together)


def test_jobs_ask_for_what_their_rule_says(runs):
    for job in runs.whole.jobs:
        rule = rule_of(job)
        if rule == "predict":
            assert (job.memory, job.minutes) == ("8000M", "4:00:00")
        if rule in ("prepare_dataset", "perturb"):
            assert (job.memory, job.minutes, job.gpus) == ("4000M", "1:00:00", "N/A")


def test_a_job_without_gpu_asks_for_none(runs):
    again = runs.again.workflow.results
    assert all("gpu" not in job.gpus for job in runs.again.jobs)
    assert gpu_of(again / "predictions" / RUN / f"{DATASET}.parquet") == {"devices": None, "by": "slurm"}


def test_a_failing_job_is_tried_twice_and_says_why(runs):
    assert runs.failing.code != 0
    assert [job.state for job in runs.failing.jobs] == ["FAILED", "FAILED"], runs.failing.said
    assert [job.memory for job in runs.failing.jobs] == ["8000M", "16000M"]
    for part in ("rotation.parquet", "truncated", "Delete it"):
        assert part in runs.failing.said, runs.failing.said
    assert "Traceback" not in runs.failing.said, runs.failing.said


def test_after_kill_minus_nine_nothing_is_computed_twice(runs):
    assert runs.killed.code == -signal.SIGKILL
    assert [job.state for job in runs.killed.jobs] == ["RUNNING"]
    # Slurm finished the job that was under way, and it was not sent again.
    assert runs.again.code == 0, runs.again.said
    assert [job.state for job in runs.again.jobs] == ["COMPLETED"]
    assert runs.again.workflow.digests() == runs.local.digests()
