"""The training-free segmenters."""

import numpy as np
import pytest

from medstress.cards.segmenter import BoxFill, GrabCut
from medstress.models.registry import load_segmenter
from medstress.seeds import generator

CARDS = [
    BoxFill(name="box_fill", title="Box fill", adapter="box_fill"),
    GrabCut(name="grabcut", title="GrabCut", adapter="grabcut"),
]
each = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def scene(height=90, width=120, colour=False):
    rows, columns = np.indices((height, width))
    mask = (rows - 40) ** 2 / 20**2 + (columns - 60) ** 2 / 28**2 <= 1
    noise = generator(1).normal(0, 6, (height, width))
    grey = np.clip(np.where(mask, 180, 70) + noise, 0, 255).astype(np.uint8)
    return (np.stack([grey, grey // 2, 255 - grey], axis=-1) if colour else grey), mask


@each
@pytest.mark.parametrize("colour", [False, True])
def test_one_mask_for_each_box(card, colour):
    image, _ = scene(colour=colour)
    small = image[:50, :40]
    answers = load_segmenter(card).predict(
        [image, small, image], [[(10, 10, 40, 30), (32, 20, 89, 61)], [(1, 1, 9, 9)], []]
    )
    assert [len(masks) for masks in answers] == [2, 1, 0]
    assert all(mask.shape == (90, 120) and mask.dtype == bool for mask in answers[0])
    assert answers[1][0].shape == (50, 40)


@each
def test_the_answer_depends_on_image_and_box_alone(card):
    image, _ = scene()
    other = generator(3).integers(0, 256, (70, 70)).astype(np.uint8)
    boxes = [(32, 20, 89, 61), (5, 5, 60, 40)]
    together = load_segmenter(card).predict([other, image], [[(3, 3, 50, 50)], boxes])[1]
    for index, box in enumerate(boxes):
        alone = load_segmenter(card).predict([image], [[box]])[0][0]
        assert np.array_equal(alone, together[index])


@each
@pytest.mark.parametrize(
    "box", [(0, 0, 120, 90), (0, 0, 1, 1), (118.5, 88.2, 120, 90), (59, 0, 60, 90), (30.4, 20.6, 88.5, 60.1)]
)
def test_any_box_inside_the_image_has_an_answer(card, box):
    for image in (scene()[0], np.zeros((90, 120), np.uint8), np.full((90, 120, 3), 255, np.uint8)):
        ((mask,),) = load_segmenter(card).predict([image], [[box]])
        assert mask.shape == (90, 120)


def test_box_fill_is_the_box():
    image, _ = scene()
    ((mask,),) = load_segmenter(CARDS[0]).predict([image], [[(10, 20, 30, 25)]])
    assert mask.sum() == 20 * 5
    assert mask[20:25, 10:30].all()


def test_grabcut_finds_what_it_can_see():
    image, truth = scene()
    ((mask,),) = load_segmenter(CARDS[1]).predict([image], [[(32, 20, 89, 61)]])
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95


def test_grabcut_never_leaves_the_grown_box():
    image = generator(5).integers(0, 256, (90, 120)).astype(np.uint8)
    ((mask,),) = load_segmenter(CARDS[1]).predict([image], [[(40, 30, 80, 60)]])
    mask[28:62, 38:82] = False
    assert not mask.any()
