"""The published studies of classifiers: valid configurations that are planned without weights and without data."""

import subprocess
import sys
from pathlib import Path

import pytest

from medstress.configfile import load_project
from medstress.perturb.scales.registry import SCALES
from tests.conftest import ROOT
from tests.scenarios.workflow import copy_project, environment

SEVEN = ["brightness", "contrast", "gaussian_noise", "impulse_noise", "motion_blur", "pixelate", "zoom_blur"]
MEDIMETA = ["aml", "pbc", "fundus", "mammo_calc", "mammo_mass", "pneumonia", "oct"]
MODELS = {
    "clip_vit_b16": "clip",
    "clip_rn50": "open_clip",
    "medclip_swin": "medclip",
    "medclip_resnet": "medclip",
    "biomedclip": "open_clip",
    "unimedclip_b16": "unimed_clip",
    "unimedclip_l14": "unimed_clip",
    "rmedclip_vit": "robust_medclip",
    "rmedclip_resnet": "robust_medclip",
}


@pytest.fixture
def study(monkeypatch):
    monkeypatch.chdir(ROOT)
    return lambda name: load_project(Path("config") / name)


def test_robustmedclip_is_the_published_study(study):
    project = study("robustmedclip.yaml")
    medimeta = [f"medimeta_{name}" for name in MEDIMETA]
    medmnist = [f"{name}mnist" for name in ("blood", "retina", "breast", "oct", "pneumonia")]
    assert set(project.study.datasets) == {*medimeta, *medmnist}
    assert {name: project.reads_corrupted(name) for name in medimeta} == dict.fromkeys(medimeta, True)
    assert all(project.perturbations_on(name) == SEVEN for name in project.study.datasets)
    assert {name: card.adapter for name, card in project.models.items()} == {
        **MODELS,
        "majority_class": "majority_class",
    }
    # Classes of all data sets together: the label space of the published tuning.
    tuned = next(name for name in project.runs if name.startswith("biomedclip+paper_fewshot_1@"))
    texts = project.finetune_spec(tuned).texts
    assert sum(len(one.classes) for one in texts.values()) == 57
    shares = {
        project.strategies[run.strategy].few_shot.fraction
        for run in project.runs.values()
        if run.strategy and run.model == "biomedclip"
    }
    assert {0.1, 0.3, 0.75} < shares


def test_the_published_prompt_word_for_word(study):
    project = study("robustmedclip.yaml")
    assert project.texts_of("clip_vit_b16~published", "medimeta_oct").texts == [
        [f"a medical image of a {name} belonging to oct"] for name in ("CNV", "NORMAL", "DME", "DRUSEN")
    ]
    assert project.texts_of("clip_vit_b16~published", "retinamnist").texts[3] == [
        "a medical image of a 3 belonging to retinamnist"
    ]
    assert project.texts_of("clip_vit_b16~modality", "breastmnist").texts[0] == [
        "a breast ultrasound photo of malignant"
    ]


def test_medmnist_c_has_its_131_pairs(study):
    project = study("medmnist_c.yaml")
    made = {name: project.perturbations_on(name) for name in project.study.datasets}
    assert sum(map(len, made.values())) == 131
    for name, types in made.items():
        assert set(types) == set(SCALES["medmnist_c"].variants[name.removesuffix("_c")])
    assert [name for name in made if not project.reads_corrupted(name)] == ["tissuemnist"]
    assert project.perturb_spec("bloodmnist_c", "jpeg").corrupted.original == "jpeg_compression"
    assert project.perturb_spec("chestmnist_c", "gamma_up").corrupted.original == "gamma_corr_up"


@pytest.mark.scenario
def test_they_are_planned_for_a_cluster_without_weights_and_data(study, tmp_path):
    workflow = copy_project(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--profile", "slurm"]
    done = subprocess.run(
        [*command, "--configfile", "config/robustmedclip.yaml"],
        cwd=workflow.folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    adapted, asked, sets = (4 + 3) * 3, len(MODELS) * 3, 12
    expected = {
        "fetch_weights": len(MODELS),
        "prepare_dataset": sets,
        "perturb": sets * len(SEVEN),
        "embed_texts": len(MODELS),
        "embed": (len(MODELS) + adapted) * sets,
        "finetune": adapted,
        "classify": (1 + asked + adapted) * sets,
        "score": (1 + asked + adapted) * sets,
        "table": len(study("robustmedclip.yaml").study.tables),
        "page": 1,
    }
    assert {rule: int(jobs[rule]) for rule in expected} == expected
