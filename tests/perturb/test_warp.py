"""Masks, boxes and points move with the image."""

import numpy as np
import pytest

from medstress.perturb import PERTURBATIONS
from medstress.perturb.protocol import Scene
from medstress.perturb.warp import (
    matrix_of,
    remaining_share,
    valid_pixels,
    warp_box,
    warp_image,
    warp_mask,
    warp_points,
)
from medstress.pixels import box_of
from medstress.records import WarpRow
from medstress.seeds import generator

MOVING = [perturbation for perturbation in PERTURBATIONS.values() if perturbation.moves_pixels]
AFFINE = [PERTURBATIONS[name] for name in ("rotation", "scaling", "translation")]
moving = pytest.mark.parametrize("perturbation", MOVING, ids=lambda item: item.name)
affine_only = pytest.mark.parametrize("perturbation", AFFINE, ids=lambda item: item.name)


def strengths(perturbation):
    if perturbation.table is not None:
        return perturbation.table
    return [perturbation.round(value) for value in np.geomspace(perturbation.mildest, perturbation.strongest, 5)]


def disc(height=120, width=150, centre=(50, 70), radius=22):
    rows, columns = np.indices((height, width))
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


@moving
def test_a_warped_mask_is_the_mask_of_the_warped_picture(perturbation):
    """A model that answers with what it sees moved has an overlap of 1 with the moved truth."""
    mask = disc()
    picture = mask.astype(np.uint8) * 255
    for seed in range(4):
        realisation = perturbation.realise(Scene(picture), generator(seed))
        for strength in strengths(perturbation):
            warp = realisation.warp(strength)
            moved = warp_mask(mask, warp)
            assert np.array_equal(moved, warp_image(picture, warp, 0) > 127)
            if perturbation.name != "endo_bubbles":  # bubbles also paint rims and highlights
                assert np.array_equal(moved, realisation.render(strength) > 127)


@moving
def test_pixels_follow_the_recorded_map(perturbation):
    """The centre of mass of a small blob lands where the record says."""
    picture = np.zeros((101, 131), np.uint8)
    picture[43:46, 82:85] = 250
    rows, columns = np.indices(picture.shape)
    for seed in range(4):
        realisation = perturbation.realise(Scene(picture), generator(seed))
        for strength in strengths(perturbation):
            warp = realisation.warp(strength)
            moved = warp_image(picture, warp, 0).astype(float)
            seen = np.array([(moved * columns).sum(), (moved * rows).sum()]) / moved.sum()
            [expected] = warp_points(np.array([[83.0, 44.0]]), warp, *picture.shape)
            # Three rows of a row shift move apart, and a lens shows the rim of the blob larger than its centre.
            assert expected == pytest.approx(seen, abs=0.15 if warp.kind == "affine" else 1.0)


@affine_only
def test_invalid_pixels_are_those_that_show_background(perturbation):
    picture = np.full((90, 110), 77, np.uint8)
    realisation = perturbation.realise(Scene(picture, background=201), generator(4))
    for strength in perturbation.table:
        moved = realisation.render(strength)
        valid = valid_pixels(90, 110, realisation.warp(strength))
        assert np.all(moved[valid] == 77)
        assert np.all(moved[~valid] != 77)
        assert 0 < (~valid).mean() < 0.5


def outline(mask):
    """The corners of the pixels along a mask's edge, x and y."""
    rows, columns = np.nonzero(mask)
    return np.concatenate([np.stack([columns + dx, rows + dy], axis=1) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)])


@moving
def test_boxes_of_warped_masks_are_the_warped_boxes(perturbation):
    mask = disc()
    for seed in range(3):
        realisation = perturbation.realise(Scene(mask.astype(np.uint8)), generator(seed))
        for strength in strengths(perturbation):
            warp = realisation.warp(strength)
            moved = warp_mask(mask, warp)
            assert warp_box(box_of(mask), mask, moved, warp) == box_of(moved)
            corners = warp_points(outline(mask), warp, *mask.shape) + 0.5
            expected = (*corners.min(axis=0), *corners.max(axis=0))
            assert box_of(moved) == pytest.approx(expected, abs=1.0)


def test_a_loose_box_stays_as_loose_and_inside_the_image():
    mask = disc(centre=(50, 135), radius=10)
    shift = WarpRow("affine", (1.0, 0.0, 3.0, 0.0, 1.0, 0.0))
    x0, y0, x1, y1 = box_of(mask)
    moved = warp_mask(mask, shift)
    loose = (x0 - 2, y0 - 4, x1 + 1, y1 + 5)
    assert warp_box(loose, mask, moved, shift) == (x0 + 1, y0 - 4, 150.0, y1 + 5)


def test_margins_shrink_with_the_scene():
    mask = disc(radius=20)
    half = WarpRow("affine", (0.5, 0.0, 20.0, 0.0, 0.5, 20.0))
    moved = warp_mask(mask, half)
    x0, y0, x1, y1 = box_of(mask)
    tight = box_of(moved)
    loose = warp_box((x0 - 20, y0 - 20, x1 + 20, y1 + 20), mask, moved, half)
    assert loose == pytest.approx((tight[0] - 10, tight[1] - 10, tight[2] + 10, tight[3] + 10))


@moving
def test_a_box_inside_the_object_is_never_turned_inside_out(perturbation):
    mask = disc(radius=12)
    x0, y0, x1, y1 = box_of(mask)
    inside = (x0 + 10, y0 + 10, x1 - 10, y1 - 10)
    realisation = perturbation.realise(Scene(mask.astype(np.uint8)), generator(1))
    for strength in (*strengths(perturbation), perturbation.strongest):
        warp = realisation.warp(strength)
        moved = warp_mask(mask, warp)
        if moved.any():
            left, top, right, bottom = warp_box(inside, mask, moved, warp)
            assert left < right
            assert top < bottom


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (20, 1.0), (75, 0.5), (200, 0.0)])
def test_the_share_that_remains_is_counted_in_the_frame(shift, share):
    mask = np.zeros((60, 100), bool)
    mask[20:40, 20:30] = True
    right = WarpRow("affine", (1.0, 0.0, float(shift), 0.0, 1.0, 0.0))
    assert remaining_share(mask, right) == pytest.approx(share)


def test_shrinking_loses_nothing():
    smaller = WarpRow("affine", (0.75, 0.0, 5.0, 0.0, 0.75, 5.0))
    assert remaining_share(disc(), smaller) == 1.0


def test_colour_moves_like_grey():
    grey = generator(0).integers(0, 256, (50, 60)).astype(np.uint8)
    warp = WarpRow("affine", (0.9, 0.1, 2.0, -0.1, 0.9, 3.0))
    colour = warp_image(np.stack([grey] * 3, axis=-1), warp, 9)
    assert all(np.array_equal(colour[..., channel], warp_image(grey, warp, 9)) for channel in range(3))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown warp 'swirl'"):
        warp_mask(disc(), WarpRow("swirl", (1.0,)))
    with pytest.raises(ValueError, match="'rows' is not an affine warp"):
        matrix_of(WarpRow("rows", (1.0,)))
