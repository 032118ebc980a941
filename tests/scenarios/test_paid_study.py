"""A study of two models behind interfaces of the web in the real DAG: killed, run again, and nothing paid twice."""

import hashlib
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from medstress.answers.journal import Journal
from medstress.records import PredictionRow, read_rows
from tests.answers.server import DROP, STALL, Reply, Request, Server, gemini_reply, openai_reply, serving, told
from tests.scenarios.workflow import Workflow, copy_project, environment

pytestmark = pytest.mark.scenario

# Not written out: the project that is searched for them has a copy of this file.
KEYS = {name: f"sk-{hashlib.sha256(name.encode()).hexdigest()}" for name in ("OPEN_KEY", "GEMINI_KEY")}
MODELS = {"open": "openai_api", "gem": "gemini_api"}
IN_FLIGHT = 4
STARTED = 20
"""Requests of each model before the kill."""
STUDY: dict[str, Any] = {
    "datasets": ["minivqa_vqa"],
    "runs": ["open", "gem", "majority_answer"],
    "perturbations": {"types": ["brightness"], "levels": [1, 5]},
    "limit": {"images": 4},
    "tables": ["vqa_main"],
    "figures": [],
}
Ask = tuple[bool, str, bytes | None]
"""What a request is about: the interface, the prompt and the image."""


def ask_of(request: Request) -> Ask:
    return request.gemini, request.prompt, request.image


def _key_in(request: Request) -> str:
    return KEYS["GEMINI_KEY" if request.gemini else "OPEN_KEY"]


FAULTS = (
    lambda key: told(429, {"message": f"slow down, {key}"}, Retry_After="0"),
    lambda key: told(429, {"message": "slow down"}, Retry_After=formatdate(usegmt=True)),
    lambda key: told(500, {"message": f"no luck with {key}"}),
    lambda key: (200, {}, b'{"choices": [{"mess'),
    lambda key: DROP,
    lambda key: STALL,
)
"""What the first request of some asks meets. The last three leave open whether the answer was made, and paid."""


@dataclass
class Paid:
    """A project, its server, and what the asks of the study meet there."""

    workflow: Workflow
    server: Server
    refused: set[Ask]
    faulty: dict[Ask, int]

    def asked_since(self, start: int) -> Counter[Ask]:
        return Counter(ask_of(request) for request in self.server.requests[start:])

    def committed(self) -> dict[str, int]:
        """How many answers of each model are kept."""
        kept = {}
        for run in MODELS:
            with Journal(self.workflow.results / "journal" / "answer" / run / "minivqa_vqa") as journal:
                assert journal.damaged == 0
                kept[run] = len(journal)
        return kept

    def fewest(self) -> int:
        """Requests that have come, of the model that has sent the fewest."""
        gemini = sum(request.gemini for request in self.server.requests)
        return min(gemini, len(self.server.requests) - gemini)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    workflow = copy_project(tmp_path_factory.mktemp("paid") / "project")
    refused: set[Ask] = set()
    faulty: dict[Ask, int] = {}
    seen: Counter[Ask] = Counter()

    def fault(request: Request, before: int) -> Reply | str | None:
        ask, key = ask_of(request), _key_in(request)
        assert key in str(request.headers) + request.path
        seen[ask] += 1
        kind = int(hashlib.sha256(repr(ask).encode()).hexdigest(), 16) % 40
        if kind == 39 or (kind == 38 and request.gemini):
            refused.add(ask)
            return told(400, {"message": f"the key {key} may not ask this"})
        if kind == 37:
            return 200, {}, gemini_reply("") if request.gemini else openai_reply("")
        if kind == 36:
            return 200, {}, gemini_reply("", "SAFETY") if request.gemini else openai_reply(None, "content_filter")
        if seen[ask] == 1 and len(seen) % 8 == 0:
            faulty[ask] = len(faulty) % len(FAULTS)
            return FAULTS[faulty[ask]](key)
        return None

    with serving(latency=0.05, fault=fault) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        for name, value in KEYS.items():
            patch.setenv(name, value)
        for name, adapter in MODELS.items():
            card = {"name": name, "title": name.title(), "adapter": adapter, "model": "it-1", "timeout": 5.0}
            card |= {"concurrency": IN_FLIGHT, "third_party": True}
            address = server.gemini if adapter == "gemini_api" else server.openai
            card |= {"base_url": address, "key_variable": "GEMINI_KEY" if adapter == "gemini_api" else "OPEN_KEY"}
            (workflow.folder / "config" / "models" / f"{name}.yaml").write_text(yaml.safe_dump(card))
        workflow.write_study(**STUDY)
        yield Paid(workflow, server, refused, faulty)


def test_data_that_may_not_leave_are_sent_to_nobody(paid: Paid) -> None:
    card = paid.workflow.folder / "config" / "datasets" / "minivqa_vqa.yaml"
    before = card.read_text()
    card.write_text(before.replace("third_party_api: allowed", "third_party_api: forbidden"))
    try:
        done = paid.workflow.run(check=False)
    finally:
        card.write_text(before)
    assert done.returncode
    for run in MODELS:
        assert f"{run} runs on somebody else's, and minivqa_vqa must not be sent there" in done.stdout
    assert not paid.server.requests


def test_a_killed_study_goes_on_and_nothing_is_paid_twice(paid: Paid) -> None:
    workflow, server = paid.workflow, paid.server
    process = subprocess.Popen(
        workflow.command("all"),
        cwd=workflow.folder,
        env=environment(),
        text=True,
        stdout=(workflow.folder / "first.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with server.progress:
        assert server.progress.wait_for(lambda: paid.fewest() >= STARTED, timeout=120)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    first, kept = len(server.requests), paid.committed()
    assert min(kept.values()) > 0

    again = workflow.run(check=False)
    if again.returncode:
        assert "--unlock" in again.stdout
        workflow.run("--unlock")
        again = workflow.run()
    (workflow.folder / "second.log").write_text(again.stdout)
    every, since = paid.asked_since(0), paid.asked_since(first)
    for run, adapter in MODELS.items():
        of_it = {ask for ask in every if ask[0] == (adapter == "gemini_api")}
        later = {ask for ask in since if ask in of_it}
        # All that was not kept, and nothing that was: the failed ones are no answers, so they are not among the kept.
        assert len(later) == len(of_it) - kept[run]
        twice = sum(every[ask] - 1 - (ask in paid.faulty) for ask in of_it - paid.refused)
        record = workflow.results / "predictions" / run / "minivqa_vqa.parquet"
        facts = json.loads(record.with_name(f"{record.name}.provenance.json").read_text())["answers"]
        assert 0 <= twice <= min(IN_FLIGHT, facts["repeated"])
        assert facts["reused"] >= kept[run]
        rows = read_rows(record, PredictionRow)
        assert len({(row.sample_id, row.perturbation, row.level) for row in rows}) == len(rows)
        said = Counter(row.status for row in rows)
        assert said["error"] == sum(row.error is not None for row in rows) >= 1
        assert {"ok", "error"} <= set(said) <= {"ok", "error", "empty", "refused"}
        assert all(row.text is None for row in rows if row.status == "error")
    assert set(paid.faulty.values()) == set(range(len(FAULTS)))


def test_tables_come_out_and_failures_are_no_answers(paid: Paid) -> None:
    table = pd.read_csv(paid.workflow.results / "tables" / "vqa_main.csv")
    assert set(table["run"]) == {"open", "gem", "majority_answer"}
    failed = table.groupby("run")["n_failed"].max()
    assert failed["open"] > 0
    assert failed["gem"] > 0
    assert failed["majority_answer"] == 0
    assert table["n_samples"].nunique() == 2  # open and closed questions, of every run the same


def test_the_key_is_in_no_file_and_in_no_output(paid: Paid) -> None:
    files = [path for path in paid.workflow.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    inside = [path for path in files if {"results", ".snakemake"} & set(path.parts)]
    assert any("metadata" in path.parts for path in inside)
    assert any(path.suffix == ".log" and "answer" in path.parts for path in inside)
    said = [path for path in inside if b"<GEMINI_KEY> may not ask" in path.read_bytes()]
    assert {".log", ".json"} <= {path.suffix for path in said}  # what the server said is there, but for the key
    for path in files:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(pq.read_table(path).to_pylist()).encode()
        for key in KEYS.values():
            assert key[:12].encode() not in content, path
