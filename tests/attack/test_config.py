"""What a study may say about attacks."""

import shutil

import pytest
import yaml
from pydantic import ValidationError

from medstress.cli import main
from medstress.configfile import load_project
from medstress.problems import ConfigError
from medstress.table_slice import table_spec
from tests.attack.conftest import attack
from tests.conftest import ROOT

STUDY = {
    "study": "attacked",
    "datasets": ["nuclei", "lung_ct_tumour"],
    "runs": ["box_fill", "tiny_sam", "tiny_sam+lora@lung_ct_tumour~seed0"],
    "perturbations": {"types": ["jpeg"], "levels": [5, 2]},
    "attacks": [{"name": "fgsm", "method": "fgsm"}, {"name": "pgd", "method": "pgd", "keep_images": True}],
    "transfer": True,
    "tables": ["segmentation_adversarial", "segmentation_transfer"],
}
ADAPTED = "tiny_sam+lora@lung_ct_tumour~seed0"


@pytest.fixture
def load(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)

    def project(**changes):
        path = tmp_path / "config" / "attacked.yaml"
        path.write_text(yaml.safe_dump(STUDY | changes))
        return load_project(path.relative_to(tmp_path))

    return project


def test_only_runs_with_gradients_are_attacked(load):
    project = load()
    assert [run for run in project.runs if project.attacked(run)] == ["tiny_sam", ADAPTED]
    spec = project.attack_spec(ADAPTED, "lung_ct_tumour")
    assert (spec.strategy.name, spec.seed, spec.levels) == ("lora", 0, [2, 5])
    assert project.score_spec("box_fill", "nuclei").unmoved == []
    assert project.score_spec(ADAPTED, "lung_ct_tumour").unmoved == ["fgsm", "pgd"]
    table = table_spec(project)
    assert table.attacks == {name: [2, 4, 6, 8, 10] for name in ("fgsm", "pgd")}
    assert (table.attacked, table.transfer, table.kept) == (["tiny_sam", "tiny_sam+lora"], ["tiny_sam"], ["pgd"])


def test_images_of_a_model_are_shown_to_all_other_runs(load):
    project = load()
    shown = {run: project.transfer_inputs(run, "lung_ct_tumour") for run in project.runs}
    assert shown == {"box_fill": ["tiny_sam"], "tiny_sam": [], ADAPTED: ["tiny_sam"]}
    alone = load(transfer=False, tables=["segmentation_adversarial"])
    assert not any(alone.transfer_inputs(run, "lung_ct_tumour") for run in alone.runs)


def test_attacks_may_be_made_on_some_data_sets_alone(load):
    project = load(attacked_datasets=["lung_ct_tumour"])
    assert project.transfer_inputs("box_fill", "lung_ct_tumour") == ["tiny_sam"]
    assert project.transfer_inputs("box_fill", "nuclei") == []
    assert project.score_spec("tiny_sam", "lung_ct_tumour").unmoved == ["fgsm", "pgd"]
    assert project.score_spec("tiny_sam", "nuclei").unmoved == []
    assert table_spec(project).attacked_datasets == ["lung_ct_tumour"]
    with pytest.raises(ConfigError, match="did you mean nuclei"):
        load(attacked_datasets=["nucleus"])


def test_validate_names_the_runs_that_are_not_attacked(load, monkeypatch, capsys):
    load()
    monkeypatch.setattr("sys.argv", ["medstress", "validate", "config/attacked.yaml"])
    assert main() == 0
    assert "not attacked, for want of gradients: box_fill\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"runs": ["box_fill"]}, "attacks", "a run of a model with weights"),
        ({"attacks": [], "transfer": False}, "tables.0", "a study with `attacks`"),
        ({"transfer": False}, "tables.1", "a study with `transfer`"),
        ({"attacks": STUDY["attacks"][:1]}, "", "transfer needs an attack with keep_images"),
        ({"attacks": [{"name": "jpeg", "method": "fgsm", "keep_images": True}]}, "", "names jpeg more than once"),
    ],
)
def test_what_does_not_go_together_is_said(load, changes, key, expected):
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    found = {problem.key: problem.expected for problem in caught.value.problems}
    assert expected in found[key]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epsilons": [0.5, 1, 2, 3, 4]}, "1 to 255 grey levels"),
        ({"epsilons": [2, 4, 6, 8, 256]}, "1 to 255 grey levels"),
        ({"norm": "l2"}, "epsilons with norm: l2: five radii in grey levels over the whole image"),
        ({"norm": "l2", "epsilons": [2, 4, 6, 8, 100_001]}, "1 to 100000 grey levels"),
        ({"steps": [0, 1, 2, 3, 4]}, "at least one step"),
        ({"method": "fgsm", "restarts": 2}, "method: pgd"),
        ({"method": "fgsm", "momentum": 0.9}, "method: pgd"),
    ],
)
def test_an_attack_that_makes_no_sense(changes, said):
    with pytest.raises(ValidationError, match=said):
        attack(**changes)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_radii_of_l2_survive_the_way_through_a_job(method):
    given = attack(method, norm="l2", epsilons=[64, 128, 255, 510, 765])
    assert type(given).model_validate_json(given.model_dump_json()) == given
