"""The full published study: a valid configuration that is planned without weights and without data."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from medstress.cards.attack import EPSILONS, STEPS
from medstress.configfile import load_project
from medstress.names import PerturbationName
from medstress.perturb.registry import PERTURBATIONS
from medstress.table_slice import table_spec
from tests.conftest import ROOT
from tests.scenarios.workflow import Workflow, copy_project, environment

DATASETS = ["isic2016", "brain_tumour", "kvasir", "glaucoma_disc", "glaucoma_cup"]
METHODS = [
    "full",
    "decoder_only",
    "decoder_prompt",
    "encoder_partial",
    "adapter_only",
    "lora",
    "lora_plus_encoder",
    "lora_plus_decoder",
]


@pytest.fixture(scope="module")
def project():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield load_project(Path("config/medfm_robust.yaml"))


def test_the_study_is_the_published_one(project):
    assert project.study.datasets == DATASETS
    for model in ("medsam", "sam_med2d"):
        adapted = [run for run in project.runs.values() if run.model == model and run.strategy]
        assert {project.strategies[run.strategy].method for run in adapted} == set(METHODS)
        assert {run.trainset for run in adapted} == set(DATASETS)
        # Each strategy on each data set with three seeds.
        assert len(adapted) == len(METHODS) * len(DATASETS) * 3
    budgets = {(card.steps, card.batch) for card in project.strategies.values()}
    assert len(budgets) == 1
    attacks = {attack.method: attack for attack in project.study.attacks}
    assert set(attacks) == {"fgsm", "pgd"}
    assert all((attack.epsilons, attack.steps) == (EPSILONS, STEPS) for attack in attacks.values())
    assert attacks["pgd"].step_size == "published"


def test_the_forty_types_are_made_where_they_fit(project):
    asked = project.study.perturbations
    forty = list(get_args(PerturbationName))[:40]
    assert set(forty) < set(asked.types)
    assert asked.levels == [1, 2, 3, 4, 5]
    general = [name for name in forty if not PERTURBATIONS[name].modalities]
    own = {name: [kind for kind in project.perturbations_on(name) if kind not in general] for name in DATASETS}
    assert all(len(project.perturbations_on(name)) == 12 + len(own[name]) for name in DATASETS)
    fundus = ["fundus_illumination", "fundus_haze", "fundus_spots"]
    assert own == {
        "isic2016": ["vignette", "light_reflection", "hair"],
        "brain_tumour": ["mri_motion", "mri_bias_field", "mri_ghosting"],
        "kvasir": ["vignette", "endo_specular", "endo_bubbles", "endo_blood", "endo_overexposure"],
        "glaucoma_disc": fundus,
        "glaucoma_cup": fundus,
    }
    # Tables do not know of types that fit no data set.
    spec = table_spec(project)
    assert len(spec.perturbations) == 12 + 3 + 3 + 4 + 3
    assert set(spec.medical) == set(spec.perturbations) - set(general)


@pytest.mark.scenario
def test_it_is_planned_for_a_cluster_without_weights_and_data(project, tmp_path):
    workflow = copy_project(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--profile", "slurm"]
    done = subprocess.run(
        [*command, "--configfile", "config/medfm_robust.yaml"],
        cwd=workflow.folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    runs, baselines = 2 * (5 + 8 * 5 * 3), 2 * 5
    expected = {
        "prepare_dataset": 5,
        "perturb": 5 * 12 + 3 + 3 + 5 + 3 + 3,
        "finetune": 2 * 8 * 5 * 3,
        "attack": runs,
        "predict": runs + baselines,
        "score": runs + baselines,
        "table": len(project.study.tables),
        "figure": len(project.study.figures),
        "page": 1,
    }
    assert {rule: int(jobs[rule]) for rule in expected} == expected
    assert not Workflow(workflow.folder, "medfm_robust").results.exists()
