"""Judges and ratings of a study: what fits, and all that does not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from medstress.configfile import load_project
from medstress.judge_slice import judge_spec, judged
from medstress.problems import ConfigError
from medstress.project import Project
from medstress.table_slice import table_spec

ROOT = Path(__file__).parent.parent.parent
JUDGE = {"name": "strict", "title": "Strict", "model": "gpt_4o_mini"}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)


def loaded(**changes: Any) -> Project:
    study = {
        "study": "toy",
        "datasets": ["minivqa_vqa", "minivqa_captioning"],
        "runs": ["tiny_vlm", "majority_answer"],
        "perturbations": {"types": ["jpeg"], "levels": [1]},
        "tables": ["judge_agreement"],
        "figures": [],
        "judges": [JUDGE],
    }
    path = Path("config/toy.yaml")
    path.write_text(yaml.safe_dump(study | changes))
    return load_project(path)


def problems(**changes: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        loaded(**changes)
    return {problem.key: f"{problem.found}: {problem.expected}" for problem in caught.value.problems}


def test_every_answer_to_a_question_is_judged() -> None:
    project = loaded()
    assert judged(project) == [("tiny_vlm", "minivqa_vqa"), ("majority_answer", "minivqa_vqa")]
    assert list(project.runs) == ["tiny_vlm", "majority_answer"]
    spec = judge_spec(project, "strict", "tiny_vlm", "minivqa_vqa")
    assert (spec.model.name, spec.third_party_api) == ("gpt_4o_mini", "allowed")
    # What only names it must not cost a judging.
    renamed = loaded(judges=[JUDGE | {"title": "Very strict"}])
    assert judge_spec(renamed, "strict", "tiny_vlm", "minivqa_vqa") == spec
    assert table_spec(renamed).judges == {"strict": "Very strict"}


def test_judges_that_cannot_judge() -> None:
    found = problems(
        judges=[
            {**JUDGE, "name": "most", "model": "majority_answer"},
            {**JUDGE, "name": "typo", "model": "gpt_4o_mni"},
            {**JUDGE, "name": "box", "model": "box_fill"},
        ],
        ratings=["ratings/al.csv"],
    )
    assert set(found) == {"judges.0.model", "judges.1.model", "judges.2.model", "ratings.0"}
    assert "local_vlm, openai_api or gemini_api, not majority_answer" in found["judges.0.model"]
    assert "gpt_4o_mini" in found["judges.1.model"]
    assert "medstress rating-sheet" in found["ratings.0"]


def test_data_that_may_not_leave() -> None:
    card = Path("config/datasets/minivqa_vqa.yaml")
    card.write_text(card.read_text().replace("third_party_api: allowed", "third_party_api: forbidden"))
    assert "third_party_api is forbidden in minivqa_vqa" in problems()["judges.0.model"]
    assert loaded(judges=[JUDGE | {"model": "tiny_vlm"}])


def test_the_table_needs_something_to_compare() -> None:
    assert "`judges` or `ratings`" in problems(judges=[])["tables.0"]
    found = problems(datasets=["minivqa_captioning"])
    assert {"judges", "tables.0"} <= set(found)


def test_two_judges_of_one_name() -> None:
    assert any("judges names strict more than once" in text for text in problems(judges=[JUDGE, JUDGE]).values())
