"""Training records of classifiers and vision-language models in the table of trainings, beside those of segmenters."""

import json
from collections.abc import Callable
from pathlib import Path

from medstress.table_spec import TableSpec
from medstress.tables import trainable_parameters
from medstress.tables.write import read_training


def test_a_pooled_training_of_a_classifier_has_its_row(tmp_path: Path, make_spec: Callable[..., TableSpec]) -> None:
    path = tmp_path / "checkpoints" / "clip+fewshot_1@pooled~seed2" / "training.json"
    path.parent.mkdir(parents=True)
    counted = {"train_images": 12, "train_objects": 0, "trained_parameters": 30, "all_parameters": 300}
    trained = {"learning_rate": 0.1, "batch": 4, "planned_steps": 20, "steps": 20, "chosen_step": 10}
    looks = [{"step": step, "accuracy": value} for step, value in [(0, 0.25), (10, 0.5), (20, 0.4)]]
    path.write_text(json.dumps({"trainset": "pooled", "seed": 2, **counted, **trained, "val_accuracy": looks}))

    ours = make_spec(runs={"clip+fewshot_1": "CLIP + 1 %"}, scored_on={})
    frame = read_training([path])
    shown = trainable_parameters.display(ours, trainable_parameters.build(ours, frame))
    columns = ["Run", "Trained on", "Seed", "Share", "On val", "Before", "Kept"]
    assert shown[columns].to_numpy().tolist() == [
        ["CLIP + 1 %", "several, pooled", "2", "10.0%", "balanced accuracy", "0.250", "0.500"]
    ]
    # One training on all: none is missing on a data set.
    assert len(ours.datasets) > 1
    assert trainable_parameters.notes(ours, frame) == []


def test_a_training_of_answers_says_how_likely_they_became(tmp_path: Path, make_spec: Callable[..., TableSpec]) -> None:
    path = tmp_path / "checkpoints" / "llava+vlm_lora@questions~seed1" / "training.json"
    path.parent.mkdir(parents=True)
    counted = {"train_images": 12, "train_objects": 40, "trained_parameters": 30, "all_parameters": 300}
    trained = {"learning_rate": 0.1, "batch": 4, "planned_steps": 20, "steps": 20, "chosen_step": 20}
    looks = [{"step": step, "likelihood": value} for step, value in [(0, 0.125), (20, 0.5)]]
    path.write_text(json.dumps({"trainset": "questions", "seed": 1, **counted, **trained, "val_likelihood": looks}))

    ours = make_spec(runs={"llava+vlm_lora": "LLaVA + LoRA"}, datasets={"questions": "Questions"}, scored_on={})
    shown = trainable_parameters.display(ours, trainable_parameters.build(ours, read_training([path])))
    columns = ["Run", "Trained on", "On val", "Before", "Kept"]
    assert shown[columns].to_numpy().tolist() == [["LLaVA + LoRA", "Questions", "likelihood", "0.125", "0.500"]]
