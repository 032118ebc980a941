"""DeepLabV3 is torchvision's, asked with whole images, and its batch normalisation counts in training alone."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.segmentation import deeplabv3_resnet50

from medstress.cards.segmenter import DeepLabV3
from medstress.errors import MedstressError
from medstress.models.registry import load_segmenter

BOX = (3.0, 5.0, 30.0, 28.0)


@pytest.fixture
def segmenter():
    return load_segmenter(DeepLabV3(name="small", title="Small", adapter="deeplabv3", side=32, device="cpu", batch=1))


def picture(height, width, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def disc(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - height / 2, columns - width / 2) < min(height, width) / 3


def counts(segmenter):
    return {name: tensor.clone() for name, tensor in segmenter.model.named_buffers()}


def test_it_is_torchvisions_and_reads_its_files(segmenter, tmp_path):
    torch.manual_seed(0)
    theirs = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=1).eval()
    save_file(theirs.state_dict(), tmp_path / "mine.safetensors")
    card = DeepLabV3(
        name="mine",
        title="Mine",
        adapter="deeplabv3",
        side=32,
        device="cpu",
        weights=str(tmp_path / "mine.safetensors"),
    )
    mine, image = load_segmenter(card), picture(40, 50)
    with torch.inference_mode():
        inputs = mine.encode([image])
        assert torch.equal(mine._logits(inputs), theirs(inputs)["out"][:, 0])


def test_answers_and_attacks_do_not_count(segmenter):
    before = counts(segmenter)
    assert any("running_mean" in name for name in before)
    image, mask = picture(40, 50), disc(40, 50)
    segmenter.predict([image], [[BOX]])
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float().requires_grad_()
    loss = segmenter.attack_loss(pixels, [[BOX]], [[mask]])
    (gradient,) = torch.autograd.grad(loss.sum(), pixels)
    assert gradient.abs().sum() > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in counts(segmenter).items())


def test_training_counts_and_wants_two_images(segmenter):
    images, masks = [picture(40, 50), picture(40, 50, 2)], [[disc(40, 50)]] * 2
    before = counts(segmenter)
    segmenter.model.train()
    segmenter.loss(images, [[BOX]] * 2, masks).backward()
    after = counts(segmenter)
    assert any(not torch.equal(after[name], before[name]) for name in before if "running_mean" in name)
    with pytest.raises(MedstressError, match=r"two images at a time.*accumulate"):
        segmenter.loss(images[:1], [[BOX]], masks[:1])


def test_parts_cover_the_network(segmenter):
    names = [name for name, _ in segmenter.model.named_parameters()]
    parts = segmenter.parts
    assert all(bool(re.match(parts.encoder, name)) != bool(re.match(parts.decoder, name)) for name in names)
    assert {int(match[1]) for name in names if (match := re.match(parts.blocks, name))} == {1, 2, 3, 4}
