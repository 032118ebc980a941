"""A study of questions and boxes in the real DAG: prepared, perturbed and asked."""

from typing import Any

import pytest

from medstress.records import PredictionRow, read_rows
from tests.scenarios.workflow import Workflow, copy_project

pytestmark = pytest.mark.scenario

ASKED: dict[str, Any] = {
    "datasets": ["minivqa_vqa", "minivqa_grounding"],
    "runs": ["tiny_vlm", "majority_answer"],
    "perturbations": {"types": ["rotation"], "levels": [1, 5]},
    "limit": {"images": 4},
    "tables": ["calibration"],
    "figures": [],
}


def asked(workflow: Workflow, run: str, dataset: str) -> str:
    return f"results/{workflow.study}/predictions/{run}/{dataset}.parquet"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = copy_project(tmp_path_factory.mktemp("asked") / "project")
    workflow.write_study(**ASKED)
    workflow.run(*(asked(workflow, run, dataset) for run in ASKED["runs"] for dataset in ASKED["datasets"]))
    return workflow


def test_every_question_is_answered_in_every_cell(workflow: Workflow) -> None:
    cells = {}
    for run in ASKED["runs"]:
        for dataset in ASKED["datasets"]:
            rows = read_rows(workflow.folder / asked(workflow, run, dataset), PredictionRow)
            assert {row.status for row in rows} <= {"ok", "empty", "unparsable"}
            assert all(row.text for row in rows if row.status == "ok")
            assert any(row.box for row in rows) == (dataset == "minivqa_grounding")
            cells[run, dataset] = [(row.sample_id, row.perturbation, row.level) for row in rows]
    for dataset in ASKED["datasets"]:
        found = cells["tiny_vlm", dataset]
        assert found == cells["majority_answer", dataset]
        assert len(set(found)) == len(found)
        clean = [cell for cell in found if cell[1:] == ("clean", 0)]
        assert found[: len(clean)] == clean
        assert len(found) == 3 * len(clean)


def test_a_deleted_record_comes_back_from_the_journal_byte_by_byte(workflow: Workflow) -> None:
    target = asked(workflow, "tiny_vlm", "minivqa_vqa")
    record = workflow.folder / target
    before = record.read_bytes()
    record.unlink()
    workflow.run(target)
    assert record.read_bytes() == before
    log = (workflow.results / "logs/answer/tiny_vlm/minivqa_vqa.log").read_text()
    assert log.startswith("asked: 0, reused: ")


def test_another_prompt_asks_what_it_changes(workflow: Workflow) -> None:
    target = asked(workflow, "tiny_vlm", "minivqa_vqa")
    whole = len(read_rows(workflow.folder / target, PredictionRow))
    workflow.write_study(**ASKED, question_prompts={"open": "{question}\nAnswer briefly."})
    planned = workflow.planned(target)
    assert planned == {"answer": 1}
    workflow.run(target)
    first = (workflow.results / "logs/answer/tiny_vlm/minivqa_vqa.log").read_text().splitlines()[0]
    numbers = [int(part.split()[-1]) for part in first.split(",")[:2]]
    assert 0 < numbers[0] < whole
    assert sum(numbers) == whole
