"""One writer at a time, whatever became of the last one."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from medstress.answers.lease import Lease, Terms
from medstress.errors import MedstressError

QUICK = Terms(renewal=0.02, expiry=0.4, look=0.01)
ELSEWHERE = json.dumps({"host": "node7", "pid": 1, "machine": "node7 of another cluster"})
DEAD = 4194305  # beyond the largest process number


def leases(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.lease"))


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    lease = Lease(tmp_path, QUICK)
    with pytest.raises(MedstressError, match=f"process {os.getpid()} on .* is writing answers here"):
        Lease(tmp_path, QUICK)
    lease.release()
    Lease(tmp_path, QUICK).release()
    assert leases(tmp_path) == ["000002.lease"]


def test_a_dead_process_of_this_machine_is_replaced_at_once(tmp_path):
    Lease(tmp_path, QUICK).release()
    path = tmp_path / "000001.lease"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": DEAD}))
    Lease(tmp_path, Terms(renewal=60, expiry=3600)).release()
    assert leases(tmp_path) == ["000002.lease"]


def test_so_is_a_dead_one_that_nobody_has_asked_after(tmp_path):
    Lease(tmp_path, QUICK).release()
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.stdout.read()  # until it has ended; it stays a zombie until `wait`
    try:
        path = tmp_path / "000001.lease"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": process.pid}))
        for _ in range(500):
            if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.01)
        os.kill(process.pid, 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("medstress.answers.lease.time.sleep", lambda seconds: pytest.fail("it waited"))
            Lease(tmp_path, Terms(renewal=60, expiry=3600)).release()
    finally:
        process.stdout.close()
        process.wait()
    assert leases(tmp_path) == ["000002.lease"]


def test_a_silent_process_of_another_machine_is_replaced_when_its_time_is_up(tmp_path):
    (tmp_path / "000004.lease").write_text(ELSEWHERE)
    Lease(tmp_path, QUICK).release()
    assert leases(tmp_path) == ["000005.lease"]


def test_a_lease_whose_holder_did_not_come_to_write_its_name_runs_out_too(tmp_path):
    (tmp_path / "000004.lease").write_text("")
    Lease(tmp_path, QUICK).release()


def test_a_living_process_of_another_machine_is_left_alone(tmp_path):
    path, ended = tmp_path / "000004.lease", threading.Event()
    path.write_text(ELSEWHERE)

    def live() -> None:
        while not ended.wait(0.02):
            os.utime(path)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        with pytest.raises(MedstressError, match="process 1 on node7"):
            Lease(tmp_path, QUICK)
    finally:
        ended.set()
        thread.join()


def test_a_holder_that_was_replaced_learns_of_it(tmp_path):
    lease = Lease(tmp_path, QUICK)
    (tmp_path / "000001.lease").unlink()
    for _ in range(500):
        if lease.lost:
            break
        time.sleep(0.01)
    assert lease.lost
    lease.release()


def contend(folder: Path, go: Connection, told: Connection) -> None:
    go.recv()
    try:
        lease = Lease(folder, QUICK)
    except MedstressError:
        told.send(False)
        return
    told.send(True)
    go.recv()
    lease.release()


def test_of_many_that_find_a_dead_lease_one_gets_it(tmp_path):
    context = multiprocessing.get_context("fork")
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        Lease(folder, QUICK).release()
        path = folder / "000001.lease"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": DEAD}))
        pairs = [(context.Pipe(), context.Pipe()) for _ in range(6)]
        processes = [context.Process(target=contend, args=(folder, go[0], told[1])) for go, told in pairs]
        for process in processes:
            process.start()
        for go, _ in pairs:
            go[1].send(None)
        won = [told[0].recv() for _, told in pairs]
        for go, _ in pairs:
            go[1].send(None)
        for process in processes:
            process.join()
        assert won.count(True) == 1
