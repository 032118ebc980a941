"""The U-Net, and with it everything that models without prompts share."""

import hashlib
import re

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch.nn import functional

from medstress.cards.segmenter import UNet
from medstress.errors import MedstressError
from medstress.models.registry import load_segmenter

BOX = (3.0, 5.0, 30.0, 28.0)


def card_of(**changes):
    settings = {"name": "small", "title": "Small", "side": 32, "channels": [4, 8, 16], "device": "cpu", "batch": 2}
    return UNet(adapter="unet", **(settings | changes))


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter(card_of())


def picture(height, width, colour=True, seed=1):
    size = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def disc(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - height / 2, columns - width / 2) < min(height, width) / 3


def pixels_of(image):
    return torch.from_numpy(np.ascontiguousarray(image[None] if image.ndim == 2 else image.transpose(2, 0, 1)))[None]


SIZES = [(40, 50, True), (33, 35, False), (90, 70, True)]


@pytest.mark.parametrize(("height", "width", "colour"), SIZES)
def test_the_whole_foreground_answers_whatever_the_box(segmenter, height, width, colour):
    image = picture(height, width, colour)
    channels = pixels_of(image).float().expand(1, 3, -1, -1)
    small = functional.interpolate(channels, (32, 32), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] * 255 for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        logits = functional.interpolate(segmenter.model((small - mean) / std), (height, width), mode="bilinear")[0, 0]
    expected = logits.numpy() > 0
    assert expected.any()
    assert not expected.all()
    # Kernels sum in another order for another number of images: pixels next to zero may differ.
    sure = logits.abs().numpy() > 1e-4
    for box in (BOX, (0.0, 0.0, 2.0, 2.0)):
        ((answer,),) = segmenter.predict([image], [[box]])
        assert (answer == expected)[sure].all()
        assert answer.dtype == bool


def test_answers_do_not_depend_on_what_is_asked_beside(segmenter):
    images = [picture(height, width, colour, seed) for seed, (height, width, colour) in enumerate(SIZES)]
    together = segmenter.predict([*images, images[0]], [[BOX], [], [BOX], [BOX]])
    assert together[1] == []
    for image, answers in zip((images[0], images[2], images[0]), (together[0], together[2], together[3]), strict=True):
        assert (segmenter.predict([image], [[BOX]])[0][0] == answers[0]).all()


def test_several_objects_in_an_image_are_refused(segmenter):
    images = [picture(40, 50), picture(40, 50)]
    masks = [[disc(40, 50)], [disc(40, 50)] * 2]
    asked = [[BOX], [BOX, BOX]]
    for ask in (
        lambda: segmenter.predict(images, asked),
        lambda: segmenter.loss(images, asked, masks),
        lambda: segmenter.attack_loss(torch.zeros(2, 3, 40, 50), asked, masks),
    ):
        with pytest.raises(MedstressError, match=r"cannot tell the objects.*image 1 of 2 has several.*labels\.kind"):
            ask()


@pytest.mark.parametrize(("height", "width", "colour"), SIZES)
def test_the_attacked_loss_is_the_training_loss_and_its_gradient_is_true(height, width, colour):
    segmenter = load_segmenter(card_of())
    image, mask = picture(height, width, colour), disc(height, width)
    pixels = pixels_of(image).float().requires_grad_()
    loss = segmenter.attack_loss(pixels, [[BOX]], [[mask]])
    assert loss.item() == pytest.approx(segmenter.loss([image], [[BOX]], [[mask]]).item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss.sum(), pixels)
    with torch.no_grad():
        step = 0.02 * gradient.sign()
        ahead, behind = (segmenter.attack_loss(pixels + sign * step, [[BOX]], [[mask]]).item() for sign in (1, -1))
    assert gradient.abs().sum() > 0
    assert ahead - behind == pytest.approx(2 * (gradient * step).sum().item(), rel=0.02)


def test_an_image_without_an_object_counts_for_nothing(segmenter):
    images, mask = [picture(40, 50, seed=seed) for seed in (1, 2)], disc(40, 50)
    alone = segmenter.loss(images[:1], [[BOX]], [[mask]])
    assert segmenter.loss(images, [[BOX], []], [[mask], []]).item() == pytest.approx(alone.item(), rel=1e-6)
    pixels = torch.cat([pixels_of(image) for image in images]).float()
    attacked = segmenter.attack_loss(pixels, [[BOX], []], [[mask], []])
    assert attacked[0].item() == pytest.approx(alone.item(), rel=1e-6)
    assert attacked[1] == 0
    with pytest.raises(MedstressError, match="nothing to learn from"):
        segmenter.loss(images, [[], []], [[], []])


def test_known_embeddings_give_the_same_loss(segmenter):
    image, mask = picture(90, 70), disc(90, 70)
    direct = segmenter.loss([image], [[BOX]], [[mask]])
    known = segmenter.encode([image])
    assert known.shape == (1, 3, 32, 32)
    assert torch.equal(direct, segmenter.loss([np.zeros((90, 70), np.uint8)], [[BOX]], [[mask]], embeddings=known))


def test_it_learns():
    learner = load_segmenter(card_of(name="learner"))
    image = np.where(disc(40, 50)[..., None], 200, 40).astype(np.uint8).repeat(3, 2)
    mask = disc(40, 50)
    optimiser = torch.optim.AdamW(learner.model.parameters(), lr=1e-2)
    learner.model.train()
    for _ in range(60):
        optimiser.zero_grad()
        loss = learner.loss([image], [[BOX]], [[mask]])
        loss.backward()
        optimiser.step()
    learner.model.eval()
    answer = learner.predict([image], [[BOX]])[0][0]
    assert (answer & mask).sum() / (answer | mask).sum() > 0.9


def test_parts_are_a_way_down_and_a_way_up(segmenter):
    names = [name for name, _ in segmenter.model.named_parameters()]
    down, up = (
        {name for name in names if re.match(pattern, name)}
        for pattern in (segmenter.parts.encoder, segmenter.parts.decoder)
    )
    assert down | up == set(names)
    assert not down & up
    assert {"model.2.0.conv.weight", "model.1.submodule.2.0.conv.weight"} <= up
    assert {"model.0.residual.weight", "model.1.submodule.1.submodule.residual.weight"} <= down
    assert not [name for name in names if re.match(segmenter.parts.blocks, name)]


def test_drawn_weights_come_from_the_name_of_the_card():
    torch.manual_seed(3)
    first = load_segmenter(card_of()).model.state_dict()
    torch.manual_seed(4)
    drawn = torch.initial_seed()
    again, other = (load_segmenter(card_of(name=name)).model.state_dict() for name in ("small", "other"))
    assert torch.initial_seed() == drawn
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


class TestWeights:
    @pytest.fixture
    def file(self, tmp_path):
        save_file(load_segmenter(card_of(name="trained")).model.state_dict(), tmp_path / "mine.safetensors")
        return tmp_path / "mine.safetensors"

    def test_are_read(self, file):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        loaded = load_segmenter(card_of(weights=str(file), sha256=digest)).model.state_dict()
        trained = load_segmenter(card_of(name="trained")).model.state_dict()
        assert all(torch.equal(loaded[name], trained[name]) for name in trained)

    def test_of_another_shape_are_refused(self, file):
        with pytest.raises(MedstressError, match=r"mine\.safetensors does not fit: .*model\.0\..* of another shape"):
            load_segmenter(card_of(weights=str(file), channels=[8, 16, 32]))

    def test_of_another_model_are_named(self, tmp_path):
        save_file({"backbone.layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
        with pytest.raises(MedstressError) as error:
            load_segmenter(card_of(weights=str(tmp_path / "other.safetensors")))
        assert "backbone.layer1.0.conv1.weight unknown to" in str(error.value)
        assert "adapter: deeplabv3" in str(error.value)

    def test_that_are_broken_missing_or_others_are_refused(self, tmp_path, file):
        (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
        for name, said in (("broken", "not a readable safetensors file"), ("nowhere", "there is no file")):
            with pytest.raises(MedstressError, match=said):
                load_segmenter(card_of(weights=str(tmp_path / f"{name}.safetensors")))
        with pytest.raises(MedstressError, match="has the sha256"):
            load_segmenter(card_of(weights=str(file), sha256="0" * 64))


@pytest.mark.parametrize(("side", "channels"), [(48, [4] * 6), (32, [4] * 6)])
def test_depths_that_the_side_cannot_hold_are_refused(side, channels):
    with pytest.raises(ValidationError, match="6 depths need a `side`"):
        card_of(side=side, channels=channels)
