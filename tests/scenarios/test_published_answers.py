"""The published studies of vision-language models: valid configurations, planned without weights and without data."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medstress.answer_slice import answer_spec
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.local_vlm import LocalVlm
from medstress.configfile import load_project
from medstress.judge_slice import judged
from medstress.perturb.registry import PERTURBATIONS
from medstress.project import Project
from medstress.runs import family_of
from medstress.table_slice import table_spec
from tests.conftest import ROOT
from tests.scenarios.workflow import Workflow, copy_project, environment

LOCAL = ["llava_med", "medgemma", "medgemma_15"]
GENERAL = [name for name, kind in PERTURBATIONS.items() if not kind.modalities][:12]
SHIFTS = {
    "modality_xray": "slake",
    "content_size": "slake",
    "organ_leg": "ovqa",
    "question_organ_system": "ovqa",
    "gender_female": "mimic_cxr_vqa",
    "ethnicity_nonwhite": "mimic_cxr_vqa",
    "age_young": "mimic_cxr_vqa",
}
TUNINGS = ("lora", "ia3", "prompt", "full", "lora_no_image")
RANKS = (16, 32, 64, 128, 256)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Project]:
    monkeypatch.chdir(ROOT)
    return lambda name: load_project(Path("config") / name)


def planned(folder: Path, name: str) -> dict[str, int]:
    workflow = copy_project(folder)
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--profile", "slurm"]
    done = subprocess.run(
        [*command, "--configfile", f"config/{name}.yaml"],
        cwd=workflow.folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert not Workflow(workflow.folder, name).results.exists()
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_medfm_robust_asks_whom_it_may(study: Callable[[str], Project]) -> None:
    project = study("medfm_robust_vlm.yaml")
    sets = ["omnimedvqa", "rocov2", "mecovqa"]
    assert [project.datasets[name].task for name in sets] == ["vqa", "captioning", "grounding"]
    asked = {run: project.scored_on(run) for run in project.runs}
    for model in LOCAL:
        assert asked[model] == asked[f"{model}~no_image"] == sets
        assert asked[f"{model}+paper_vlm_lora_boxes@mecovqa~seed0"] == ["mecovqa"]
    for model in ("gpt_4o_mini", "gemini"):
        card = project.models[model]
        assert isinstance(card, OpenAiApi | GeminiApi)
        assert card.spending_limit is not None
        assert asked[f"{model}@rocov2"] == asked[f"{model}@rocov2~no_image"] == ["rocov2"]
    # The scored images are drawn; the models are tuned on all that there are.
    limit = project.study.limit
    assert (limit.of("test").images, limit.of("val").images, limit.of("train").images) == (500, 500, None)
    spec = table_spec(project)
    assert spec.baselines[0] == "majority_answer"
    assert spec.no_image == {model: f"{model}~no_image" for model in (*LOCAL, "gpt_4o_mini", "gemini")}
    assert "{options}" in answer_spec(project, "medgemma", "omnimedvqa").prompts.closed


def test_medfm_robust_perturbs_images_by_their_own_modality(study: Callable[[str], Project]) -> None:
    project = study("medfm_robust_vlm.yaml")
    made = {name: project.perturbations_on(name) for name in project.study.datasets}
    assert all(types[:12] == GENERAL and types[12:] == project.partial_on(name) for name, types in made.items())
    radiology = {"xray_grid", "window_level", "ct_metal_streaks", "mri_ghosting", "us_reverberation"}
    assert all(radiology < set(types) for types in made.values())
    assert set(made["rocov2"]) - set(made["omnimedvqa"]) == {"angio_haze"}
    assert set(made["omnimedvqa"]) - set(made["mecovqa"]) == {
        "oct_shadow",
        "oct_blink",
        "oct_row_motion",
        "oct_defocus",
        "oct_speckle",
        "path_bubbles",
    }
    assert {name: len(types) for name, types in made.items()} == {"omnimedvqa": 41, "rocov2": 26, "mecovqa": 35}


def test_sure_vqa_tunes_in_every_way_on_every_shift(study: Callable[[str], Project]) -> None:
    project = study("sure_vqa.yaml")
    trained = {run: project.finetune_spec(run) for run in project.runs if project.trained_on(run)}
    for tuning in TUNINGS:
        for shift, dataset in SHIFTS.items():
            for seed in (123, 124, 125):
                name = f"llava_med+paper_vlm_{tuning}_{shift}@{dataset}~seed{seed}"
                spec = trained.pop(name)
                assert spec.shift is not None
                assert spec.shift.name == shift
                assert project.scored_on(name) == [dataset]
                assert [one.name for one in project.score_spec(name, dataset).shifts] == [shift]
                assert project.runs[name].image == (tuning != "lora_no_image")
    # What is left has no shift: each way of tuning, and the sweep.
    assert not any(spec.shift for spec in trained.values())
    whole = {f"llava_med+paper_vlm_{tuning}" for tuning in TUNINGS}
    assert {family_of(run) for run in trained} == whole | {f"llava_med+paper_vlm_lora_r{rank}" for rank in RANKS}
    rates = {(one.learning_rate, *one.sweep) for one in project.strategies.values() if one.sweep}
    assert rates == {(3e-5, 3e-4, 3e-3)}
    asked = project.shifts_of("llava_med", "slake")
    assert [(one.name, one.lend_from) for one in asked] == [("modality_xray", ["train"]), ("content_size", [])]


def test_sure_vqa_has_its_corruptions_baselines_and_judges(study: Callable[[str], Project]) -> None:
    project = study("sure_vqa.yaml")
    types = ["gaussian_blur", "brightness", "gaussian_noise", "compound"]
    assert all(project.perturbations_on(name) == types for name in project.study.datasets)
    assert (project.study.perturbations.scale, project.study.perturbations.levels) == ("sure_vqa", [1, 2, 3])
    assert table_spec(project).baselines[:5] == [
        "majority_answer_global",
        "majority_answer",
        "majority_answer_content_type",
        "majority_answer_drawn",
        "llava_med~no_image",
    ]
    judges = [project.models[judge.model] for judge in project.study.judges]
    assert [(card.adapter, card.name) for card in judges] == [
        ("local_vlm", "gemma_2_9b_it"),
        ("local_vlm", "mistral_7b_instruct"),
    ]
    assert not any(card.image for card in judges if isinstance(card, LocalVlm))
    assert len(judged(project)) == sum(len(project.scored_on(run)) for run in project.runs)


@pytest.mark.scenario
def test_medfm_robust_is_planned_for_a_cluster_without_weights_and_data(
    study: Callable[[str], Project], tmp_path: Path
) -> None:
    jobs = planned(tmp_path / "project", "medfm_robust_vlm")
    answers = 2 + 2 * 3 * len(LOCAL) + 2 * 2 + len(LOCAL)
    expected = {
        "fetch_dataset": 3,
        "fetch_weights": len(LOCAL),
        "prepare_dataset": 3,
        "perturb": 41 + 26 + 35,
        "finetune": len(LOCAL),
        "answer": answers,
        "score": answers,
        "table": len(study("medfm_robust_vlm.yaml").study.tables),
        "page": 1,
    }
    assert {rule: jobs.get(rule) for rule in expected} == expected
    assert "judge" not in jobs


@pytest.mark.scenario
def test_sure_vqa_is_planned_for_a_cluster_without_weights_and_data(
    study: Callable[[str], Project], tmp_path: Path
) -> None:
    jobs = planned(tmp_path / "project", "sure_vqa")
    tuned = 3 * (len(TUNINGS) * (len(SHIFTS) + 3) + len(RANKS) * 3)
    answers = tuned + 3 * (4 + 2)
    expected = {
        "fetch_weights": 3,
        "prepare_dataset": 3,
        "perturb": 3 * 4,
        "finetune": tuned,
        "answer": answers,
        "judge": 2 * answers,
        "score": answers,
        "table": len(study("sure_vqa.yaml").study.tables),
        "page": 1,
    }
    assert {rule: jobs.get(rule) for rule in expected} == expected
