"""GPU slots: real processes compete for pretend GPUs, which a pretend nvidia-smi lists."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from medstress.devices import Claim, claim_gpus, count_gpus
from medstress.errors import MedstressError

CLAIM = """
import json, sys, time
from medstress.devices import claim_gpus
claim = claim_gpus(int(sys.argv[1]))
assert "torch" not in sys.modules
start = time.monotonic()
print(json.dumps({"devices": claim.devices, "by": claim.by, "start": start}), flush=True)
time.sleep(float(sys.argv[2]))
print(time.monotonic(), flush=True)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that gives this machine a number of GPUs; locks lie in a folder of the test's own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def equip(listing: str, code: int = 0) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{listing}\nEOF\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return equip


def listing(count: int) -> str:
    return "\n".join(f"GPU {index}: NVIDIA H200 (UUID: GPU-{index:08x})" for index in range(count))


def start(count: int = 1, seconds: float = 60) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CLAIM, str(count), str(seconds)], stdout=subprocess.PIPE, text=True)


def claimed(process: subprocess.Popen) -> dict:
    return json.loads(process.stdout.readline())


def test_no_device_is_used_by_two_at_a_time(machine):
    machine(listing(3))
    # Jobs for two devices among jobs for one: none waits for ever.
    processes = [start(count, 0.2) for count in (1, 1, 2, 1, 1, 2, 1, 1, 2, 1)]
    spans = []
    for process in processes:
        out, _ = process.communicate(timeout=60)
        claim, end = (json.loads(line) for line in out.splitlines())
        assert claim["by"] == "lock"
        spans += [(device, claim["start"], end) for device in claim["devices"].split(",")]
    assert {device for device, *_ in spans} == {"0", "1", "2"}
    assert len(spans) == 13
    for device in "012":
        in_turn = sorted((begin, end) for used, begin, end in spans if used == device)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(in_turn))


def test_a_killed_job_frees_its_device(machine):
    machine(listing(1))
    first = start()
    assert claimed(first)["devices"] == "0"
    second = start(seconds=0)
    time.sleep(1)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert claimed(second)["devices"] == "0"
    assert second.wait(10) == 0


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CUDA_VISIBLE_DEVICES": "5"}, Claim("5", "environment")),
        ({"CUDA_VISIBLE_DEVICES": ""}, Claim("", "environment")),
        ({"SLURM_JOB_ID": "7"}, Claim(None, "slurm")),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"}, Claim("2,3", "slurm")),
    ],
)
def test_what_was_chosen_before_stays(machine, monkeypatch, tmp_path, variables, expected):
    machine(listing(2))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert claim_gpus(1) == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected.devices
    assert not list(tmp_path.glob("medstress*"))


def test_nothing_happens_without_need(machine, tmp_path):
    machine(listing(2))
    assert claim_gpus(0) == Claim(None, "nobody")
    machine("")
    assert claim_gpus(1) == Claim(None, "nobody")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert not list(tmp_path.glob("medstress*"))


def test_gpus_are_counted(machine, monkeypatch, tmp_path):
    machine(listing(2))
    assert count_gpus() == 2
    machine(
        "GPU 0: NVIDIA H200 (UUID: GPU-a)\n  MIG 1g.18gb     Device  0: (UUID: MIG-b)\nGPU 1: NVIDIA H200 (UUID: c)"
    )
    assert count_gpus() == 2
    machine("NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.", code=9)
    assert count_gpus() == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus() == 0


def test_too_many_asked_for_is_said(machine):
    machine(listing(2))
    with pytest.raises(MedstressError, match=r"asks for 3 GPUs and this machine has 2 .*Lower `gpu`"):
        claim_gpus(3)


@pytest.mark.parametrize("trap", ["open to all", "a link"])
def test_a_folder_that_others_could_use_is_refused(machine, tmp_path, trap):
    machine(listing(1))
    folder = tmp_path / f"medstress-gpus-{os.getuid()}"
    if trap == "a link":
        folder.symlink_to(tmp_path)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(MedstressError, match="TMPDIR"):
        claim_gpus(1)


def test_locks_belong_to_the_user_alone(machine, tmp_path):
    machine(listing(1))
    process = start()
    claimed(process)
    folder = tmp_path / f"medstress-gpus-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in Path(folder).iterdir()] == ["0.lock"]
    process.kill()
    process.wait()
