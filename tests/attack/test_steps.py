"""FGSM and PGD against foolbox, the gradient against finite differences, and the ball on the stored image."""

import eagerpy as ep
import foolbox
import numpy as np
import pytest
import torch

from medstress.attack.attacker import climb_of
from medstress.attack.ball import into_ball, onto_grid, random_offset, region_of, steepest
from medstress.attack.steps import Climb, climb, fgsm, gradient_of, pgd
from medstress.attack.subjects import to_images, to_pixels
from medstress.errors import MedstressError
from medstress.seeds import generator
from tests.attack.conftest import attack, picture

CPU = torch.device("cpu")


@pytest.fixture
def pair():
    """Two grey images as pixels, with their boxes and masks."""
    images, masks = zip(*(picture(index) for index in range(2)), strict=True)
    boxes = [[(4.0, 3.0, 12.0, 11.0), (12.0, 13.0, 18.0 + index, 21.0)] for index in range(2)]
    return to_pixels(images, CPU), boxes, masks


@pytest.fixture
def loss(segmenter, pair):
    _, boxes, masks = pair
    return lambda pixels: segmenter.attack_loss(pixels, boxes, masks)


@pytest.fixture
def everywhere(pair):
    return torch.ones_like(pair[0])


class OurLoss:
    """Makes foolbox's PGD climb our loss from a given start."""

    def __init__(self, loss, start, **settings):
        super().__init__(random_start=True, **settings)
        self.loss, self.start = loss, start

    def get_loss_fn(self, model, labels):
        return lambda inputs: ep.astensor(self.loss(inputs.raw).sum())

    def get_random_start(self, x0, epsilon):
        return ep.astensor(self.start)


class LinfPgd(OurLoss, foolbox.attacks.LinfProjectedGradientDescentAttack):
    pass


class L2Pgd(OurLoss, foolbox.attacks.L2ProjectedGradientDescentAttack):
    pass


def with_foolbox(loss, clean, start, *, radius, steps, step, kind=LinfPgd):
    model = foolbox.PyTorchModel(torch.nn.Flatten().eval(), bounds=(0, 255), device="cpu")
    oracle = kind(loss, start, steps=steps, abs_stepsize=step)
    return oracle.run(model, clean, torch.zeros(len(clean), dtype=torch.int64), epsilon=radius)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
@pytest.mark.parametrize("level", [1, 3, 5])
def test_the_same_loss_as_foolbox_before_rounding(pair, loss, everywhere, method, level):
    clean = pair[0]
    how = climb_of(attack(method), level)
    if method == "fgsm":
        start, how = clean, Climb(how.radius, 1, how.radius)
    else:
        start = clean + how.radius * (2 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) - 1)
    ours = climb(loss, clean, everywhere, start, how)
    theirs = with_foolbox(loss, clean, start, radius=how.radius, steps=how.steps, step=how.step)
    assert loss(ours).detach().numpy() == pytest.approx(loss(theirs).detach().numpy(), abs=1e-3)
    assert (loss(ours) > loss(clean) + 0.01).all()
    if method == "fgsm":
        assert torch.equal(fgsm(gradient_of(loss, clean), clean, everywhere, how.radius, 1), theirs.round())


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
@pytest.mark.parametrize("level", [1, 3, 5])
def test_the_same_loss_as_foolbox_in_the_l2_ball(pair, loss, everywhere, method, level):
    clean = pair[0]
    how = climb_of(attack(method, norm="l2", epsilons=[25, 40, 50, 75, 100]), level)
    if method == "fgsm":
        start, how = clean, Climb(how.radius, 1, how.radius, norm="l2")
    else:
        drawn = random_offset(generator(1), clean.shape[1:], "l2")
        start = clean + how.radius * torch.from_numpy(drawn)
    ours = climb(loss, clean, everywhere, start, how)
    theirs = with_foolbox(loss, clean, start, radius=how.radius, steps=how.steps, step=how.step, kind=L2Pgd)
    assert loss(ours).detach().numpy() == pytest.approx(loss(theirs).detach().numpy(), abs=1e-3)
    assert (loss(ours) > loss(clean) + 0.004).all()
    stored = onto_grid(ours, clean, how.radius, "l2")
    # Rounding costs next to nothing of what was gained.
    assert (loss(stored) - loss(clean) > 0.95 * (loss(ours) - loss(clean))).all()
    if method == "fgsm":
        assert torch.equal(fgsm(gradient_of(loss, clean), clean, everywhere, how.radius, 1, "l2"), stored)


@pytest.mark.parametrize("size", [0, 1e-30, 1e30])
def test_an_l2_step_has_length_one_or_none(size):
    drawn = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    step = steepest(size * drawn, "l2")
    assert torch.isfinite(step).all()
    assert step.flatten(1).norm(dim=1).tolist() == pytest.approx([1.0 if size else 0.0] * 2)


def test_images_without_a_gradient_stay(pair, everywhere):
    clean, how = pair[0], Climb(50, 3, 20, norm="l2")
    flat = pgd(lambda pixels: (0 * pixels).sum((1, 2, 3)), clean, everywhere, [torch.zeros_like(clean)], how)[0]
    assert torch.equal(flat, clean)


def test_the_gradient_is_the_finite_difference(segmenter, pair):
    clean, boxes, masks = pair
    segmenter.model.double()
    clean, random = clean.double(), np.random.default_rng(0)
    gradient = gradient_of(lambda pixels: segmenter.attack_loss(pixels, boxes, masks), clean)
    for _ in range(12):
        image, row, column = random.integers(2), random.integers(24), random.integers(24)
        shifted = []
        for step in (0.01, -0.01):
            moved = clean.clone()
            moved[image, 0, row, column] += step
            shifted.append(segmenter.attack_loss(moved, boxes, masks)[image].item())
        assert gradient[image, 0, row, column].item() == pytest.approx((shifted[0] - shifted[1]) / 0.02, rel=1e-5)


def test_no_gradient_reaches_the_weights(segmenter, pair, loss):
    before = {name: value.clone() for name, value in segmenter.model.state_dict().items()}
    gradient_of(loss, pair[0])
    assert all(parameter.grad is None for parameter in segmenter.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in segmenter.model.state_dict().items())


def test_a_gradient_that_is_not_finite_is_an_error(pair):
    with pytest.raises(MedstressError, match="not finite"):
        gradient_of(lambda pixels: torch.sqrt(pixels - pixels).sum((1, 2, 3)), pair[0])


@pytest.mark.parametrize("radius", [1, 2.5, 10])
def test_the_ball_holds_on_the_stored_image(radius):
    clean = torch.tensor([0.0, 3.0, 128.0, 250.0, 255.0]).repeat(1, 1, 7, 1)
    random = torch.Generator().manual_seed(0)
    wild = clean + 40 * torch.randn(clean.shape, generator=random)
    inside = into_ball(wild, clean, radius)
    assert (inside - clean).abs().max() <= radius
    assert inside.min() >= 0
    assert inside.max() <= 255
    for pixels in (wild, inside):
        stored = to_images(onto_grid(pixels, clean, radius))[0]
        assert stored.dtype == np.uint8
        assert np.abs(stored.astype(int) - to_images(clean)[0]).max() == int(radius)


@pytest.mark.parametrize("colour", [False, True])
def test_pixels_and_images_are_inverse(colour):
    image, _ = picture(1, colour=colour, height=9, width=13)
    pixels = to_pixels([image, image], CPU)
    assert pixels.shape == (2, 3 if colour else 1, 9, 13)
    assert all(np.array_equal(back, image) for back in to_images(pixels))


def test_steps_are_the_published_ones():
    assert [climb_of(attack(), level).radius for level in range(1, 6)] == [2, 4, 6, 8, 10]
    assert [climb_of(attack(), level).steps for level in range(1, 6)] == [3, 5, 7, 10, 15]
    assert climb_of(attack(step_size="published"), 5).step == pytest.approx(10 / 15)
    assert climb_of(attack(), 5).step == pytest.approx(2.5 * 10 / 15)
    assert [climb_of(attack(targeted=value), 1).sign for value in (False, True)] == [1, -1]


def test_momentum_follows_what_earlier_steps_said():
    """The gradient turns round after the first step: memory outweighs it where the decay is above 1."""
    clean = torch.full((1, 1, 1, 2), 100.0)

    def loss(pixels):
        first = pixels[:, 0, 0, 0]
        return torch.where(first > 101, -first, first)

    def end(momentum):
        found = climb(loss, clean, torch.ones_like(clean), clean, Climb(8, 2, 2, momentum))
        return found[0, 0, 0].tolist()

    assert end(0.0) == [100, 100]
    assert end(0.5) == [100, 100]
    assert end(1.5) == [104, 100]


def test_the_best_start_is_kept_for_each_image(pair, loss, everywhere):
    clean, how = pair[0], Climb(4, 2, 2)
    random = torch.Generator().manual_seed(5)
    starts = [2 * torch.rand(clean.shape, generator=random) - 1 for _ in range(4)]
    single = torch.stack([loss(pgd(loss, clean, everywhere, [start], how)[0]) for start in starts])
    found, best = pgd(loss, clean, everywhere, starts, how)
    assert torch.equal(best, single.argmax(0))
    assert torch.allclose(loss(found), single.max(0).values)
    assert len(set(single.argmax(0).tolist()) | {0}) > 1, "the first start is not the best of both images"
    lowest = Climb(4, 2, 2, sign=-1)
    assert (loss(pgd(loss, clean, everywhere, starts, lowest)[0]) < loss(clean)).all()


def test_regions():
    boxes = [(1.0, 2.0, 4.0, 3.0), (4.6, 0.0, 6.0, 1.0)]
    inside = region_of("inside_box", boxes, 4, 6)
    assert {tuple(place) for place in np.argwhere(inside).tolist()} == {(2, 1), (2, 2), (2, 3), (0, 5)}
    assert np.array_equal(region_of("outside_box", boxes, 4, 6), ~inside)
    assert region_of("image", boxes, 4, 6).all()
