"""Strategies train what they say."""

import numpy as np
import pytest
import torch

from medstress.adapt.examples import read_examples
from medstress.adapt.trainable import (
    apply_strategy,
    load_tensors,
    parameter_counts,
    save_tensors,
    trained_tensors,
)
from medstress.adapt.trainer import train
from medstress.cards.strategy import DecoderOnly, Full, Lora
from medstress.errors import MedstressError
from medstress.models.segmentation.sam import load

COMMON = {"title": "T", "train_on": ["splits"], "learning_rate": 0.01, "steps": 3, "batch": 2, "check_every": 3}
FULL = Full(name="full", method="full", **COMMON)
DECODER = DecoderOnly(name="decoder_only", method="decoder_only", **COMMON)
LORA = Lora(name="lora", method="lora", rank=2, **COMMON)
each = pytest.mark.parametrize("strategy", [FULL, DECODER, LORA], ids=lambda item: item.name)


def everything(model):
    return {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def test_the_trainable_sets_are_those_of_the_strategies(card):
    names = {}
    for strategy in (FULL, DECODER, LORA):
        model = load(card).model
        before = {name for name, _ in model.named_parameters()}
        apply_strategy(model, strategy, 0)
        names[strategy.name] = set(trained_tensors(model))
        if strategy is FULL:
            assert names["full"] == before
    assert names["decoder_only"] == {name for name in names["full"] if name.startswith("mask_decoder.")}
    assert names["lora"] == {
        f"vision_encoder.layers.{layer}.attn.qkv.lora_{side}.default.weight" for layer in (0, 1) for side in "AB"
    }


def test_counts_are_those_of_the_formula(card):
    model = load(card).model
    plain = sum(parameter.numel() for parameter in model.parameters())
    apply_strategy(model, LORA, 0)
    # Two layers, hidden 32, fused qkv of 96, rank 2.
    assert parameter_counts(model) == (2 * 2 * (32 + 96), plain + 2 * 2 * (32 + 96))


def test_lora_is_the_identity_at_first_and_changes_the_encoder_after_a_step(card, dataset):
    validation = read_examples(dataset.images, dataset.samples, "val")
    images = [example.image for example in validation]
    segmenter = load(card)
    with torch.no_grad():
        before = segmenter.encode(images)
    apply_strategy(segmenter.model, LORA, 0)
    with torch.no_grad():
        assert torch.equal(segmenter.encode(images), before)
    weights = trained_tensors(segmenter.model)
    optimiser = torch.optim.AdamW(weights.values(), lr=0.01)
    segmenter.loss(images, [item.boxes for item in validation], [item.masks for item in validation]).backward()
    optimiser.step()
    with torch.no_grad():
        assert not torch.equal(segmenter.encode(images), before)


@each
def test_frozen_tensors_stay_as_they_are_to_the_bit(card, dataset, tmp_path, strategy):
    training = read_examples(dataset.images, dataset.samples, "train")
    segmenter = load(card)
    before = everything(segmenter.model)
    train(segmenter, strategy, 0, training, training, tmp_path / "state.pt")
    trained = set(trained_tensors(segmenter.model))
    after = everything(segmenter.model)
    frozen = [name for name in before if name.replace(".base_layer", "") not in trained]
    renamed = {name.replace(".base_layer", ""): tensor for name, tensor in after.items()}
    assert all(torch.equal(before[name], renamed[name]) for name in frozen)
    assert len(frozen) == {"full": len(before) - len(trained), "decoder_only": len(before) - len(trained)}.get(
        strategy.name, len(before)
    )


@each
def test_saved_tensors_bring_the_same_answers_back(card, dataset, tmp_path, strategy):
    training = read_examples(dataset.images, dataset.samples, "train")
    segmenter = load(card)
    train(segmenter, strategy, 0, training, training, tmp_path / "state.pt")
    save_tensors(trained_tensors(segmenter.model), tmp_path / "trained.safetensors")
    again = load(card)
    apply_strategy(again.model, strategy, 0)
    load_tensors(again.model, tmp_path / "trained.safetensors")
    images, boxes = [example.image for example in training], [example.boxes for example in training]
    for one, other in zip(segmenter.predict(images, boxes), again.predict(images, boxes), strict=True):
        assert all(np.array_equal(mask, same) for mask, same in zip(one, other, strict=True))


def test_tensors_that_do_not_fit_are_refused(card, tmp_path):
    path = tmp_path / "trained.safetensors"
    model = load(card).model
    apply_strategy(model, DECODER, 0)
    with pytest.raises(MedstressError, match="no such checkpoint"):
        load_tensors(model, path)
    tensors = dict(trained_tensors(model))
    name = next(iter(tensors))
    save_tensors({key: tensor for key, tensor in tensors.items() if key != name}, path)
    with pytest.raises(MedstressError, match=f"missing {name}"):
        load_tensors(model, path)
    save_tensors(tensors | {"surprise": torch.zeros(2)}, path)
    with pytest.raises(MedstressError, match="unexpected surprise"):
        load_tensors(model, path)
    save_tensors(tensors | {name: torch.zeros(3, 5, 7)}, path)
    with pytest.raises(MedstressError, match=r"is \[3, 5, 7\], expected"):
        load_tensors(model, path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MedstressError, match="not a readable safetensors file"):
        load_tensors(model, path)
