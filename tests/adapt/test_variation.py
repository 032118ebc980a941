"""Training examples are varied as the card says: boxes stay around objects, masks move with the pixels."""

import math

import numpy as np
import pytest

from medstress.adapt.examples import Example, read_examples
from medstress.adapt.finetune import finetune
from medstress.adapt.variation import perturbed, varied
from medstress.cards.strategy import Augmentation
from medstress.errors import MedstressError
from medstress.perturb.protocol import Scene
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import box_of
from medstress.seeds import generator
from medstress.specs import FinetuneSpec
from tests.adapt.conftest import strategy

ALWAYS = {"probability": 1.0}


@pytest.fixture(scope="module")
def example(dataset):
    (stored, *_) = read_examples(dataset.images, dataset.samples, "train")
    return stored.decoded()


def test_boxes_stay_around_objects_and_inside_the_image(example):
    for seed in range(30):
        other = varied(example, generator(seed))
        assert other.image.sum() == example.image.sum()
        for (x0, y0, x1, y1), mask in zip(other.boxes, other.masks, strict=True):
            assert 0 <= x0 < x1 <= 64
            assert 0 <= y0 < y1 <= 64
            inside = mask[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)].sum()
            assert inside > 0.75 * mask.sum()


def test_masks_move_with_the_pixels(example):
    """The objects are brighter than the rest, so that the image shows where they went."""
    turned = Augmentation(types=["rotation"], levels=[5], **ALWAYS)
    other = perturbed(example, generator(1), turned)
    assert not np.array_equal(other.image, example.image)
    assert np.array_equal(np.any(other.masks, axis=0), other.image > 100)
    assert [box_of(mask) for mask in other.masks] == list(other.boxes)


def test_an_object_that_leaves_the_frame_is_dropped(example):
    image = np.zeros((64, 64), np.uint8)
    corner, middle = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    corner[:3, :3], middle[28:36, 28:36] = True, True
    image[corner | middle] = 200
    both = Example("s", Scene(image, modality="ct"), (box_of(corner), box_of(middle)), (corner, middle))
    turned = Augmentation(types=["rotation"], levels=[5], **ALWAYS)
    other = perturbed(both, generator(0), turned)
    assert len(other.masks) == len(other.boxes) == 1
    alone = Example("s", Scene(image, modality="ct"), both.boxes[:1], both.masks[:1])
    assert perturbed(alone, generator(0), turned) is alone


def test_levels_are_those_of_the_study():
    """Calibrated on the image itself."""
    image = generator(0).normal(128, 40, (64, 64)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    plain = Example("s", Scene(image, modality="ct"), (box_of(mask),), (mask,))
    for level, (low, high) in {1: (0.9, 0.98), 3: (0.7, 0.79)}.items():
        other = perturbed(plain, generator(3), Augmentation(types=["gaussian_noise"], levels=[level], **ALWAYS))
        assert low <= StructuralSimilarity(image)(other.image) <= high
        assert other.masks == plain.masks


def test_types_of_other_modalities_are_left_out_and_probability_is_kept(example):
    foreign = Augmentation(types=["hair"], **ALWAYS)
    assert perturbed(example, generator(0), foreign) is example
    mixed = Augmentation(types=["hair", "contrast"], probability=0.3)
    changed = [perturbed(example, generator(seed), mixed) is not example for seed in range(200)]
    assert 0.2 < np.mean(changed) < 0.4


def test_an_augmentation_that_fits_no_image_is_an_error(card, dataset, tmp_path):
    by = strategy("decoder_only", augmentation=Augmentation(types=["hair", "vignette"]))
    spec = FinetuneSpec(model=card, strategy=by, trainset="splits", seed=0)
    with pytest.raises(MedstressError, match=r"none of its augmentation's types \(hair, vignette\) is for ct"):
        finetune(
            spec, [dataset.images], [dataset.samples], tmp_path / "t", tmp_path / "j", journal=tmp_path / "x", code=""
        )
