"""Strategies train what they say."""

import re

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from transformers import SamConfig, SamModel

from medstress.adapt.examples import read_examples
from medstress.adapt.optimiser import make_optimiser, set_rate
from medstress.adapt.segmentation import train_segmenter as train
from medstress.adapt.trainable import (
    apply_strategy,
    kept_tensors,
    load_tensors,
    parameter_counts,
    save_tensors,
    set_training_mode,
    trained_tensors,
)
from medstress.cards.strategy import Strategy
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.sam import load
from tests.adapt.conftest import METHODS, strategy
from tests.adapt.net import NetSegmenter
from tests.conftest import ROOT

each = pytest.mark.parametrize("method", METHODS)

# What trains in the random SAM: two blocks, so block 1 is the last.
ENCODER, DECODER, PROMPT = r"vision_encoder\..*", r"mask_decoder\..*", r"prompt_encoder\..*"
SETS = {
    "full": r".*",
    "decoder_only": DECODER,
    "decoder_prompt": f"{DECODER}|{PROMPT}",
    "encoder_partial": rf"vision_encoder\.layers\.1\..*|{DECODER}|{PROMPT}",
    "adapter_only": r"vision_encoder\.layers\.[01]\.(attn\.proj|mlp\.lin2)\.bottleneck\.[02]\.(weight|bias)",
    "lora": r"vision_encoder\.layers\.[01]\.attn\.qkv\.lora_[AB]\.default\.weight",
    "lora_plus_encoder": r"vision_encoder\.layers\.[01]\.attn\.(qkv|proj)\.lora_[AB]\.default\.weight|"
    f"{DECODER}|{PROMPT}",
    "lora_plus_decoder": r"mask_decoder\.transformer\.(layers\.[01]\.\w+|final_attn_token_to_image)"
    rf"\.(q_proj|v_proj|out_proj)\.lora_[AB]\.default\.weight|{PROMPT}",
}
# Trained and all parameters: of the shipped tiny_sam with the shipped cards' settings, and of SAM ViT-B with rank 16,
# width 16 and two blocks.
TINY = {
    "full": (1_194_248, 1_194_248),
    "decoder_only": (191_292, 1_194_248),
    "decoder_prompt": (193_096, 1_194_248),
    "encoder_partial": (594_632, 1_194_248),
    "adapter_only": (33_920, 1_228_168),
    "lora": (8_192, 1_202_440),
    "lora_plus_encoder": (205_384, 1_206_536),
    "lora_plus_decoder": (10_636, 1_203_080),
}
VIT_B = {
    "full": (93_735_728, 93_735_728),
    "decoder_only": (4_058_340, 93_735_728),
    # The prompt encoder has 6,220.
    "decoder_prompt": (4_064_560, 93_735_728),
    "encoder_partial": (18_260_016, 93_735_728),
    # 24 bottlenecks of 768 x 16 down and up, with their biases.
    "adapter_only": (24 * (2 * 768 * 16 + 768 + 16), 94_344_368),
    # 12 blocks, fused qkv of 3 x 768, rank 16.
    "lora": (12 * 16 * (768 + 3 * 768), 94_325_552),
    "lora_plus_encoder": (4_949_296, 94_620_464),
    "lora_plus_decoder": (147_532, 93_877_040),
}


def everything(model):
    return {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def adapted(card, method, **changes):
    segmenter = load(card)
    apply_strategy(segmenter.model, segmenter.parts, strategy(method, **changes), 0, name=card.name)
    return segmenter


def counts_of(config, parts, method, **settings):
    """Without memory for the weights."""
    with torch.device("meta"):
        model = SamModel(config)
    apply_strategy(model, parts, strategy(method, **settings), 0, name="sam")
    return parameter_counts(model)


def step_of(segmenter, examples):
    """One step of descent on the examples."""
    optimiser = torch.optim.SGD(trained_tensors(segmenter.model).values(), lr=0.1)
    images, boxes, masks = ([getattr(one, name) for one in examples] for name in ("image", "boxes", "masks"))
    segmenter.loss(images, boxes, masks).backward()
    optimiser.step()


@pytest.fixture(scope="module")
def training(dataset):
    return read_examples(dataset.images, dataset.samples, "train")


@pytest.fixture(scope="module")
def decoded(training):
    return [stored.decoded() for stored in training]


@each
def test_the_trainable_set_is_the_strategys(card, method):
    model = adapted(card, method).model
    names = [name for name, _ in model.named_parameters()]
    wanted = {name for name in names if re.fullmatch(SETS[method], name)}
    assert wanted
    assert set(trained_tensors(model)) == wanted


@each
def test_counts(card, method):
    parts = load(card).parts
    published = {"rank": 16} if "lora" in method else {}
    shipped = {"rank": 4} if "lora" in method else {}
    both = {"adapter_only": {"width": 16}, "encoder_partial": {"blocks": 2}}.get(method, {})
    assert counts_of(SamConfig(), parts, method, **published, **both) == VIT_B[method]
    tiny = SamConfig.from_pretrained(ROOT / "resources/models/tiny_sam")
    assert counts_of(tiny, parts, method, **shipped, **both) == TINY[method]


@each
def test_answers_are_as_before_until_the_first_step(card, decoded, method):
    """To the bit: what a strategy adds starts as the identity. After a step the right part has changed."""
    images, boxes = [one.image for one in decoded], [one.boxes for one in decoded]
    plain, changed = load(card), adapted(card, method)
    with torch.no_grad():
        before = plain.encode(images)
        assert torch.equal(changed.encode(images), before)
        frames = [plain.preprocessing.frame(image) for image in images]
        logits = plain.decode(before, frames, [group[0] for group in boxes])
        assert torch.equal(changed.decode(before, frames, [group[0] for group in boxes]), logits)
    step_of(changed, decoded)
    with torch.no_grad():
        encoder_moved = not torch.equal(changed.encode(images), before)
        decoder_moved = not torch.equal(changed.decode(before, frames, [group[0] for group in boxes]), logits)
    assert encoder_moved == (method in ("full", "encoder_partial", "adapter_only", "lora", "lora_plus_encoder"))
    assert encoder_moved == (not strategy(method).freezes_encoder)
    assert decoder_moved == (method not in ("adapter_only", "lora"))


@each
def test_frozen_tensors_stay_and_saved_ones_bring_the_answers_back(card, training, tmp_path, method):
    segmenter = load(card)
    before = everything(segmenter.model)
    train(segmenter, card, strategy(method), 0, training, training, tmp_path)
    kept = kept_tensors(segmenter.model)
    renamed = {name.replace(".base_layer", ""): name for name in everything(segmenter.model)}
    frozen = [name for name in before if renamed[name] not in kept]
    after = everything(segmenter.model)
    assert all(torch.equal(before[name], after[renamed[name]]) for name in frozen)
    assert bool(frozen) == (method != "full")

    save_tensors(kept, tmp_path / "trained.safetensors")
    again = adapted(card, method)
    load_tensors(again.model, tmp_path / "trained.safetensors")
    assert all(torch.equal(tensor, after[name]) for name, tensor in everything(again.model).items())
    images, boxes = ([getattr(stored.decoded(), name) for stored in training] for name in ("image", "boxes"))
    for one, other in zip(segmenter.predict(images, boxes), again.predict(images, boxes), strict=True):
        assert all(np.array_equal(mask, same) for mask, same in zip(one, other, strict=True))


def test_the_models_own_adapters_are_trained(card):
    own = r"vision_encoder\.layers\.\d+\.mlp\.lin1\."
    model = load(card).model
    parts = Parts(encoder=r"vision_encoder\.", blocks=r"vision_encoder\.layers\.(\d+)\.", decoder="x", adapters=own)
    before = {name for name, _ in model.named_parameters()}
    apply_strategy(model, parts, strategy("adapter_only"), 0, name="m")
    assert {name for name, _ in model.named_parameters()} == before
    assert set(trained_tensors(model)) == {name for name in before if re.match(own, name)}


@pytest.mark.parametrize(
    ("method", "lacks"),
    [
        ("decoder_prompt", "no prompt encoder"),
        ("encoder_partial", "no prompt encoder"),
        ("adapter_only", "no adapters of its own and no output projections of attention"),
        ("lora", "no fused query, key and value projections"),
        ("lora_plus_encoder", "no prompt encoder and no fused query.* and no output projections"),
        ("lora_plus_decoder", "no prompt encoder and no query, value and output projections in a mask decoder"),
    ],
)
def test_a_model_without_the_part_is_an_error(method, lacks):
    net = NetSegmenter()
    with pytest.raises(MedstressError, match=f"strategy {method} cannot adapt the model net: it has {lacks}"):
        apply_strategy(net.model, net.parts, strategy(method), 0, name="net")


def test_lora_that_matches_no_module_is_an_error(card):
    parts = Parts(encoder="e", blocks=r"b(\d+)", decoder="d", qkv=r"vision_encoder\.layers\.\d+\.attn\.q_proj")
    with pytest.raises(MedstressError, match="model sam_like: it has no fused query, key and value"):
        apply_strategy(load(card).model, parts, strategy("lora"), 0, name="sam_like")
    nowhere = Parts(encoder="e", blocks=r"b(\d+)", decoder="d", adapters=r"adapter\.")
    with pytest.raises(MedstressError, match="model sam_like: nothing would be trained"):
        apply_strategy(load(card).model, nowhere, strategy("adapter_only"), 0, name="sam_like")


def test_more_blocks_than_there_are(card):
    with pytest.raises(MedstressError, match=r"its image encoder has 2 blocks, fewer than the 3 of `blocks`.*to 2 or"):
        adapted(card, "encoder_partial", blocks=3)


@pytest.mark.parametrize("method", METHODS)
def test_cached_views_need_a_frozen_encoder(method):
    if strategy(method).freezes_encoder:
        assert strategy(method, cached_views=2).cached_views == 2
        return
    with pytest.raises(ValidationError, match="0, or a method that freezes the image encoder"):
        strategy(method, cached_views=2)


def test_more_parts_than_images():
    with pytest.raises(ValidationError, match="at most `batch`, 2"):
        strategy("full", accumulate=3)


@pytest.mark.parametrize("method", ["lora_plus_encoder", "lora_plus_decoder"])
def test_b_of_lora_plus_learns_faster_and_only_matrices_decay(card, method):
    model = adapted(card, method).model
    weights = trained_tensors(model)
    optimiser = make_optimiser(weights, strategy(method))
    set_rate(optimiser, 0.5)
    groups = {id(tensor): group for group in optimiser.param_groups for tensor in group["params"]}
    assert len(groups) == len(weights)
    for name, tensor in weights.items():
        group = groups[id(tensor)]
        assert group["lr"] == (8.0 if ".lora_B." in name else 0.5)
        assert group["weight_decay"] == (0.01 if tensor.ndim > 1 else 0.0)
    assert {group["ratio"] for group in optimiser.param_groups} == {1.0, 16.0}


def test_plain_lora_has_one_rate(card):
    optimiser = make_optimiser(trained_tensors(adapted(card, "lora").model), strategy("lora"))
    assert [group["ratio"] for group in optimiser.param_groups] == [1.0]


def test_statistics_of_frozen_layers_stay_and_those_of_trained_ones_are_kept(training, card, tmp_path):
    net = NetSegmenter()
    before = everything(net.model)
    train(net, card, strategy("decoder_only"), 0, training, training, tmp_path)
    after = everything(net.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"decoder.1.running_mean", "decoder.1.running_var", "decoder.0.weight"} <= changed
    assert {name for name in before if name.startswith("encoder.")}.isdisjoint(changed)
    assert changed <= set(kept_tensors(net.model))

    save_tensors(kept_tensors(net.model), tmp_path / "trained.safetensors")
    again = NetSegmenter()
    apply_strategy(again.model, again.parts, strategy("decoder_only"), 0, name="net")
    load_tensors(again.model, tmp_path / "trained.safetensors")
    assert all(torch.equal(tensor, after[name]) for name, tensor in everything(again.model).items())


def test_frozen_modules_do_not_train():
    net = NetSegmenter()
    apply_strategy(net.model, net.parts, strategy("decoder_only"), 0, name="net")
    set_training_mode(net.model)
    assert not any(module.training for module in net.model.encoder.modules())
    assert net.model.decoder[1].training
    assert net.model.decoder[3].training


@pytest.mark.parametrize("prefix", ["", "paper_"], ids=["demo", "paper"])
def test_shipped_cards_give_every_strategy_the_same_budget(prefix):
    folder = ROOT / "config/strategies"
    cards = [read_card(folder / f"{prefix}{method}.yaml") for method in METHODS]
    assert [card.method for card in cards] == list(METHODS)
    assert len({(card.steps, card.batch, tuple(card.train_on)) for card in cards}) == 1
    if prefix:
        assert len({(card.learning_rate, *card.sweep) for card in cards}) == 1
        assert all(card.seeds == [0, 1, 2] for card in cards)


def read_card(path):
    return TypeAdapter(Strategy).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_tensors_that_do_not_fit_are_refused(card, tmp_path):
    path = tmp_path / "trained.safetensors"
    model = adapted(card, "decoder_only").model
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
