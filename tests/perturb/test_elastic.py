"""Elastic deformation is one to one, stays in the frame, and takes masks, points and boxes along."""

import numpy as np
import pytest
from scipy import ndimage

from medstress.perturb.elastic import ELASTIC
from medstress.perturb.protocol import Scene
from medstress.perturb.warp import remaining_share, valid_pixels, warp_box, warp_image, warp_mask, warp_points
from medstress.pixels import box_of
from medstress.seeds import generator

SHAPES = [(128, 128), (64, 48), (32, 32), (60, 300)]


def origins(warp, height, width):
    """Where each pixel comes from, [2 (y, x), H, W]: the grid's displacements between nodes, as the record says."""
    rows, columns = int(warp.parameters[0]), int(warp.parameters[1])
    across, down = np.array(warp.parameters[2:]).reshape(2, rows, columns)
    y, x = np.indices((height, width), dtype=float)
    at = [y * (rows - 1) / (height - 1), x * (columns - 1) / (width - 1)]
    return np.stack(
        [
            y + ndimage.map_coordinates(down, at, order=1, mode="nearest"),
            x + ndimage.map_coordinates(across, at, order=1, mode="nearest"),
        ]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_every_level_is_one_to_one(shape):
    for seed in range(25):
        realisation = ELASTIC.realise(Scene(np.zeros(shape, np.uint8)), generator(seed))
        for share in ELASTIC.table:
            y, x = origins(realisation.warp(share), *shape)
            # The signed area of every cell of four pixels, from two of its sides at each of two opposite corners.
            right, lower = (np.stack([np.diff(x, axis=axis), np.diff(y, axis=axis)]) for axis in (1, 0))
            for first, second in ((right[:, :-1], lower[:, :, :-1]), (right[:, 1:], lower[:, :, 1:])):
                assert (first[0] * second[1] - first[1] * second[0]).min() > 0.2


@pytest.mark.parametrize("shape", SHAPES)
def test_strength_is_the_longest_displacement(shape):
    lengths = []
    for seed in range(25):
        realisation = ELASTIC.realise(Scene(np.zeros(shape, np.uint8)), generator(seed))
        y, x = origins(realisation.warp(0.05), *shape)
        rows, columns = np.indices(shape)
        lengths.append(np.hypot(y - rows, x - columns).max() / min(shape))
    assert min(lengths) > 0.035
    assert max(lengths) < 0.0502
    assert np.median(lengths) == pytest.approx(0.05, rel=0.06)


def test_pixels_come_from_where_the_record_says(real_images):
    for name, image in real_images.items():
        realisation = ELASTIC.realise(Scene(image, background=9), generator(7))
        moved = realisation.render(0.04)
        assert np.array_equal(moved, warp_image(image, realisation.warp(0.04), 9)), name
        at = origins(realisation.warp(0.04), *image.shape[:2])
        planes = np.moveaxis(image if image.ndim == 3 else image[..., None], -1, 0).astype(float)
        expected = np.stack([ndimage.map_coordinates(plane, at, order=1, mode="nearest") for plane in planes], axis=-1)
        difference = np.abs(moved.reshape(expected.shape) - expected)
        # Positions are rounded to 1/32 pixel when images are resampled.
        assert np.mean(difference) < 0.6, name


def test_the_frame_stays_where_it_is_and_nothing_enters():
    picture = generator(1).integers(0, 256, (90, 110)).astype(np.uint8)
    realisation = ELASTIC.realise(Scene(picture, background=201), generator(4))
    assert np.array_equal(realisation.render(0), picture)
    for share in ELASTIC.table:
        moved = realisation.render(share)
        for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            assert np.array_equal(moved[side], picture[side])
        assert valid_pixels(90, 110, realisation.warp(share)).all()


def test_masks_points_and_boxes_follow():
    rows, columns = np.indices((120, 150))
    mask = (rows - 50) ** 2 + (columns - 70) ** 2 <= 22**2
    picture = mask.astype(np.uint8) * 255
    angle = np.linspace(0, 2 * np.pi, 720)
    edge = np.stack([70 + 22.2 * np.cos(angle), 50 + 22.2 * np.sin(angle)], axis=1)
    for seed in range(6):
        realisation = ELASTIC.realise(Scene(picture), generator(seed))
        for share in ELASTIC.table:
            warp = realisation.warp(share)
            moved = warp_mask(mask, warp)
            assert np.array_equal(moved, realisation.render(share) > 127)
            assert remaining_share(mask, warp) == 1
            landed = warp_points(edge, warp, 120, 150) + 0.5
            assert [*landed.min(axis=0), *landed.max(axis=0)] == pytest.approx(box_of(moved), abs=1)
            assert warp_box(box_of(mask), mask, moved, warp) == box_of(moved)
