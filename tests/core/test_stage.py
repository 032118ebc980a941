"""The frame around a job: one message, one exit code, provenance."""

import json
import signal
import subprocess
import sys
import time

import pytest

from medstress.errors import MedstressError
from medstress.stage import check_writable, message_for

JOB = """
import sys, time
from medstress.errors import MedstressError
from medstress.stage import stage
with stage("job", log_file="logs/job.log", record="record.parquet") as facts:
    facts["units"] = 3
    {body}
"""


def run(folder, body, **environment):
    done = subprocess.run(
        [sys.executable, "-c", JOB.format(body=body)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment or None,
    )
    return done, (folder / "logs/job.log").read_text()


def test_a_good_end_leaves_provenance(tmp_path):
    done, _ = run(tmp_path, "pass")
    facts = json.loads((tmp_path / "record.parquet.provenance.json").read_text())
    assert (done.returncode, facts["stage"], facts["units"]) == (0, "job", 3)
    assert facts["peak_memory_mb"] > 10
    assert "numpy" in facts["versions"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('raise MedstressError("x.png: no. Do this.")', "job: x.png: no. Do this."),
        ('open("nothing/there", "w")', "job: nothing/there: no such file or folder."),
        ("1 / 0", "a defect in medstress: ZeroDivisionError"),
    ],
)
def test_a_bad_end_is_one_message_and_code_one(tmp_path, body, said):
    done, log = run(tmp_path, body)
    assert done.returncode == 1
    assert said in done.stderr
    assert said in log
    assert "Traceback" not in done.stderr + log
    assert not (tmp_path / "record.parquet.provenance.json").exists()


def test_a_time_limit_is_said(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", JOB.format(body='open("ready", "w").close(); time.sleep(60)')],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "time limit was reached" in said
    assert "Traceback" not in said


def test_messages_name_the_file_of_a_full_disk():
    assert message_for(OSError(28, "No space left on device", "a/b.parquet")).startswith(
        "a/b.parquet: the disk is full"
    )


def test_a_file_in_the_way_of_any_part_is_said_before_work(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "datasets").write_text("in the way")
    check_writable(tmp_path / "results", "tables")
    with pytest.raises(MedstressError, match="datasets is in the way"):
        check_writable(tmp_path / "results", "tables", "datasets")
