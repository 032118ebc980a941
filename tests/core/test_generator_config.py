"""What a study may say about models that answer in words."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from medstress.answer_slice import answer_spec
from medstress.cards.model import ModelCard, has_gradients, tasks_of
from medstress.configfile import load_project
from medstress.problems import ConfigError, Problem
from medstress.project import Project
from medstress.specs import AnswerSpec
from medstress.table_slice import table_spec
from tests.conftest import ROOT

STUDY: dict[str, Any] = {
    "study": "asked",
    "datasets": ["minivqa_vqa", "minivqa_captioning", "nuclei"],
    "runs": ["tiny_vlm", "tiny_vlm~no_image", "majority_answer", "box_fill"],
    "perturbations": {"types": ["gaussian_noise"]},
    "tables": ["calibration"],
    "figures": [],
}
SHEET = {"format": "sheet", "sheet": "s.csv"}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def project(folder: Path, **changes: Any) -> Project:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes))
    return load_project(path)


def problems(folder: Path, **changes: Any) -> dict[str, Problem]:
    with pytest.raises(ConfigError) as caught:
        project(folder, **changes)
    return {problem.key: problem for problem in caught.value.problems}


def own_dataset(folder: Path, name: str, **changes: Any) -> None:
    (folder / "datasets").mkdir(exist_ok=True)
    split = {"unit": "image", "by": "fraction"}
    card = {"task": "vqa", "name": name, "title": "Own", "modality": "mri", "source": SHEET, "split": split}
    (folder / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(card | {"licence": "own"} | changes))


def test_a_generator_is_scored_on_every_task_of_words_and_on_nothing_else(tmp_path: Path) -> None:
    found = project(tmp_path)
    asked = ["minivqa_vqa", "minivqa_captioning"]
    assert {run: found.scored_on(run) for run in found.runs} == {
        "tiny_vlm": asked,
        "tiny_vlm~no_image": asked,
        "majority_answer": asked,
        "box_fill": ["nuclei"],
    }
    assert [run.image for run in found.runs.values()] == [True, False, True, True]


def test_tasks_of_cards(tmp_path: Path) -> None:
    cards: dict[str, ModelCard] = dict(project(tmp_path).models)
    assert tasks_of(cards["tiny_vlm"]) == tasks_of(cards["majority_answer"]) == {"vqa", "captioning", "grounding"}
    assert tasks_of(cards["box_fill"]) == {"segmentation"}
    assert not any(map(has_gradients, cards.values()))


def test_tables_know_the_baselines_and_the_shifts(tmp_path: Path) -> None:
    spec = table_spec(project(tmp_path))
    assert spec.baselines == ["tiny_vlm~no_image", "majority_answer", "box_fill"]
    assert spec.no_image == {"tiny_vlm": "tiny_vlm~no_image"}
    assert spec.runs["tiny_vlm~no_image"] == "Tiny VLM without the image"
    assert spec.shifts == {"minivqa_vqa": ["organ_unseen", "tumour_larger"]}


def test_an_answer_depends_on_its_slice_alone(tmp_path: Path) -> None:
    found = project(tmp_path)
    spec = answer_spec(found, "tiny_vlm~no_image", "minivqa_vqa")
    assert (spec.image, spec.model.title, spec.split) == (False, "", "test")
    assert [shift.name for shift in spec.shifts] == ["organ_unseen", "tumour_larger"]
    assert AnswerSpec.model_validate_json(spec.model_dump_json()) == spec
    prompts = {"caption": "What is this?"}
    assert (
        answer_spec(project(tmp_path, question_prompts=prompts), "tiny_vlm", "minivqa_vqa").prompts.caption
        == "What is this?"
    )
    same = project(tmp_path, tables=["calibration"], statistics={"resamples": 300})
    assert answer_spec(same, "tiny_vlm~no_image", "minivqa_vqa") == spec


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("tiny_vlm~published", "tiny_vlm~no_image for the same without the image"),
        ("majority_answer~no_image", "only a run with a strategy"),
        ("gpt_4o_mini+lora", "gpt_4o_mini alone: it runs elsewhere"),
        ("tiny_vlm+lora", "a strategy with a method such as vlm_lora: lora is for other models"),
        ("tiny_sam+vlm_lora", "a run of a vision-language model on this machine"),
        ("majority_answer+lora", "majority_answer alone: it is training-free"),
    ],
)
def test_parts_of_a_run_go_together(tmp_path: Path, run: str, expected: str) -> None:
    found = problems(tmp_path, runs=["tiny_vlm", "box_fill", run])
    assert expected in found["runs.2"].expected


@pytest.mark.parametrize("run", ["gpt_4o_mini", "gemini", "gemini~no_image"])
def test_forbidden_data_are_not_sent_to_a_third_party(tmp_path: Path, run: str) -> None:
    own_dataset(tmp_path, "secret")
    problem = problems(tmp_path, datasets=["minivqa_vqa", "secret"], runs=["tiny_vlm", run])["runs.1"]
    assert problem.line is not None
    assert "a model on a server of your own" in problem.expected
    assert "secret must not be sent" in problem.expected
    assert "third_party_api: allowed" in problem.expected
    assert "minivqa_vqa" not in problem.expected
    assert set(project(tmp_path, datasets=["minivqa_vqa"], runs=[run]).runs) == {run}


def test_majority_needs_a_train_split(tmp_path: Path) -> None:
    own_dataset(tmp_path, "all_test", split={"unit": "image", "by": "fraction", "val": 0, "test": 1})
    problem = problems(tmp_path, datasets=["all_test"], runs=["tiny_vlm", "majority_answer"])["runs.1"]
    assert "a train split, which majority_answer learns from; none in: all_test" in problem.expected


def test_a_run_needs_a_data_set_of_its_tasks(tmp_path: Path) -> None:
    found = problems(tmp_path, datasets=["nuclei"])
    assert set(found) == {"runs.0", "runs.1", "runs.2"}
    assert "a data set for captioning or grounding or vqa" in found["runs.0"].expected
    found = problems(tmp_path, runs=["box_fill"])
    assert set(found) == {"datasets.0", "datasets.1"}


def test_models_that_answer_in_words_are_not_attacked(tmp_path: Path) -> None:
    attacks = [{"name": "fgsm", "method": "fgsm"}]
    found = problems(tmp_path, attacks=attacks)
    assert "no other has gradients to attack it with" in found["attacks"].expected
    mixed = project(tmp_path, attacks=attacks, runs=["tiny_vlm", "tiny_sam"])
    assert [run for run in mixed.runs if mixed.attacked(run)] == ["tiny_sam"]


def test_a_run_may_be_asked_about_one_data_set_alone(tmp_path: Path) -> None:
    own_dataset(tmp_path, "secret")
    runs = ["majority_answer@minivqa_vqa", "gpt_4o_mini@minivqa_vqa", "gpt_4o_mini@minivqa_vqa~no_image"]
    found = project(tmp_path, datasets=["minivqa_vqa", "secret"], runs=["tiny_vlm", *runs])
    assert [found.scored_on(run) for run in found.runs] == [["minivqa_vqa", "secret"], *[["minivqa_vqa"]] * 3]
    spec = table_spec(found)
    assert list(spec.runs) == ["tiny_vlm", "majority_answer", "gpt_4o_mini", "gpt_4o_mini~no_image"]
    assert spec.no_image == {"gpt_4o_mini": "gpt_4o_mini~no_image"}
    assert spec.runs_on("secret") == ["tiny_vlm"]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("tiny_vlm@slake", "@ followed by minivqa_vqa, minivqa_captioning, nuclei, one of the study's data sets"),
        ("tiny_vlm@nuclei", "a data set that tiny_vlm can be asked about"),
        ("tiny_vlm@minivqa_vqa", "only one of tiny_vlm@minivqa_vqa and the run without @minivqa_vqa, which asks all"),
        ("box_fill@nuclei", "only a run with a strategy"),
    ],
)
def test_a_run_about_one_data_set_needs_one_that_fits(tmp_path: Path, run: str, expected: str) -> None:
    assert expected in problems(tmp_path, runs=["tiny_vlm", "box_fill", run])["runs.2"].expected


def test_types_of_a_modality_are_made_for_a_mixed_data_set_that_names_it(tmp_path: Path) -> None:
    own_dataset(tmp_path, "some", modality="mixed", modalities=["xray", "ct"])
    own_dataset(tmp_path, "any", modality="mixed")
    types = ["gaussian_noise", "xray_grid", "window_level", "mri_motion"]
    asked = {"types": types, "unfitting": "leave_out"}
    found = project(tmp_path, datasets=["some", "any"], runs=["tiny_vlm"], perturbations=asked)
    assert found.perturbations_on("some") == types[:3]
    assert found.perturbations_on("any") == ["gaussian_noise"]
    assert found.score_spec("tiny_vlm", "some").partial == table_spec(found).partial["some"] == types[1:3]
    assert found.score_spec("tiny_vlm", "any").partial == []
    own_dataset(tmp_path, "some", modality="ct", modalities=["ct"])
    message = problems(tmp_path, datasets=["some"], runs=["tiny_vlm"])
    assert any("modalities goes with modality: mixed" in one.expected + one.found for one in message.values())


def test_an_encoder_of_sentences_has_captions_to_compare(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    assert (
        "config.json, model.safetensors" in problems(tmp_path, caption_encoder=str(encoder))["caption_encoder"].expected
    )
    encoder.mkdir()
    (encoder / "config.json").write_text("{}")
    assert table_spec(project(tmp_path, caption_encoder=str(encoder))).caption_similarity
    found = problems(tmp_path, datasets=["minivqa_vqa"], runs=["tiny_vlm"], caption_encoder=str(encoder))
    assert "a data set for captioning" in found["caption_encoder"].expected
