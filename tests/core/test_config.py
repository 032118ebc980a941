"""A configuration is right, or every problem is named at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml

from medstress.cards.model import ModelCard
from medstress.configfile import load_project
from medstress.models.registry import ADAPTERS
from medstress.problems import ConfigError
from medstress.reference import MARK, json_schema, key_reference
from medstress.table_slice import table_spec

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the configuration, to be spoiled; the study with its segmentation alone."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    study = yaml.safe_load((tmp_path / "config/config.yaml").read_text())
    kept = {
        "datasets": [name for name in study["datasets"] if name != "modality" and "minivqa" not in name],
        "attacked_datasets": ["brain_mri_tumour"],
        "runs": [run for run in study["runs"] if not run.startswith(("tiny_clip", "tiny_vlm", "majority"))],
        "tables": [name for name in study["tables"] if name.startswith(("segmentation", "trainable", "calibration"))],
    }
    spoil(tmp_path / "config/config.yaml", prompt_sets=None, classification=None, **kept)
    return tmp_path / "config"


def spoil(path, **changes):
    """Change keys of a file; None takes one out."""
    data = yaml.safe_load(path.read_text())
    data.update(changes)
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}, sort_keys=False))


def problems(source=Path("config/config.yaml")):
    with pytest.raises(ConfigError) as caught:
        load_project(source)
    return {problem.key: problem for problem in caught.value.problems}


@pytest.mark.parametrize("study", sorted(path.name for path in (ROOT / "config").glob("*.yaml")))
def test_every_study_that_ships_is_valid(study, monkeypatch):
    monkeypatch.chdir(ROOT)
    project = load_project(Path("config") / study)
    assert set(project.datasets) == set(project.study.datasets)


def test_every_card_that_ships_is_valid(project):
    names = {kind: sorted(path.stem for path in (project / kind).glob("*.yaml")) for kind in ("datasets", "models")}
    untrained = {name: f"{name}+full@nuclei" for name in ("unet", "deeplabv3")}
    # Some of the data sets may not be sent to the ones, and have nothing that the other could learn from.
    apart = [name for name in names["models"] if name.startswith(("gemini", "gpt_4o_mini", "majority_answer"))]
    runs = [untrained.get(name, name) for name in names["models"] if name not in apart]
    # What is corrupted already has to be read on a published scale.
    spoil(
        project / "config.yaml",
        datasets=names["datasets"],
        runs=runs,
        tables=["calibration"],
        perturbations={"types": ["brightness"], "scale": "medimeta_c"},
        attacks=[],
        attacked_datasets=[],
    )
    assert len(load_project(project / "config.yaml").models) == len(runs)
    spoil(project / "config.yaml", datasets=["minivqa_vqa"], runs=apart, figures=[])
    assert len(load_project(project / "config.yaml").models) == len(apart)


def test_the_committed_schema_is_the_one_the_models_make():
    committed = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert committed == json_schema(), "run `medstress schema`"


def test_the_committed_reference_is_the_one_the_models_make():
    readme = (ROOT / "config" / "README.md").read_text()
    assert readme.split(MARK)[1].strip() == key_reference().strip(), "run `medstress schema`"


def test_the_reference_leaves_no_key_unexplained():
    rows = [line for line in key_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert not [line for line in rows if line.endswith("|  |")]


def test_all_problems_of_all_files_at_once(project):
    spoil(
        project / "config.yaml",
        study="Demo!",
        perturbations={"types": ["gausian_blur", "jpeg"], "level": [1]},
        runs=["grabcutt"],
        limit={"images": 0},
        tables=["calibration"],
        datasets=["nuclei", "nucleii"],
    )
    spoil(project / "datasets" / "nuclei.yaml", modality="microscopie")
    found = problems()
    assert set(found) == {
        "study",
        "perturbations.types.0",
        "perturbations.level",
        "runs.0",
        "limit.images",
        "datasets.1",
        "modality",
    }
    assert found["perturbations.types.0"].hint == "gaussian_blur"
    assert found["perturbations.level"].hint == "levels"
    assert found["runs.0"].hint == "grabcut"
    assert found["datasets.1"].hint == "nuclei"
    assert found["modality"].hint == "microscopy"
    assert found["modality"].file == "config/datasets/nuclei.yaml"
    assert found["limit.images"].found == "0"


def test_problems_name_the_line(project):
    path = project / "config.yaml"
    path.write_text(path.read_text().replace("- grabcut", "- grapcut"))
    problem = problems()["runs.1"]
    assert path.read_text().splitlines()[problem.line - 1].strip() == "- grapcut"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("source", {"format": "folders", "images": "a"}, "one of 'folder', 'npy_stack', 'sheet'"),
        ("source", {"format": "sheet", "sheet": "s.csv", "colum": 1}, "one of format, sheet"),
        ("window", {"low": 5, "high": 5}, "must be below"),
        ("size", {"mode": "pad"}, "give `side`"),
        ("size", {"mode": "pad", "side": "big"}, "integer"),
        ("name", "other", "like the file"),
    ],
)
def test_card_problems_say_what_was_expected(project, key, value, expected):
    spoil(project / "datasets" / "nuclei.yaml", **{key: value})
    (problem,) = problems().values()
    assert expected in problem.expected
    assert problem.file.endswith("nuclei.yaml")


def test_model_cards_have_the_keys_of_their_adapter(project):
    spoil(project / "models" / "grabcut.yaml", iteration=3)
    problem = problems()["iteration"]
    assert problem.hint == "iterations"
    assert "margin" in problem.expected
    spoil(project / "models" / "box_fill.yaml", adapter="boxfill")
    assert problems()["adapter"].hint == "box_fill"


def test_a_type_that_fits_no_data_set_is_a_mistake_unless_the_study_says_so(project):
    small, types = project / "small.yaml", {"types": ["jpeg", "oct_blink"]}
    given = {"study": "small", "datasets": ["nuclei"], "runs": ["box_fill"], "perturbations": types}
    small.write_text(yaml.safe_dump(given))
    assert "oct_blink is for oct" in problems(small)["perturbations.types.1"].expected
    spoil(small, perturbations=types | {"unfitting": "leave_out"})
    study = load_project(small)
    assert study.perturbations_on("nuclei") == ["jpeg"]
    assert table_spec(study).perturbations == ["jpeg"]
    # What is no type at all stays a mistake.
    spoil(small, perturbations={"types": ["jpeg", "oct_blank"], "unfitting": "leave_out"})
    assert "perturbations.types.1" in problems(small)


def test_the_table_of_moved_prompts_needs_some(project):
    spoil(project / "config.yaml", tables=["segmentation_prompts"], prompts=[])
    assert "`prompts`" in problems()["tables.0"].expected
    spoil(project / "config.yaml", prompts=[{"name": "shifted", "kind": "shift"}])
    study = load_project(project / "config.yaml")
    assert table_spec(study).prompts == {"shifted": [0.05, 0.1, 0.2, 0.3, 0.5]}
    assert study.predict_spec("box_fill", "nuclei").levels == [1, 2, 3, 4, 5]
    assert study.score_spec("box_fill", "nuclei").unmoved == ["shifted"]


def test_what_a_strategy_was_trained_or_chosen_on_is_not_scored(project):
    spoil(project / "config.yaml", split="val")
    assert "trained on train and chosen on val" in problems()["split"].expected


def test_a_new_title_does_not_cost_a_training(project):
    before = load_project(project / "config.yaml").finetune_spec("tiny_sam+lora@brain_mri_tumour~seed0")
    spoil(project / "models" / "tiny_sam.yaml", title="Another", gpu=0)
    spoil(project / "strategies" / "lora.yaml", title="Another")
    assert load_project(project / "config.yaml").finetune_spec("tiny_sam+lora@brain_mri_tumour~seed0") == before


def test_tables_of_strategies_need_a_strategy(project):
    spoil(project / "config.yaml", runs=["box_fill"])
    assert "segmentation_strategies and trainable_parameters" in problems()["tables"].expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("box_fill@nuclei", "box_fill alone"),
        ("tiny_sam~seed0", "tiny_sam alone"),
        ("tiny_sam+lora~seed7", "one of the strategy's seeds: 0, 1"),
        ("tiny_sam+lora@kidney", "one of the study's data sets"),
        ("unet", "a strategy: its card has no weights"),
    ],
)
def test_parts_of_a_run_go_together(project, run, expected):
    spoil(project / "config.yaml", runs=["tiny_sam+full", run])
    assert expected in problems()["runs.1"].expected


def test_a_strategy_stands_for_its_training_sets_and_seeds(project):
    spoil(project / "config.yaml", runs=["tiny_sam+lora", "tiny_sam+full@lung_ct_tumour~seed1"])
    loaded = load_project(project / "config.yaml")
    assert list(loaded.runs) == [
        "tiny_sam+lora@brain_mri_tumour~seed0",
        "tiny_sam+lora@brain_mri_tumour~seed1",
        "tiny_sam+lora@lung_ct_tumour~seed0",
        "tiny_sam+lora@lung_ct_tumour~seed1",
        "tiny_sam+full@lung_ct_tumour~seed1",
    ]
    assert loaded.scored_on("tiny_sam+full@lung_ct_tumour~seed1") == ["lung_ct_tumour"]
    assert table_spec(loaded).scored_on["tiny_sam+full"] == ["lung_ct_tumour"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"scoring": {"metrics": ["iou", "iou"]}}, ""),
        ({"scoring": {"nsd_tolerance": float("inf")}}, "scoring.nsd_tolerance"),
        ({"datasets": "nuclei"}, "datasets"),
        (
            {"perturbations": {"types": ["fog"], "scale": "imagenet_c", "bands": {5: [0.3, 0.4]}}},
            "perturbations.bands",
        ),
    ],
)
def test_values_that_would_fail_later_are_refused_now(project, changes, key):
    spoil(project / "config.yaml", runs=["box_fill"], tables=["calibration"], attacks=[], **changes)
    assert set(problems()) == {key}


CLASSES = {
    "datasets": ["modality"],
    "runs": ["tiny_clip"],
    "perturbations": {"types": ["jpeg"]},
    "tables": ["calibration"],
    "figures": [],
    "attacks": [],
}


def test_a_study_without_segmentation_gets_the_figures_that_show_something(project):
    changes = {key: value for key, value in CLASSES.items() if key != "figures"}
    study = project / "config.yaml"
    keys = yaml.safe_load(study.read_text())
    keys.pop("figures", None)
    study.write_text(yaml.safe_dump(keys))
    spoil(study, attacked_datasets=[], **changes)
    assert load_project(study).study.figures == [
        "severity_curves",
        "robustness_scatter",
        "top_perturbations",
        "heat_map",
        "radar",
        "calibration_quality",
        "failure_gallery",
        "flip_matrix",
    ]


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"runs": ["box_fill", "tiny_clip"]}, "runs.0", "a data set for segmentation"),
        ({"datasets": ["modality", "nuclei"]}, "datasets.1", "a run of a model for segmentation"),
        ({"tables": ["segmentation_main"]}, "tables.0", "a study with a data set for segmentation"),
        ({"figures": ["image_grid"]}, "figures.0", "a study with a data set for segmentation"),
        ({"figures": ["adversarial_curves"]}, "figures.0", "a study with `attacks`"),
        ({"figures": ["strategy_ranking"]}, "figures.0", "a study with a strategy among its runs"),
        ({"figures": ["calibration_quality"], "perturbations": {"types": ["rotation"]}}, "figures.0", "`scale: ssim`"),
        (
            {"figures": ["flip_matrix"], "classification": {"metrics": ["auroc", "ece"], "error": "accuracy"}},
            "figures.0",
            "answers that are right or wrong",
        ),
        (
            {"datasets": ["nuclei", "brain_anatomy"], "runs": ["box_fill"], "figures": ["radar"]},
            "figures.0",
            "images of 3 modalities",
        ),
        ({"runs": ["tiny_clip~ensemble"]}, "runs.0", "one of the study's prompt sets: published"),
        ({"runs": ["tiny_clip+lora"]}, "runs.0", "method full or image_lora"),
        ({"runs": ["tiny_clip+tiny_fewshot@pooled"]}, "runs.0", "one of the study's data sets"),
        ({"classification": {"normaliser": "clip"}}, "classification.normaliser", "alexnet, tiny_clip"),
        ({"tables": ["classification_fewshot"]}, "tables.0", "an adapted classifier"),
        (
            {
                "datasets": ["modality", "nuclei"],
                "runs": ["tiny_clip", "majority_class", "box_fill"],
                "prompt_sets": [{"name": name, "templates": ["a {class}"]} for name in ("short", "other")],
                "classification": {"normaliser": "tiny_clip"},
            },
            "classification.normaliser",
            "published errors: alexnet, tiny_clip~short, tiny_clip~other, majority_class",
        ),
        ({"classification": {"normaliser": "alexnet"}}, "classification.normaliser", "scale: medmnist_c"),
        (
            {"classification": {"normaliser": "alexnet", "metrics": ["accuracy"]}},
            "classification.metrics",
            "balanced_accuracy among them",
        ),
        (
            {"attacks": [{"name": "fgsm", "method": "fgsm", "region": "inside_box"}]},
            "attacks.0.region",
            "has no boxes",
        ),
        (
            {"prompt_sets": [{"name": "seed1", "templates": ["{class}"]}]},
            "prompt_sets.0.name",
            "this one means a seed",
        ),
        (
            {"prompt_sets": [{"name": "odd", "templates": ["{clas}"]}]},
            "prompt_sets.0",
            "'{clas}' names {clas}; known are {class}, {modality} and {dataset}",
        ),
    ],
)
def test_what_is_asked_of_classifiers_goes_together(project, changes, key, expected):
    spoil(project / "config.yaml", attacked_datasets=None, prompts=None, **(CLASSES | changes))
    assert expected in problems()[key].expected


@pytest.mark.parametrize("augmentation", [{"types": ["rotation"]}, None])
def test_a_pooled_strategy_perturbs_images_of_one_background(project, augmentation):
    other = (project / "datasets" / "modality.yaml").read_text().replace("name: modality", "name: white")
    (project / "datasets" / "white.yaml").write_text(other + "background: 255\n")
    pooled = {"train_on": ["modality", "white"], "pooled": True, "augmentation": augmentation}
    spoil(project / "strategies" / "tiny_fewshot.yaml", **pooled)
    changes = CLASSES | {"datasets": ["modality", "white"], "runs": ["tiny_clip", "tiny_clip+tiny_fewshot"]}
    spoil(project / "config.yaml", attacked_datasets=None, prompts=None, **changes)
    if augmentation:
        assert "one `background` and one `window`" in problems()["runs"].expected
    else:
        load_project(project / "config.yaml")


def test_a_prompt_set_is_a_run_of_its_own(project):
    sets = [{"name": name, "templates": ["a {class}"]} for name in ("short", "other")]
    runs = ["tiny_clip", "tiny_clip+tiny_fewshot"]
    spoil(project / "config.yaml", attacked_datasets=None, prompts=None, **(CLASSES | {"runs": runs}), prompt_sets=sets)
    loaded = load_project(project / "config.yaml")
    adapted = [f"tiny_clip+tiny_fewshot@modality~seed{seed}" for seed in (0, 1)]
    assert list(loaded.runs) == ["tiny_clip~short", "tiny_clip~other", *adapted]
    assert list(loaded.encoders) == [*reversed(adapted), "tiny_clip"]
    table = table_spec(loaded)
    assert list(table.runs) == ["tiny_clip~short", "tiny_clip~other", "tiny_clip+tiny_fewshot"]
    assert table.adapted == {"tiny_clip+tiny_fewshot": "tiny_clip~short"}
    assert loaded.texts_of("tiny_clip~other", "modality").texts[1] == ["a CT"]


def test_published_errors_are_for_the_images_that_they_are_of(project):
    """BE divides by AlexNet's errors on MedMNIST-C: other strengths, or other images of these types, have none."""
    known = table_spec(load_project(ROOT / "config/medmnist_c.yaml")).normalisers
    assert known["chestmnist_c"] == "chestmnist"
    assert known["tissuemnist"] == "tissuemnist"
    assert table_spec(load_project(ROOT / "config/robustmedclip.yaml")).normalisers == {}
    types = {"scale": "medmnist_c", "types": ["pixelate"], "variants": {"modality": "bloodmnist"}}
    spoil(project / "config.yaml", attacked_datasets=None, prompts=None, **(CLASSES | {"perturbations": types}))
    assert table_spec(load_project(project / "config.yaml")).normalisers == {}


def test_a_key_given_twice_is_an_error_for_snakemake_too(project):
    path = project / "config.yaml"
    data = yaml.safe_load(path.read_text())
    path.write_text(path.read_text() + "\nstudy: other\n")
    with pytest.raises(ConfigError, match="given twice"):
        load_project(path, data)


def test_cards_schema_and_registry_know_the_same_adapters():
    cards = {
        name for card in get_args(get_args(ModelCard)[0]) for name in get_args(card.model_fields["adapter"].annotation)
    }
    assert cards == set(ADAPTERS)
    assert all(f"adapter {name}" in key_reference() for name in cards)


def test_a_strategy_cannot_adapt_a_model_that_does_not_train(project):
    (project / "strategies").mkdir(exist_ok=True)
    (project / "strategies" / "lora.yaml").write_text(
        "{name: lora, title: LoRA, method: lora, train_on: nuclei, learning_rate: 0.001, steps: 10}"
    )
    spoil(project / "config.yaml", runs=["grabcut+lora"])
    assert "training-free" in problems()["runs.0"].expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("study: [unclosed", "expected"),
        ("- a list", "a list"),
        ("study: demo\nstudy: other", "given twice"),
        ("", "None"),
    ],
)
def test_files_that_are_no_study(project, text, found):
    (project / "config.yaml").write_text(text)
    assert found in next(iter(problems().values())).found


def test_the_command_prints_the_message_and_fails(project):
    spoil(project / "config.yaml", tabels=["x"])
    command = [sys.executable, "-m", "medstress.cli", "validate", "config/config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tabels" in done.stderr
    assert "did you mean tables?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_study_is_said(project):
    command = [sys.executable, "-m", "medstress.cli", "validate", "config/nothing.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "config/nothing.yaml" in done.stderr, "no such file" in done.stderr) == (1, True, True)


def test_specs_carry_only_their_slice(monkeypatch):
    monkeypatch.chdir(ROOT)
    project = load_project(Path("config/config.yaml"))
    spec = project.perturb_spec("nuclei", "jpeg").model_dump()
    assert set(spec) == {
        "dataset",
        "modality",
        "perturbation",
        "levels",
        "split",
        "background",
        "window",
        "severity",
        "corrupted",
    }
    assert "perturbations" not in project.prepare_spec("nuclei").model_dump_json()
