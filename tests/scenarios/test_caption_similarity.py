"""Captions compared by an encoder of sentences in the real DAG."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.models.sentence_folder import write_sentence_encoder
from tests.scenarios.workflow import Workflow, copy_project

pytestmark = pytest.mark.scenario

STUDY: dict[str, Any] = {
    "datasets": ["minivqa_captioning"],
    "runs": ["majority_answer"],
    "perturbations": {"types": ["brightness"], "levels": [1]},
    "limit": {"images": 3},
    "tables": ["captioning_main"],
    "figures": [],
}
TABLE = "results/small/tables/captioning_main.csv"
JOBS = {"embed_captions": 1, "score": 1, "table": 1}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    workflow = copy_project(tmp_path_factory.mktemp("similar") / "project")
    write_sentence_encoder(workflow.folder / "downloads" / "encoder")
    workflow.write_study(**STUDY)
    workflow.run(TABLE)
    return workflow


def scored(folder: Path) -> set[str]:
    return set(pd.read_csv(folder / "tables" / "captioning_main.csv")["metric"])


def test_it_is_made_only_where_it_is_asked_for(workflow: Workflow) -> None:
    assert "caption_similarity" not in scored(workflow.results)
    workflow.write_study(**STUDY, caption_encoder="downloads/encoder")
    assert workflow.planned(TABLE) == JOBS
    workflow.run(TABLE)
    assert "caption_similarity" in scored(workflow.results)
    scores = pd.read_parquet(workflow.results / "scores" / "majority_answer" / "minivqa_captioning.parquet")
    values = scores[scores["metric"] == "caption_similarity"]["value"]
    assert len(values) == 6
    assert values.between(-1, 1 + 1e-6).all()
    assert values.gt(0.1).any()
    assert workflow.planned(TABLE) == {}
    workflow.write_study(**STUDY)
    assert workflow.planned(TABLE) == {"score": 1, "table": 1}


def test_a_folder_that_is_not_there_is_said_before_any_work(workflow: Workflow) -> None:
    workflow.write_study(**STUDY, caption_encoder="downloads/nowhere")
    done = workflow.run("--dry-run", TABLE, check=False)
    assert done.returncode
    assert "caption_encoder" in done.stdout
    assert "a folder with config.json" in done.stdout
