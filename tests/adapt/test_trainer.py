"""Training goes on as if it had not stopped, chooses on val, and never sees what it must not see."""

import hashlib
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from medstress.adapt import finetune as module
from medstress.adapt.batches import fresh_batches
from medstress.adapt.examples import read_examples, share_of
from medstress.adapt.finetune import finetune, load_adapted
from medstress.adapt.schedule import Progress, rate_share
from medstress.adapt.segmentation import SegmentationLearner
from medstress.adapt.segmentation import train_segmenter as train
from medstress.adapt.trainable import apply_strategy
from medstress.adapt.trainer import Training, chosen
from medstress.errors import MedstressError
from medstress.models.segmentation.sam import load
from medstress.records import SampleRow, read_rows, write_rows
from medstress.specs import FinetuneSpec
from tests.adapt.conftest import SHADES, strategy
from tests.adapt.net import NetSegmenter

COMMON = {"learning_rate": 0.003, "steps": 13, "check_every": 4}
FULL = strategy("full", **COMMON)
CACHED = strategy("decoder_only", **COMMON, cached_views=2)
SWEPT = strategy("decoder_only", **COMMON, sweep=[0.0003, 0.03], cached_views=2, accumulate=2)
ENDLESS = {"learning_rate": 1e-9, "steps": 40, "check_every": 4}


class Spy:
    """A segmenter that remembers what it was shown, and may be stopped or poisoned at a step."""

    def __init__(self, segmenter, *, stop_at=None, poison_at=None):
        self._segmenter, self._stop_at, self._poison_at = segmenter, stop_at, poison_at
        self.model, self.parts = segmenter.model, segmenter.parts
        self.encoded, self.trained_on, self.predicted_on, self.steps = [], [], [], 0

    def encode(self, images):
        self.encoded += images
        return self._segmenter.encode(images)

    def loss(self, images, boxes, masks, embeddings=None):
        if self.steps == self._stop_at:
            raise KeyboardInterrupt
        self.steps += 1
        if embeddings is None:
            self.trained_on += images
        loss = self._segmenter.loss(images, boxes, masks, embeddings)
        return loss * math.nan if self.steps - 1 == self._poison_at else loss

    def predict(self, images, boxes):
        self.predicted_on += images
        return self._segmenter.predict(images, boxes)


def shades(images):
    return {int(value) for image in images for value in set(image.ravel().tolist())} - {0}


def run(card, dataset, folder, *, by=FULL, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    tensors, training = folder / "trained.safetensors", folder / "training.json"
    steps = finetune(
        FinetuneSpec(model=card, strategy=by, trainset="splits", seed=seed),
        [dataset.images],
        [dataset.samples],
        tensors,
        training,
        journal=folder / "journal",
        code="code",
    )
    return steps, hashlib.sha256(tensors.read_bytes()).hexdigest(), json.loads(training.read_text())


@pytest.fixture(autouse=True)
def load_spied(monkeypatch):
    """`finetune` works on spies on the small net, or on another model and with settings; gives the list of them."""
    spies = []

    def use(loaded=lambda card: NetSegmenter(), **settings):
        def load_one(card):
            spies.append(Spy(loaded(card), **settings))
            return spies[-1]

        monkeypatch.setattr(module, "load_segmenter", load_one)
        return spies

    use()
    return use


@pytest.mark.parametrize(
    ("by", "stop_at"),
    # The swept one has three rates of 13 steps in two parts each: it is stopped in each of them.
    [(FULL, 0), (FULL, 3), (FULL, 8), (CACHED, 12), (SWEPT, 15), (SWEPT, 40), (SWEPT, 77)],
    ids=lambda item: getattr(item, "name", item),
)
def test_a_resumed_training_ends_on_the_same_bits(card, dataset, tmp_path, load_spied, by, stop_at):
    """Of a net with dropout and batch normalisation: neither draws nor statistics may depend on the stop."""
    resumes_on_the_same_bits(card, dataset, tmp_path, load_spied, by, stop_at)


@pytest.mark.parametrize(
    "by",
    [
        strategy("lora_plus_encoder", **COMMON),
        strategy("decoder_prompt", **COMMON | {"learning_rate": 0.01}, cached_views=2),
    ],
    ids=lambda by: by.name,
)
def test_a_resumed_training_of_a_sam_ends_on_the_same_bits(card, dataset, tmp_path, load_spied, by):
    resumes_on_the_same_bits(card, dataset, tmp_path, load_spied, by, 7, loaded=load)


def resumes_on_the_same_bits(card, dataset, tmp_path, load_spied, by, stop_at, **loaded):
    load_spied(**loaded)
    _, whole, facts = run(card, dataset, tmp_path / "whole", by=by)
    assert facts["chosen_step"] > 0
    load_spied(**loaded, stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        run(card, dataset, tmp_path / "stopped", by=by)
    assert not (tmp_path / "stopped" / "trained.safetensors").exists()
    torch.rand(3)
    load_spied(**loaded)
    steps, resumed, again = run(card, dataset, tmp_path / "stopped", by=by)
    taken = stop_at // by.accumulate
    # How often a state is saved depends on how long that takes; the first one and finished rates always are.
    assert taken // 13 * 13 + (5 if taken % 13 >= 5 else 0) <= steps["resumed_from"] <= taken
    assert steps["resumed_from"] + steps["done"] == 13 * (1 + len(by.sweep))
    assert resumed == whole
    assert again == facts
    assert not list((tmp_path / "stopped" / "journal").iterdir())


def test_a_damaged_state_is_trained_anew(card, dataset, tmp_path, load_spied, caplog):
    _, whole, _ = run(card, dataset, tmp_path / "whole")
    load_spied(stop_at=8)
    with pytest.raises(KeyboardInterrupt):
        run(card, dataset, tmp_path / "stopped")
    [state] = (tmp_path / "stopped" / "journal").rglob("rate0.pt")
    state.write_bytes(state.read_bytes()[:1000])
    load_spied()
    with caplog.at_level("WARNING"):
        steps, again, _ = run(card, dataset, tmp_path / "stopped")
    assert (steps["resumed_from"], again) == (0, whole)
    assert "rate0.pt cannot be read" in caplog.text


def test_seeds_are_different_trainings_and_each_is_repeatable(card, dataset, tmp_path):
    first, same, other = (
        run(card, dataset, tmp_path / name, seed=seed) for name, seed in zip("abc", (0, 0, 1), strict=True)
    )
    assert first[1:] == same[1:]
    assert first[1] != other[1]


@pytest.mark.parametrize("by", [FULL, SWEPT], ids=["encoded anew", "cached and swept"])
def test_only_train_reaches_the_optimiser_and_only_val_the_choice(card, dataset, tmp_path, load_spied, by):
    spies = load_spied()
    run(card, dataset, tmp_path / "run", by=by)
    (spy,) = spies
    assert spy.steps == 13 * (1 + len(by.sweep)) * by.accumulate
    assert shades(spy.encoded + spy.trained_on) == {SHADES["train"]}
    assert shades(spy.predicted_on) == {SHADES["val"]}


def test_cached_views_are_encoded_once_and_those_of_a_killed_training_are_kept(card, dataset, tmp_path, load_spied):
    spies = load_spied(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        run(card, dataset, tmp_path / "run", by=SWEPT)
    (folder,) = (tmp_path / "run" / "journal").iterdir()
    first, *_, last = sorted((folder / "views").iterdir())
    last.unlink()
    first.write_bytes(first.read_bytes()[:40])
    load_spied()
    run(card, dataset, tmp_path / "run", by=SWEPT)
    killed, resumed = spies
    # Four training images in two views each; then the two files that were lost.
    assert len(killed.encoded) == 8
    assert len(resumed.encoded) == 4
    assert not resumed.trained_on


def test_views_are_the_variations_that_their_names_say(card, dataset, tmp_path):
    """Not by position: with fewer images the others keep their views."""
    training = read_examples(dataset.images, dataset.samples, "train")
    short = CACHED.model_copy(update={"steps": 1})
    train(NetSegmenter(), card, short, 0, training, training, tmp_path / "all")
    train(NetSegmenter(), card, short, 0, training[2:], training, tmp_path / "few")
    of_all, of_few = (sorted((tmp_path / name / "views").iterdir()) for name in ("all", "few"))
    assert [path.read_bytes() for path in of_all[2:]] == [path.read_bytes() for path in of_few]
    assert len({path.read_bytes() for path in of_all}) == 4


def test_a_cached_step_is_the_step_that_encodes(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    segmenter = load(card)
    apply_strategy(segmenter.model, segmenter.parts, CACHED, 0, name="m")
    batch = fresh_batches(training, CACHED, 0)(0)
    images, boxes, masks = ([getattr(one, name) for one in batch.examples] for name in ("image", "boxes", "masks"))
    known = segmenter.encode(images)
    blank = [np.zeros_like(image) for image in images]
    assert torch.equal(segmenter.loss(blank, boxes, masks, known), segmenter.loss(images, boxes, masks))


def gradient(card, training, by):
    segmenter = load(card)
    apply_strategy(segmenter.model, segmenter.parts, by, 0, name="m")
    learner = SegmentationLearner(segmenter, fresh_batches(training, by, 0), [])
    job = Training(learner, card, by, 0.0, 0, Path("nowhere"))
    job.advance(learner.batch(0))
    return {name: weight.grad for name, weight in job.weights.items() if weight.grad is not None}


def test_accumulation_has_the_gradient_of_the_whole_batch(card, dataset):
    """Also where the parts differ in size and in objects: four images in three parts, one with a single object."""
    stored = read_examples(dataset.images, dataset.samples, "train")
    fewer = stored[0].sample.objects[:1]
    stored[0] = type(stored[0])(stored[0].row, SampleRow("s", "i", "segmentation", fewer))
    whole = strategy("full", batch=4, clip=1e9)
    parts = strategy("full", batch=4, accumulate=3, clip=1e9)
    one, other = (gradient(card, stored, by) for by in (whole, parts))
    assert one.keys() == other.keys()
    scale = max(float(tensor.abs().max()) for tensor in one.values())
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-5 * scale)


def test_the_gradient_is_clipped(card, dataset):
    stored = read_examples(dataset.images, dataset.samples, "train")
    clipped = gradient(card, stored, strategy("full", clip=0.01))
    assert math.sqrt(sum(float((tensor**2).sum()) for tensor in clipped.values())) == pytest.approx(0.01, rel=1e-3)


def test_the_best_look_is_kept(card, dataset, tmp_path):
    _, _, facts = run(card, dataset, tmp_path / "run")
    looks = {look["step"]: look["iou"] for look in facts["val_iou"]}
    assert list(looks) == [0, 4, 8, 12, 13]
    assert looks[facts["chosen_step"]] == max(looks.values())
    validation = [stored.decoded() for stored in read_examples(dataset.images, dataset.samples, "val")]
    adapted = load_adapted(card, FULL, 0, tmp_path / "run" / "trained.safetensors")
    answers = adapted.predict([item.image for item in validation], [item.boxes for item in validation])
    ious = [
        (answer & truth).sum() / (answer | truth).sum()
        for item, masks in zip(validation, answers, strict=True)
        for answer, truth in zip(masks, item.masks, strict=True)
    ]
    assert sum(ious) / len(ious) == pytest.approx(looks[facts["chosen_step"]], abs=1e-6)


def test_a_sweep_trains_each_rate_from_the_same_start_and_keeps_the_best_on_val(card, dataset, tmp_path):
    _, swept, facts = run(card, dataset, tmp_path / "swept", by=SWEPT)
    assert [rate["learning_rate"] for rate in facts["rates"]] == [0.003, 0.0003, 0.03]
    best = [max(look["iou"] for look in rate["val_iou"]) for rate in facts["rates"]]
    assert len(set(best)) > 1
    winner = facts["rates"][best.index(max(best))]
    assert facts["learning_rate"] == winner["learning_rate"]
    assert [facts[key] for key in ("steps", "chosen_step", "val_iou")] == [
        winner[key] for key in ("steps", "chosen_step", "val_iou")
    ]
    # The same bits as the training with that rate alone.
    alone = SWEPT.model_copy(update={"sweep": [], "learning_rate": winner["learning_rate"]})
    _, single, _ = run(card, dataset, tmp_path / "alone", by=alone)
    assert single == swept


def test_training_stops_where_it_does_not_get_better(card, dataset, tmp_path):
    """With a rate of nothing no look is better than the first."""
    _, _, facts = run(card, dataset, tmp_path / "run", by=strategy("decoder_only", **ENDLESS, patience=2))
    assert facts["steps"] == 8
    assert facts["planned_steps"] == 40
    assert facts["chosen_step"] == 0
    _, _, facts = run(card, dataset, tmp_path / "patient", by=strategy("decoder_only", **ENDLESS, patience=10))
    assert facts["steps"] == 40


def test_when_a_training_is_over():
    progress = Progress()
    for step, iou in [(0, 0.5), (4, 0.4), (8, 0.6), (12, 0.6), (16, 0.1)]:
        progress.step = step
        assert not progress.is_over(20, 2)
        better = progress.add(iou)
        assert better == (step in (0, 8))
    assert progress.is_over(20, 2)
    assert not progress.is_over(20, 3)
    assert progress.is_over(16, None)
    assert (progress.best_step, progress.best) == (8, 0.6)


def test_training_learns(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    by = strategy("full", steps=40, check_every=20, learning_rate=0.01)
    outcomes = train(load(card), card, by, 0, training, training, tmp_path)
    progress = chosen(outcomes).progress
    assert progress.best > progress.looks[0][1] + 0.2


def test_a_loss_that_is_not_a_number_stops_with_step_and_samples(card, dataset, tmp_path):
    training = read_examples(dataset.images, dataset.samples, "train")
    with pytest.raises(
        MedstressError, match=r"the loss is nan at step 6 on the samples train\d, train\d\. Lower.*\(0\.003\)"
    ):
        train(Spy(NetSegmenter(), poison_at=6), card, FULL, 0, training, training, tmp_path)


def test_a_rate_that_diverges_is_left_out_of_a_sweep(card, dataset, tmp_path, load_spied):
    # In two parts a step, the second rate's steps are 26 to 51.
    load_spied(poison_at=30)
    _, swept, facts = run(card, dataset, tmp_path / "swept", by=SWEPT)
    assert [rate["learning_rate"] for rate in facts["rates"]] == [0.003, 0.03]
    assert facts["diverged_rates"] == [0.0003]
    load_spied()
    _, without, facts = run(card, dataset, tmp_path / "without", by=SWEPT.model_copy(update={"sweep": [0.03]}))
    assert swept == without
    assert facts["diverged_rates"] == []


def test_a_split_without_images_or_objects_is_said(dataset, tmp_path):
    with pytest.raises(MedstressError, match="the holdout split has no image"):
        read_examples(dataset.images, dataset.samples, "holdout")
    rows = [SampleRow(row.sample_id, row.image_id, row.task, ()) for row in read_rows(dataset.samples, SampleRow)]
    write_rows(tmp_path / "samples.parquet", SampleRow, rows)
    with pytest.raises(MedstressError, match="the train split has no image with an object"):
        read_examples(dataset.images, tmp_path / "samples.parquet", "train")


@pytest.mark.parametrize(("warm_up", "top"), [(0.1, 9), (0.0, 0), (0.5, 49)])
def test_the_schedule_warms_up_and_ends_at_zero(warm_up, top):
    shares = [rate_share(step, 100, warm_up) for step in range(100)]
    assert shares[0] == pytest.approx(1 / max(1, 100 * warm_up))
    assert max(shares) == pytest.approx(1.0) == shares[top]
    assert shares[-1] < 0.002
    assert all(late >= early for early, late in itertools.pairwise(shares[: top + 1]))
    assert all(late <= early for early, late in itertools.pairwise(shares[top:]))


def test_a_share_is_whole_groups_and_at_least_one(dataset):
    training = read_examples(dataset.images, dataset.samples, "train")
    assert len(share_of(training, 0.5, 0)) == 2
    assert len(share_of(training, 0.01, 0)) == 1
    assert share_of(training, 1.0, 0) == training


def test_the_state_is_data_and_nothing_else(card, dataset, tmp_path):
    """A finished rate keeps what the choice needs and no optimiser."""
    training = read_examples(dataset.images, dataset.samples, "train")
    with pytest.raises(KeyboardInterrupt):
        train(Spy(NetSegmenter(), stop_at=7), card, FULL, 0, training, training, tmp_path)
    state = torch.load(tmp_path / "rate0.pt", weights_only=True)
    assert state["progress"]["step"] == 5
    assert set(state["kept"]) == set(NetSegmenter().model.state_dict())
    train(NetSegmenter(), card, FULL, 0, training, training, tmp_path)
    state = torch.load(tmp_path / "rate0.pt", weights_only=True)
    assert set(state) == {"progress", "best"}
    assert state["progress"]["step"] == 13
