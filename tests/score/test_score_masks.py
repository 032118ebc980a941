"""Metrics of one object: worked out by hand, and equal to MONAI's and torchmetrics'."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

from medstress.names import MetricName
from medstress.pixels import Mask
from medstress.score.masks import compare, truth_of
from medstress.score.surface import distances_between, outline_of

ALL: list[MetricName] = ["iou", "dice", "hd95", "nsd"]


def square(top: int, left: int, bottom: int, right: int, shape: tuple[int, int] = (20, 30)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def scores(truth: Mask, prediction: Mask, tolerance: float = 2.0) -> dict[MetricName, float]:
    return compare(truth_of(truth), prediction, ALL, tolerance)


def test_by_hand() -> None:
    # 4 x 4 against the same moved right by 2: 8 shared pixels of 24; every outline has 12 pixels.
    values = scores(square(5, 5, 9, 9), square(5, 7, 9, 11), tolerance=1.0)
    assert values["iou"] == 8 / 24
    assert values["dice"] == 16 / 32
    # Of each outline the 4 pixels of the far side are 2 away, and 4 of the other 8 lie on the other outline.
    assert values["hd95"] == 2.0
    assert values["nsd"] == 16 / 24


def test_perfect_answer() -> None:
    mask = square(0, 0, 20, 30)
    assert scores(mask, mask) == {"iou": 1.0, "dice": 1.0, "hd95": 0.0, "nsd": 1.0}


def test_distance_equal_to_the_tolerance_counts() -> None:
    one, other = square(5, 5, 6, 6), square(5, 8, 6, 9)
    assert scores(one, other, tolerance=3.0)["nsd"] == 1.0
    assert scores(one, other, tolerance=2.99)["nsd"] == 0.0


def test_empty_masks_have_values() -> None:
    nothing, something = np.zeros((20, 30), bool), square(2, 2, 5, 5)
    assert scores(nothing, nothing) == {"iou": 1.0, "dice": 1.0, "hd95": 0.0, "nsd": 1.0}
    lost = {"iou": 0.0, "dice": 0.0, "hd95": math.hypot(19, 29), "nsd": 0.0}
    assert scores(something, nothing) == lost
    assert scores(nothing, something) == lost


def test_only_the_asked_metrics() -> None:
    assert list(compare(truth_of(square(1, 1, 3, 3)), square(1, 1, 3, 3), ["dice"], 2.0)) == ["dice"]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="truth"):
        scores(square(1, 1, 3, 3), square(1, 1, 3, 3, (20, 31)))


def _blobs(seed: int) -> tuple[Mask, Mask]:
    """Two related random masks with holes and islands; many touch the border."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(12, 70, 2))
    field = gaussian_filter(random.normal(size=shape), random.uniform(1, 5))
    other = field + gaussian_filter(random.normal(size=shape), 2) * random.uniform(0, 1) * field.std()
    return field > np.quantile(field, random.uniform(0.3, 0.97)), other > np.quantile(other, random.uniform(0.3, 0.97))


@pytest.mark.parametrize("seed", range(60))
def test_equal_to_the_reference_libraries(seed: int) -> None:
    truth, prediction = _blobs(seed)
    ours = scores(truth, prediction, tolerance=1.5)
    expected, given = (torch.from_numpy(mask)[None, None] for mask in (truth, prediction))
    # Counts are exact; the libraries divide in float32.
    assert ours["iou"] == pytest.approx(float(binary_jaccard_index(given[0, 0], expected[0, 0])), abs=1e-6)
    assert ours["dice"] == pytest.approx(float(binary_f1_score(given[0, 0].int(), expected[0, 0].int())), abs=1e-6)
    # MONAI holds distances in float32.
    distance = compute_hausdorff_distance(given, expected, include_background=True, percentile=95)
    assert ours["hd95"] == pytest.approx(float(distance), rel=1e-5, abs=1e-5)
    surface = compute_surface_dice(given, expected, [1.5], include_background=True)
    assert ours["nsd"] == pytest.approx(float(surface), abs=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 5, 30), (15, 20, 20, 30), (0, 0, 20, 30), (0, 0, 1, 1)])
def test_masks_at_the_border_are_as_in_monai(box: tuple[int, int, int, int]) -> None:
    truth, prediction = square(*box), square(3, 4, 17, 29)
    ours = scores(truth, prediction)
    expected, given = (torch.from_numpy(mask)[None, None] for mask in (truth, prediction))
    assert ours["hd95"] == pytest.approx(
        float(compute_hausdorff_distance(given, expected, include_background=True, percentile=95)), rel=1e-5
    )
    assert ours["nsd"] == pytest.approx(
        float(compute_surface_dice(given, expected, [2.0], include_background=True)), abs=1e-6
    )


def test_distances_are_exact() -> None:
    random = np.random.default_rng(0)
    truth, prediction = random.random((300, 500)) < 0.0005, np.zeros((300, 500), bool)
    prediction[290:, 480:] = True
    first, second = outline_of(truth), outline_of(prediction)
    assert first is not None
    assert second is not None
    off = np.ones(truth.shape, bool)
    off[second.rows, second.columns] = False
    forward, _ = distances_between(first, second)
    assert np.array_equal(forward, distance_transform_edt(off)[first.rows, first.columns])


def test_distances_are_those_of_the_clean_image() -> None:
    # 3 pixels apart where a clean pixel is half a pixel wide: 6 clean pixels.
    one, other = truth_of(square(5, 5, 6, 6)), square(5, 8, 6, 9)
    assert compare(one, other, ["hd95"], 2.0, scale=0.5) == {"hd95": 6.0}
    assert compare(one, other, ["nsd"], 6.0, scale=0.5) == {"nsd": 1.0}
    assert compare(one, other, ["nsd"], 5.9, scale=0.5) == {"nsd": 0.0}
    # The longest distance of an image is that of the clean one already.
    nothing = np.zeros((20, 30), bool)
    assert compare(one, nothing, ["hd95"], 2.0, scale=0.5) == {"hd95": math.hypot(19, 29)}
