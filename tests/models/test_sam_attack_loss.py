"""Gradients to stored pixels: right for what does not round, and values that are those of predict's own path."""

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from medstress.errors import MedstressError
from medstress.models.segmentation import medsam, sam
from medstress.models.segmentation.medsam import MedSamPixels
from medstress.models.segmentation.sam_pixels import bilinear_weights
from medstress.models.segmentation.sam_preprocess import Preprocessing
from medstress.models.straight_through import straight_through
from tests.models.sam_files import BOXES, SIDE, colour, grey, medsam_card, sam_card, tiny_original

PATHS = {"sam": Preprocessing(SIDE), "medsam": MedSamPixels(SIDE)}
IMAGES = {
    "wide": grey,
    "tall_colour": lambda: colour(100, 47),
    "small": lambda: grey(31, 20),
    "as_the_input": lambda: colour(SIDE, SIDE),
    "flat": lambda: np.full((40, 50), 100, np.uint8),
}
CARDS = {"sam": (sam, sam_card), "medsam": (medsam, medsam_card)}


def stored(image):
    """Pixels [C, H, W] of an image."""
    return torch.from_numpy(image if image.ndim == 3 else image[..., None]).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "tiny.pth"
    torch.save(tiny_original(), path)
    return path


@pytest.mark.parametrize(("size", "wanted"), [(90, 64), (20, 64), (64, 64), (300, 7), (7, 300)])
def test_bilinear_weights_are_pillows(size, wanted):
    line = np.random.default_rng(0).uniform(0, 255, (1, size)).astype(np.float32)
    theirs = np.asarray(Picture.fromarray(line).resize((wanted, 1), Picture.Resampling.BILINEAR))
    assert np.allclose(bilinear_weights(size, wanted) @ line[0], theirs[0], atol=1e-4)


@pytest.mark.parametrize("name", list(IMAGES))
@pytest.mark.parametrize("way", list(PATHS))
def test_values_are_those_of_predict_and_rounding_is_all_that_differs(way, name):
    path, image = PATHS[way], IMAGES[name]()
    pixels = stored(image).requires_grad_()
    through = straight_through(path, pixels)
    assert torch.equal(through, path.pixels(image))
    smooth = path.smooth(stored(image))
    spread = through.max() - through.min()
    # SAM: Pillow rounds after each of two passes. MedSAM: cut to whole levels, then the range is stretched to 0..1.
    levels = 1.01 / 255 / min(path.std) if way == "sam" else 2.01 / max(np.ptp(image), 2.01)
    assert (through - smooth).abs().max() <= levels
    assert spread > 0.5 or name == "flat"


@pytest.mark.parametrize("name", ["wide", "tall_colour", "small"])
@pytest.mark.parametrize("way", list(PATHS))
def test_the_gradient_is_that_of_the_path_without_rounding(way, name):
    path, pixels = PATHS[way], stored(IMAGES[name]()).double()
    drawn = torch.Generator().manual_seed(0)
    weights = torch.randn(3, SIDE, SIDE, generator=drawn, dtype=torch.float64)
    pixels = 20 + 0.8 * pixels + torch.rand(pixels.shape, generator=drawn, dtype=torch.float64)
    direction = torch.randn(pixels.shape, generator=drawn, dtype=torch.float64)
    given = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((path.smooth(given) * weights).sum(), given)
    step = 1e-5
    ahead, back = ((path.smooth(pixels + sign * step * direction) * weights).sum() for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (ahead - back) / (2 * step), rtol=1e-4, atol=1e-6)
    whole = pixels.round().float()
    first, second = whole.clone().requires_grad_(), whole.clone().requires_grad_()
    (passed,) = torch.autograd.grad((straight_through(path, first) * weights).sum(), first)
    (plain,) = torch.autograd.grad((path.smooth(second) * weights).sum(), second)
    assert torch.equal(passed, plain)
    assert passed.abs().sum() > 0


@pytest.mark.parametrize("way", list(CARDS))
def test_the_attack_loss_is_that_of_each_image(weights, way):
    module, card = CARDS[way]
    ours = module.load(card(weights))
    images, boxes = [colour(seed=1), colour(seed=2), colour(seed=3)], [BOXES, [], BOXES[:1]]
    masks = [[image[..., 0] > 80 for _ in group] for image, group in zip(images, boxes, strict=True)]
    pixels = torch.stack([stored(image) for image in images]).requires_grad_()
    losses = ours.attack_loss(pixels, boxes, masks)
    assert losses.shape == (3,)
    assert losses[1] == 0
    for index in (0, 2):
        alone = ours.loss([images[index]], [boxes[index]], [masks[index]])
        torch.testing.assert_close(losses[index], alone, atol=1e-5, rtol=1e-5)
    (gradient,) = torch.autograd.grad(losses[0], pixels)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0
    assert all(item.grad is None for item in ours.model.parameters())


@pytest.mark.parametrize("way", list(CARDS))
def test_the_gradient_of_the_attack_loss_agrees_with_differences(weights, way):
    module, card = CARDS[way]
    ours = module.load(card(weights))
    image = grey(50, 60)
    masks = [[image > 128 for _ in BOXES[1:2]]]
    drawn = torch.Generator().manual_seed(1)
    # A little off whole levels, so that no step changes which stored image is the nearest.
    pixels = (20 + 0.8 * stored(image)[None]).round() + 0.1
    # One brightest and one darkest pixel: where there are several, MedSAM's range has no gradient but a choice of them.
    pixels[..., 20, 20], pixels[..., 30, 30] = 240.1, 4.1
    direction = torch.randn(pixels.shape, generator=drawn).sign()
    given = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ours.attack_loss(given, [BOXES[1:2]], masks).sum(), given)
    step = 0.05
    with torch.no_grad():
        ahead, back = (
            ours.attack_loss(pixels + sign * step * direction, [BOXES[1:2]], masks).double() for sign in (1, -1)
        )
    expected = float((ahead - back).sum() / (2 * step))
    assert float((gradient * direction).sum()) == pytest.approx(expected, rel=0.05, abs=2e-5)
    up = pixels + 0.3 * gradient.sign()
    assert ours.attack_loss(up, [BOXES[1:2]], masks) > ours.attack_loss(pixels, [BOXES[1:2]], masks)


def test_attacks_need_eval_mode_and_boxes(weights):
    ours = sam.load(sam_card(weights))
    pixels = stored(grey())[None]
    with pytest.raises(MedstressError, match="no image of the batch has a box: there is nothing to attack"):
        ours.attack_loss(pixels, [[]], [[]])
    with pytest.raises(MedstressError, match=r"image 0 of 1: box .* reaches outside the image of 120 x 90"):
        ours.attack_loss(pixels, [[(0, 0, 121, 5)]], [[np.ones((90, 120), bool)]])
    ours.model.train()
    with pytest.raises(AssertionError, match="eval mode"):
        ours.attack_loss(pixels, [BOXES], [[np.ones((90, 120), bool)] * 3])
