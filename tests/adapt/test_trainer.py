"""Training goes on as if it had not stopped, chooses on val, and never sees what it must not see."""

import hashlib
import itertools
import json
import math

import pytest
import torch

from medstress.adapt import finetune as module
from medstress.adapt.examples import read_examples, share_of, varied
from medstress.adapt.finetune import finetune, load_adapted
from medstress.adapt.trainer import learning_rate, train
from medstress.cards.strategy import Full, Lora
from medstress.errors import MedstressError
from medstress.models.segmentation.sam import load
from medstress.seeds import generator
from medstress.specs import FinetuneSpec
from tests.adapt.conftest import SHADES

COMMON = {"title": "T", "train_on": ["splits"], "learning_rate": 0.003, "batch": 2, "check_every": 4}
FULL = Full(name="full", method="full", steps=13, **COMMON)
LORA = Lora(name="lora", method="lora", steps=13, rank=2, **COMMON)


class Spy:
    """A segmenter that remembers what it was shown, and may be stopped or poisoned at a step."""

    def __init__(self, segmenter, *, stop_at=None, poison_at=None):
        self._segmenter, self._stop_at, self._poison_at = segmenter, stop_at, poison_at
        self.trained_on, self.predicted_on, self.steps = [], [], 0

    @property
    def model(self):
        return self._segmenter.model

    def loss(self, images, boxes, masks):
        if self.steps == self._stop_at:
            raise KeyboardInterrupt
        self.steps += 1
        self.trained_on += images
        loss = self._segmenter.loss(images, boxes, masks)
        return loss * math.nan if self.steps - 1 == self._poison_at else loss

    def predict(self, images, boxes):
        self.predicted_on += images
        return self._segmenter.predict(images, boxes)


def shades(images):
    return {int(value) for image in images for value in set(image.ravel().tolist())} - {0}


def spec_of(card, strategy=FULL, seed=0):
    return FinetuneSpec(model=card, strategy=strategy, trainset="splits", seed=seed)


def run(card, dataset, folder, *, strategy=FULL, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    tensors, training = folder / "trained.safetensors", folder / "training.json"
    steps = finetune(
        spec_of(card, strategy, seed),
        dataset.images,
        dataset.samples,
        tensors,
        training,
        journal=folder / "journal",
        code="code",
    )
    return steps, hashlib.sha256(tensors.read_bytes()).hexdigest(), json.loads(training.read_text())


@pytest.mark.parametrize("strategy", [FULL, LORA], ids=lambda item: item.name)
@pytest.mark.parametrize("stop_at", [0, 3, 7, 12])
def test_a_resumed_training_ends_on_the_same_bits(card, dataset, tmp_path, monkeypatch, strategy, stop_at):
    _, whole, facts = run(card, dataset, tmp_path / "whole", strategy=strategy)
    assert facts["chosen_step"] > 0
    monkeypatch.setattr(module, "load", lambda one: Spy(load(one), stop_at=stop_at))
    with pytest.raises(KeyboardInterrupt):
        run(card, dataset, tmp_path / "stopped", strategy=strategy)
    assert not (tmp_path / "stopped" / "trained.safetensors").exists()
    monkeypatch.undo()
    steps, resumed, again = run(card, dataset, tmp_path / "stopped", strategy=strategy)
    assert steps == {"resumed_from": 5 * (stop_at // 5), "done": 13 - 5 * (stop_at // 5)}
    assert resumed == whole
    assert again == facts
    assert not list((tmp_path / "stopped" / "journal").iterdir())


def test_seeds_are_different_trainings_and_each_is_repeatable(card, dataset, tmp_path):
    first, same, other = (
        run(card, dataset, tmp_path / name, seed=seed) for name, seed in zip("abc", (0, 0, 1), strict=True)
    )
    assert first[1:] == same[1:]
    assert first[1] != other[1]


def test_only_train_reaches_the_optimiser_and_only_val_the_choice(card, dataset, tmp_path, monkeypatch):
    spies = []

    def load_spied(one):
        spies.append(Spy(load(one)))
        return spies[-1]

    monkeypatch.setattr(module, "load", load_spied)
    run(card, dataset, tmp_path / "run")
    (spy,) = spies
    assert spy.steps == 13
    assert shades(spy.trained_on) == {SHADES["train"]}
    assert shades(spy.predicted_on) == {SHADES["val"]}


def test_the_best_look_is_kept(card, dataset, tmp_path):
    _, _, facts = run(card, dataset, tmp_path / "run")
    looks = {look["step"]: look["iou"] for look in facts["val_iou"]}
    assert list(looks) == [0, 4, 8, 12, 13]
    assert looks[facts["chosen_step"]] == max(looks.values())
    validation = read_examples(dataset.images, dataset.samples, "val")
    adapted = load_adapted(card, FULL, 0, tmp_path / "run" / "trained.safetensors")
    answers = adapted.predict([item.image for item in validation], [item.boxes for item in validation])
    ious = [
        (answer & truth).sum() / (answer | truth).sum()
        for item, masks in zip(validation, answers, strict=True)
        for answer, truth in zip(masks, item.masks, strict=True)
    ]
    assert sum(ious) / len(ious) == pytest.approx(looks[facts["chosen_step"]], abs=1e-6)


def test_training_learns(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    segmenter = load(card)
    progress, _ = train(
        segmenter,
        FULL.model_copy(update={"steps": 60, "check_every": 20, "learning_rate": 0.01}),
        0,
        training,
        training,
        tmp_path / "s.pt",
    )
    assert progress.best_iou > progress.looks[0][1] + 0.2


def test_a_loss_that_is_not_a_number_stops_with_step_and_samples(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    with pytest.raises(MedstressError, match=r"the loss is nan at step 6 on the samples train\d, train\d\. Lower"):
        train(Spy(load(card), poison_at=6), FULL, 0, training, training, tmp_path / "s.pt")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_images_is_said(dataset, tmp_path, split):
    with pytest.raises(MedstressError, match="the holdout split has no image"):
        read_examples(dataset.images, dataset.samples, "holdout")


def test_the_schedule_warms_up_and_ends_at_zero():
    strategy = FULL.model_copy(update={"steps": 100, "learning_rate": 1.0})
    rates = [learning_rate(strategy, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0) == rates[9]
    assert rates[-1] < 0.001
    assert all(late <= early for early, late in itertools.pairwise(rates[9:]))


def test_a_share_is_whole_groups_and_at_least_one(dataset):
    training = read_examples(dataset.images, dataset.samples, "train")
    assert len(share_of(training, 0.5, 0)) == 2
    assert len(share_of(training, 0.01, 0)) == 1
    assert share_of(training, 1.0, 0) == training


def test_variation_keeps_boxes_around_objects_and_inside_the_image(dataset):
    (example, *_) = read_examples(dataset.images, dataset.samples, "train")
    for seed in range(30):
        other = varied(example, generator(seed))
        assert other.image.sum() == example.image.sum()
        for (x0, y0, x1, y1), mask in zip(other.boxes, other.masks, strict=True):
            assert 0 <= x0 < x1 <= 64
            assert 0 <= y0 < y1 <= 64
            inside = mask[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)].sum()
            assert inside > 0.75 * mask.sum()


def test_the_state_is_data_and_nothing_else(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    train(load(card), FULL, 0, training, training, tmp_path / "s.pt")
    assert torch.load(tmp_path / "s.pt", weights_only=True)["progress"]["step"] == 10
