"""Classifiers learn from a few images: what trains, what stays, and that a stop changes nothing."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter
from torch.nn import functional

from medstress.adapt import finetune_classifier as module
from medstress.adapt.classification import (
    ClassificationLearner,
    LabelledSet,
    balanced_accuracy,
    check_pool,
    training_head,
)
from medstress.adapt.few_shot import choose
from medstress.adapt.finetune import finetune as finetune_segmenter
from medstress.adapt.finetune_classifier import finetune, load_adapted
from medstress.adapt.image_encoder import apply_to_encoder
from medstress.adapt.image_variation import varied_image
from medstress.adapt.low_rank import FusedProjection
from medstress.adapt.trainable import apply_strategy, kept_tensors, set_training_mode, trained_tensors
from medstress.cards.strategy import Augmentation, Strategy
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import Parts
from medstress.pixels import encode_png
from medstress.records import ImageRow, SampleRow, write_rows
from medstress.seeds import generator
from medstress.specs import ClassTexts, FinetuneSpec
from tests.adapt.classifiers import CLIP_CARD, conv_classifier, fused_classifier, plain_card, small_clip
from tests.adapt.conftest import Dataset
from tests.adapt.conftest import strategy as any_strategy
from tests.conftest import ROOT

CLASSES = ("top", "middle", "bottom")
ASKED = ClassTexts(classes=list(CLASSES), texts=[[f"a bright {name}", f"{name} of it"] for name in CLASSES])
SEVERAL = ASKED.model_copy(update={"kind": "multi_label", "negatives": [[f"no {name}"] for name in CLASSES]})
LORA = {"rank": 4, "alpha": 8, "steps": 13, "check_every": 4, "batch": 6, "learning_rate": 0.01}
COUNTS = {"train": 12, "val": 9, "test": 6}


def strategy(method="image_lora", **changes):
    return any_strategy(method, **(LORA if method == "image_lora" else {}) | {"train_on": ["bands"]} | changes)


def written(folder, *, width=40, side=36, several=False):
    """Grey images with one bright band of three, or with any of them; the brightness tells the splits apart."""
    images, samples = [], []
    for split, count in COUNTS.items():
        for index in range(count):
            name = f"{split}{index}"
            labels = tuple(range(index % 4)) if several else (index % 3,)
            picture = generator(len(images)).integers(0, 40, (side, width)).astype(np.uint8)
            for label in labels:
                picture[label * side // 3 : (label + 1) * side // 3] += {"train": 200, "val": 150, "test": 100}[split]
            images.append(ImageRow(name, f"g{name}", split, "ct", encode_png(picture), side, width))
            samples.append(SampleRow(name, name, "classification", labels=labels))
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "images.parquet", ImageRow, images)
    write_rows(folder / "samples.parquet", SampleRow, samples)
    return Dataset(folder / "images.parquet", folder / "samples.parquet")


@pytest.fixture(scope="module")
def bands(tmp_path_factory):
    return written(tmp_path_factory.mktemp("bands"))


class Spy:
    """An encoder that remembers what it was shown, and may be stopped at a step."""

    def __init__(self, encoder, stop_at=None):
        self._encoder, self._stop_at, self.steps = encoder, stop_at, 0
        self.embedded, self.trained_on = [], []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def embed(self, images):
        self.embedded += images
        return self._encoder.embed(images)

    def inputs(self, images):
        if self.steps == self._stop_at:
            raise KeyboardInterrupt
        self.steps += 1
        self.trained_on += images
        return self._encoder.inputs(images)


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """`finetune` works on spies on a model, the small CLIP unless another is used; gives the list of them."""
    spies = []

    def use(make=small_clip, **settings):
        monkeypatch.setattr(module, "load_classifier", lambda card: spies.append(Spy(make(), **settings)) or spies[-1])
        return spies

    use()
    return use


def run(folder, sets, by=None, *, card=CLIP_CARD, asked=ASKED, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    tensors, training = folder / "trained.safetensors", folder / "training.json"
    texts = dict.fromkeys(sets, asked)
    trainset = "pooled" if len(sets) > 1 else next(iter(sets))
    steps = finetune(
        FinetuneSpec(model=card, strategy=by or strategy(), trainset=trainset, seed=seed, texts=texts),
        [one.images for one in sets.values()],
        [one.samples for one in sets.values()],
        tensors,
        training,
        journal=folder / "journal",
        code="code",
    )
    return steps, hashlib.sha256(tensors.read_bytes()).hexdigest(), json.loads(training.read_text())


def pictures(count=5):
    return [generator(index).integers(0, 256, (SIDES[index % 2], 40), dtype=np.uint8) for index in range(count)]


SIDES = (36, 50)
VISION = r"vision_model\.encoder\.layers\.[01]\."
BLOCKS = r"blocks\.[01]\."
CASES = {
    "clip q v": (small_clip, {"targets": ["q", "v"]}, VISION + r"self_attn\.[qv]_proj\.lora_[AB]\.default\.weight"),
    "clip all": (
        small_clip,
        {"dropout": 0.1},
        VISION + r"(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])\.lora_[AB]\.default\.weight",
    ),
    "fused": (fused_classifier, {"targets": ["q", "k", "v"]}, BLOCKS + r"qkv\.lora_[AB]\.[qkv]\.weight"),
    "fused q out": (
        fused_classifier,
        {"targets": ["q", "out"]},
        BLOCKS + r"(qkv\.lora_[AB]\.q|proj\.lora_[AB]\.default)\.weight",
    ),
    "conv": (conv_classifier, {"targets": ["conv"]}, r"[036]\.lora_[AB]\.default\.weight"),
}
each = pytest.mark.parametrize("case", CASES)


@each
def test_answers_are_as_before_until_the_first_step(case):
    """To the bit, and for q, k and v alike: B is zero everywhere. Then every update learns."""
    make, changes, names = CASES[case]
    encoder, before = make(), make().embed(pictures())
    apply_to_encoder(encoder, strategy(**changes), 0, name="m")
    assert np.array_equal(encoder.embed(pictures()), before)
    trained = trained_tensors(encoder.model)
    assert set(trained) == {name for name, _ in encoder.model.named_parameters() if re.fullmatch(names, name)}
    assert trained
    for name, tensor in trained.items():
        assert bool(tensor.any()) == (".lora_A." in name)
    for _ in range(2):
        encoder.features(encoder.inputs(pictures())).square().sum(dim=0)[0].backward()
        with torch.no_grad():
            for tensor in trained.values():
                tensor.sub_(0.01 * tensor.grad)
    # A key's update shifts all answers of a query alike where there is one patch; here there are sixteen.
    assert all(tensor.any() and tensor.grad.any() for tensor in trained.values())
    assert not np.array_equal(encoder.embed(pictures()), before)


def test_the_draw_depends_on_the_seed():
    def drawn(seed):
        encoder = fused_classifier()
        apply_to_encoder(encoder, strategy(targets=["q", "k", "v", "out"]), seed, name="m")
        return torch.cat([tensor.flatten() for tensor in trained_tensors(encoder.model).values()])

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def test_a_fused_projection_is_updated_in_thirds():
    base = torch.nn.Linear(5, 12)
    layer = FusedProjection(base, ["q", "v"], rank=2, alpha=6, dropout=0.0)
    states = torch.randn(7, 5)
    for part in layer.lora_B.values():
        torch.nn.init.normal_(part.weight)
    change = (layer(states) - base(states)).chunk(3, dim=-1)
    for name, third in zip("qkv", change, strict=True):
        if name == "k":
            assert not third.any()
            continue
        product = layer.lora_B[name].weight @ layer.lora_A[name].weight
        torch.testing.assert_close(third, 3 * states @ product.T)
    assert layer.lora_A["q"].weight.shape == (2, 5)


def test_dropout_is_of_the_update_and_of_training_alone():
    encoder = fused_classifier()
    apply_to_encoder(encoder, strategy(targets=["q", "k", "v"], dropout=0.5), 0, name="m")
    for name, tensor in trained_tensors(encoder.model).items():
        if ".lora_B." in name:
            torch.nn.init.normal_(tensor)
    inputs = encoder.inputs(pictures())
    assert torch.equal(encoder.features(inputs), encoder.features(inputs))
    set_training_mode(encoder.model)
    assert not torch.equal(encoder.features(inputs), encoder.features(inputs))


@pytest.mark.parametrize(
    ("make", "targets", "lacks"),
    [
        (conv_classifier, ["q", "conv"], "no query projections for LoRA"),
        (small_clip, ["conv", "q"], "no convolutions for LoRA"),
        (fused_classifier, ["k", "mlp", "conv"], "no linear layers of MLPs and no convolutions for LoRA"),
    ],
)
def test_a_target_that_the_model_lacks_is_an_error(make, targets, lacks):
    with pytest.raises(
        MedstressError, match=f"strategy image_lora cannot adapt the model m: its image encoder has {lacks}"
    ):
        apply_to_encoder(make(), strategy(targets=targets), 0, name="m")


def test_methods_of_the_other_task_are_errors(bands, tmp_path, card):
    for method in ("lora", "decoder_only"):
        with pytest.raises(MedstressError, match=f"method, {method}, is for segmenters. A classifier takes image_lora"):
            apply_to_encoder(small_clip(), strategy(method), 0, name="m")
    with pytest.raises(MedstressError, match="its method, image_lora, is for classifiers"):
        apply_strategy(small_clip().model, Parts("e", "b", "d"), strategy(), 0, name="m")
    spec = FinetuneSpec(model=card, strategy=strategy("full", few_shot={"shots": 1}), trainset="bands", seed=0)
    with pytest.raises(MedstressError, match="few_shot and pooled are for classifiers, and random_sam segments"):
        finetune_segmenter(spec, [bands.images], [bands.samples], tmp_path, tmp_path, journal=tmp_path, code="")


def test_full_trains_the_image_encoder_and_no_text(bands, tmp_path):
    encoder = small_clip()
    apply_to_encoder(encoder, strategy("full"), 0, name="m")
    assert {name.split(".")[0] for name in trained_tensors(encoder.model)} == {"vision_model", "visual_projection"}
    assert set(kept_tensors(encoder.model)) == set(trained_tensors(encoder.model))
    set_training_mode(encoder.model)
    assert not any(part.training for part in encoder.model.text_model.modules())


def test_a_training_learns_and_changes_nothing_but_its_updates(bands, tmp_path, loaded):
    spies = loaded()
    by = strategy(steps=40, check_every=20)
    _, _, facts = run(tmp_path / "run", {"bands": bands}, by)
    looks = {look["step"]: look["accuracy"] for look in facts["val_accuracy"]}
    assert list(looks) == [0, 20, 40]
    assert looks[facts["chosen_step"]] == max(looks.values()) > looks[0] + 0.3
    assert facts["train_images"] == 12
    assert facts["val_images"] == 9
    assert facts["train_classes"] == {"bands": [4, 4, 4]}

    before, after = small_clip().model.state_dict(), spies[0].model.state_dict()
    for name, tensor in before.items():
        places = (name, re.sub(r"\.(weight|bias)$", r".base_layer.\1", name))
        assert any(torch.equal(tensor, after[place]) for place in places if place in after), name
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "run" / "trained.safetensors")
    assert all(re.fullmatch(CASES["clip all"][2], name) for name in saved)
    assert sum(tensor.numel() for tensor in saved.values()) == facts["trained_parameters"]

    adapted = load_adapted(CLIP_CARD, by, 0, tmp_path / "run" / "trained.safetensors")
    assert not adapted.model.training
    assert not any(weight.requires_grad for weight in adapted.model.parameters())
    assert np.array_equal(adapted.embed(pictures()), spies[0].embed(pictures()))
    assert not np.array_equal(adapted.embed(pictures()), small_clip().embed(pictures()))


@pytest.mark.parametrize("stop_at", [0, 3, 14, 30])
def test_a_resumed_training_ends_on_the_same_bits(bands, tmp_path, loaded, stop_at):
    """In two parts a step, with dropout, crops and perturbations drawn, and a sweep of two rates."""
    noisy = Augmentation(types=["contrast"], levels=[1], probability=0.3)
    by = strategy(dropout=0.2, accumulate=2, sweep=[0.001], augmentation=noisy, steps=8, learning_rate=0.03)
    _, whole, facts = run(tmp_path / "whole", {"bands": bands}, by)
    assert facts["chosen_step"] > 0
    loaded(stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", {"bands": bands}, by)
    torch.rand(3)
    loaded()
    steps, resumed, again = run(tmp_path / "stopped", {"bands": bands}, by)
    taken = stop_at // 2
    assert taken // 8 * 8 + (5 if taken % 8 >= 5 else 0) <= steps["resumed_from"] <= taken
    assert resumed == whole
    assert again == facts
    assert not list((tmp_path / "stopped" / "journal").iterdir())


@pytest.mark.parametrize(("make", "targets"), [(fused_classifier, ["q", "k", "v", "out"]), (conv_classifier, ["conv"])])
def test_plain_classifiers_learn_too(bands, tmp_path, loaded, make, targets):
    loaded(make)
    by = strategy(targets=targets, steps=40, check_every=20, learning_rate=0.03)
    _, _, facts = run(tmp_path, {"bands": bands}, by, card=plain_card(CLASSES))
    looks = [look["accuracy"] for look in facts["val_accuracy"]]
    assert max(looks) > looks[0] + 0.3


def test_only_the_chosen_images_train_and_only_val_chooses(bands, tmp_path, loaded):
    spies = loaded()
    few = {"fraction": 0.5, "source": "train"}
    _, _, facts = run(tmp_path / "a", {"bands": bands}, strategy(few_shot=few))
    assert facts["train_classes"] == {"bands": [2, 2, 2]}
    (spy,) = spies
    # Of train, bands are 200 to 239, of val 150 to 189.
    assert all(180 < int(image.max()) < 240 for image in spy.trained_on)
    assert {int(image.max()) // 50 for image in spy.embedded} == {3}


# What pooled, several labels and the like add up to, on batches and heads themselves.


def learner(encoder, sets, by=None, seed=0, card=CLIP_CARD, temperature=None):
    """Sets: records and texts by name."""
    by = by or strategy()
    labelled = [
        LabelledSet(
            texts,
            training_head(card, encoder, texts, temperature),
            choose(records.images, records.samples, by, seed, name),
        )
        for name, (records, texts) in sets.items()
    ]
    return ClassificationLearner(encoder, labelled, by, seed)


def test_a_batch_depends_on_seed_and_step_alone(bands):
    one, same, other = (learner(small_clip(), {"bands": (bands, ASKED)}, seed=seed) for seed in (0, 0, 1))
    for step in range(3):
        one.batch(step)
    first, again, third = one.batch(5), same.batch(5), other.batch(5)
    assert first.names == again.names
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first.examples, again.examples, strict=True))
    assert first.names != third.names
    assert [part.size for part in first.cut(4)] == [2, 2, 1, 1]
    whole = torch.cat([torch.from_numpy(part.targets) for part in first.cut(4)])
    assert np.array_equal(whole.numpy(), first.targets)


def test_pooled_sets_share_one_softmax_and_are_looked_at_apart(bands, tmp_path):
    other = written(tmp_path / "other", width=64, side=48)
    two = ClassTexts(classes=["x", "y", "z", "w"], texts=[["an x"], ["a y"], ["a z"], ["a w"]])
    encoder = small_clip()
    pool = learner(encoder, {"bands": (bands, ASKED), "other": (other, two)}, strategy(batch=24))
    batch = pool.batch(0)
    assert batch.targets.shape == (24, 7)
    assert (batch.targets.sum(axis=1) == 1).all()
    for example, target in zip(batch.examples, batch.targets, strict=True):
        assert (target.argmax() >= 3) == (example.image.shape == (48, 64))
    assert {example.image.shape for example in batch.examples} == {(36, 40), (48, 64)}

    features = encoder.features(encoder.inputs([example.image for example in batch.examples]))
    logits = torch.cat([one.head.torch_logits(features) for one in pool.sets], dim=1)
    expected = -logits.log_softmax(dim=1)[range(24), batch.targets.argmax(axis=1)].mean()
    torch.testing.assert_close(pool.loss(batch), expected)

    apart = [replace(pool, sets=[one]).look() for one in pool.sets]
    assert pool.look() == pytest.approx(sum(apart) / 2)


def test_a_pooled_training_says_so(bands, tmp_path):
    other = written(tmp_path / "other", width=64, side=48)
    sets = {"bands": bands, "other": other}
    few = {"fraction": 0.3, "source": "val"}
    _, _, facts = run(tmp_path / "run", sets, strategy(pooled=True, few_shot=few, steps=2))
    assert facts["trainset"] == "pooled"
    assert facts["train_classes"] == {"bands": [1, 1, 1], "other": [1, 1, 1]}
    assert (facts["train_images"], facts["val_images"]) == (6, 12)


def test_what_cannot_be_pooled_is_said():
    by = strategy(pooled=True)
    with pytest.raises(MedstressError, match="cannot train plain on a, b together: it has no texts"):
        check_pool(plain_card(CLASSES), by, {"a": ASKED, "b": ASKED})
    with pytest.raises(MedstressError, match="an image of b may have several labels"):
        check_pool(CLIP_CARD, by, {"a": ASKED, "b": SEVERAL})
    check_pool(plain_card(CLASSES), by, {"a": SEVERAL})


def test_several_labels_are_asked_one_by_one(tmp_path):
    several = written(tmp_path / "several", several=True)
    encoder = small_clip()
    one = learner(encoder, {"several": (several, SEVERAL)})
    batch = one.batch(0)
    assert set(batch.targets.sum(axis=1).tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert len(set(batch.targets.sum(axis=1).tolist())) > 1
    logits = one.sets[0].head.torch_logits(encoder.features(encoder.inputs([item.image for item in batch.examples])))
    found = functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(batch.targets))
    torch.testing.assert_close(one.loss(batch), found)
    # The logit is that of the label less that of its absence.
    plain = learner(encoder, {"several": (several, SEVERAL.model_copy(update={"negatives": []}))})
    assert not torch.equal(logits, plain.sets[0].head.torch_logits(encoder.features(encoder.inputs(pictures(6)))))


def test_the_temperature_is_the_cards_or_the_models():
    encoder = small_clip()
    own, warm = (training_head(CLIP_CARD, encoder, SEVERAL, value) for value in (None, 0.5))
    embeddings = encoder.embed(pictures())
    assert encoder.scale == 10
    np.testing.assert_allclose(own.logits(embeddings), 5 * warm.logits(embeddings), rtol=1e-4, atol=1e-6)


def test_balanced_accuracy_by_hand():
    logits = np.array([[3, 1, 0], [3, 1, 0], [0, 2, 1], [5, 0, 1]], np.float32)
    # Class 0 twice, right both times; class 1 once right and once wrong; class 2 is absent.
    assert balanced_accuracy(logits, [(0,), (0,), (1,), (1,)], "multi_class") == pytest.approx((1 + 1 / 2) / 2)
    assert balanced_accuracy(logits, [(0,)] * 4, "ordinal") == pytest.approx(3 / 4)
    several = np.array([[1, -1], [1, 1], [-1, -1]], np.float32)
    # Label 0: there twice, found both times; not there once, right. Label 1: there once, missed; of two others one.
    assert balanced_accuracy(several, [(0, 1), (0,), ()], "multi_label") == pytest.approx((1 + (0 + 1 / 2) / 2) / 2)
    # A label that no image has is judged by its absence alone.
    assert balanced_accuracy(several, [(0,), (0,), ()], "multi_label") == pytest.approx((1 + 2 / 3) / 2)


def test_images_are_cropped_and_mirrored_at_their_size(bands):
    stored = choose(bands.images, bands.samples, strategy(), 0, "bands").training[0].decoded()
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[None] * 6, 36, axis=0)
    raw = ramp.astype(np.float32) * 2
    example = replace(stored, scene=replace(stored.scene, image=ramp, raw=raw))
    mirrored = 0
    for seed in range(40):
        other = varied_image(example, generator(seed))
        assert other.image.shape == (36, 40)
        assert other.image.dtype == np.uint8
        np.testing.assert_allclose(other.scene.raw, other.image * 2.0, atol=1.5)
        steps = np.diff(other.image[0].astype(int))
        mirrored += bool((steps <= 0).all())
        assert (steps <= 0).all() or (steps >= 0).all()
        # At least 80 % of the area at an aspect of 4:3 at most.
        assert np.ptp(other.image) >= 6 * 40 * 0.7
    assert 10 < mirrored < 30
    colour = replace(example, scene=replace(example.scene, image=np.dstack([ramp] * 3), raw=None))
    assert varied_image(colour, generator(0)).image.shape == (36, 40, 3)


def test_perturbations_come_after_the_crop_also_where_they_move_pixels(bands):
    stored = choose(bands.images, bands.samples, strategy(), 0, "bands").training[0].decoded()
    turned = Augmentation(types=["rotation"], levels=[5], probability=1.0)
    plain, other = (varied_image(stored, generator(3), augmentation) for augmentation in (None, turned))
    assert other.image.shape == plain.image.shape
    assert not np.array_equal(other.image, plain.image)


def test_shipped_presets_are_the_published_settings():
    folder = ROOT / "config/strategies"
    cards = {
        path.stem: TypeAdapter(Strategy).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*fewshot*.yaml"))
    }
    assert all(name == card.name for name, card in cards.items())
    for prefix, source in (("", "train"), ("paper_", "val")):
        shares = [cards[f"{prefix}fewshot_{percent}"].few_shot for percent in (1, 3, 7, 10)]
        assert {share.source for share in shares} == {source}
        fractions = [share.fraction for share in shares]
        assert fractions == sorted(set(fractions))
    for name, card in cards.items():
        if not name.startswith("tiny_"):
            assert (card.rank, card.alpha, card.batch) == (16, 16, 256)
            assert (card.learning_rate, card.weight_decay) == (1e-4, 1e-4)
            assert card.targets == (["conv"] if name.endswith("_resnet") else ["q", "k", "v"])
        assert card.pooled == name.startswith("paper_")
