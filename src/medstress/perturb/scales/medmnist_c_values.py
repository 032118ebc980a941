"""The severities of MedMNIST-C: per data set and corruption, the parameters of levels 1 to 5.

Names and order of parameters are the publication's (medmnistc 0.1.0). zoom_blur is (end, step) of its factors from 1
on, as ImageNet-C writes them: the end is not one of them, but for 1.11, where rounding lets it in. stain_deposit has
the side of a drop in pixels as its second parameter, one of the publication's ink sizes for each level; the published
code takes others, see PUBLISHED_INK_SIDES.
"""

from collections.abc import Mapping

from medstress.perturb.scales.protocol import Severity


def _one(*values: float) -> tuple[Severity, ...]:
    return tuple((value,) for value in values)


INK_SIDES = (12, 16, 24, 32, 42)
"""Sides of the publication's ink marks, in pixels of a 224-pixel image."""

PUBLISHED_INK_SIDES = (24, 24, 24, 24, 32)
"""The sides that its code uses at levels 1 to 5: an index that is off by one, and never below 3."""


def _ink(*most: int) -> tuple[Severity, ...]:
    return tuple(zip(most, INK_SIDES, strict=True))


_JPEG = _one(50, 30, 15, 10, 7)
_SMALL_PIXELATE = _one(0.3, 0.25, 0.2, 0.15, 0.1)
_UP = _one(1.1, 1.2, 1.3, 1.4, 1.5)
_DOWN = _one(0.9, 0.8, 0.7, 0.6, 0.5)
_FURTHER_UP = _one(1.1, 1.2, 1.3, 1.4, 1.6)
_FURTHER_DOWN = _one(0.9, 0.8, 0.7, 0.6, 0.4)
_WIDE_DEFOCUS = ((4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4), (8, 0.5))

_ORGANS: Mapping[str, tuple[Severity, ...]] = {
    "pixelate": _one(0.7, 0.6, 0.5, 0.4, 0.35),
    "jpeg_compression": _JPEG,
    "gaussian_noise": _one(0.04, 0.08, 0.12, 0.16, 0.2),
    "speckle_noise": _one(0.05, 0.1, 0.2, 0.3, 0.4),
    "impulse_noise": _one(0.01, 0.02, 0.03, 0.05, 0.08),
    "shot_noise": _one(200, 100, 50, 25, 15),
    "gaussian_blur": _one(11, 13, 15, 17, 21),
    "brightness_up": _one(1.2, 1.3, 1.4, 1.5, 1.6),
    "brightness_down": _one(0.8, 0.75, 0.7, 0.65, 0.6),
    "contrast_up": _one(1.3, 1.4, 1.6, 1.7, 1.8),
    "contrast_down": _one(0.8, 0.7, 0.6, 0.55, 0.5),
    "gamma_corr_up": _one(1.3, 1.4, 1.6, 1.8, 2.0),
    "gamma_corr_down": _FURTHER_DOWN,
}

SEVERITIES: Mapping[str, Mapping[str, tuple[Severity, ...]]] = {
    "pathmnist": {
        "pixelate": _one(0.8, 0.6, 0.4, 0.3, 0.25),
        "jpeg_compression": _JPEG,
        "defocus_blur": ((3, 0.1), (4, 0.1), (5, 0.2), (6, 0.2), (7, 0.3)),
        "motion_blur": ((5, 5), (10, 5), (15, 5), (15, 8), (15, 12)),
        "brightness_up": _one(1.1, 1.15, 1.2, 1.22, 1.25),
        "brightness_down": _one(0.85, 0.8, 0.75, 0.72, 0.7),
        "contrast_up": _FURTHER_UP,
        "contrast_down": _one(0.8, 0.7, 0.6, 0.55, 0.5),
        "saturate": _one(0.05, 0.1, 0.15, 0.2, 0.25),
        "stain_deposit": _ink(1, 2, 3, 4, 5),
        "bubble": ((7, 15), (10, 15), (12, 15), (15, 20), (17, 25)),
    },
    "bloodmnist": {
        "pixelate": _one(0.6, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": _JPEG,
        "defocus_blur": ((2, 0.01), (3, 0.1), (4, 0.1), (5, 0.1), (6, 0.1)),
        "motion_blur": ((3, 3), (5, 5), (10, 5), (10, 7), (10, 9)),
        "brightness_up": _one(1.1, 1.2, 1.3, 1.35, 1.4),
        "brightness_down": _DOWN,
        "contrast_up": _one(1.1, 1.15, 1.2, 1.25, 1.3),
        "contrast_down": _DOWN,
        "saturate": _one(0.05, 0.1, 0.15, 0.17, 0.2),
        "stain_deposit": _ink(1, 2, 3, 3, 3),
        "bubble": ((5, 10), (7, 10), (10, 10), (12, 12), (15, 12)),
    },
    "dermamnist": {
        "pixelate": _one(0.7, 0.5, 0.4, 0.3, 0.25),
        "jpeg_compression": _one(30, 20, 15, 10, 7),
        "gaussian_noise": _one(0.04, 0.08, 0.12, 0.18, 0.26),
        "speckle_noise": _one(0.05, 0.15, 0.2, 0.35, 0.45),
        "impulse_noise": _one(0.01, 0.03, 0.06, 0.09, 0.17),
        "shot_noise": _one(60, 25, 18, 10, 5),
        "defocus_blur": _WIDE_DEFOCUS,
        "motion_blur": ((10, 5), (15, 5), (15, 8), (15, 12), (20, 15)),
        "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        "brightness_up": _UP,
        "brightness_down": _DOWN,
        "contrast_up": _FURTHER_UP,
        "contrast_down": _one(0.8, 0.7, 0.6, 0.5, 0.4),
        "black_corner": _one(1.1, 1.05, 1.0, 0.95, 0.9),
        "characters": ((1, 6, 0.14), (2, 7, 0.15), (3, 8, 0.16), (4, 9, 0.17), (6, 10, 0.18)),
    },
    "retinamnist": {
        "pixelate": _one(0.8, 0.6, 0.5, 0.4, 0.35),
        "jpeg_compression": _one(30, 25, 20, 10, 5),
        "gaussian_noise": _one(0.04, 0.08, 0.12, 0.16, 0.2),
        "speckle_noise": _one(0.1, 0.15, 0.2, 0.25, 0.3),
        "defocus_blur": _WIDE_DEFOCUS,
        "motion_blur": ((8, 5), (15, 5), (15, 8), (15, 12), (20, 15)),
        "brightness_down": _DOWN,
        "contrast_down": _FURTHER_DOWN,
    },
    "tissuemnist": {
        "pixelate": _one(0.4, 0.3, 0.2, 0.15, 0.1),
        "jpeg_compression": _one(25, 20, 15, 10, 7),
        "impulse_noise": _one(0.01, 0.015, 0.02, 0.025, 0.03),
        "gaussian_blur": _one(13, 15, 17, 21, 25),
        "brightness_up": _one(1.3, 1.4, 1.5, 1.6, 1.7),
        "brightness_down": _one(0.8, 0.7, 0.6, 0.5, 0.4),
        "contrast_up": _FURTHER_UP,
        "contrast_down": _FURTHER_DOWN,
    },
    "octmnist": {
        "pixelate": _SMALL_PIXELATE,
        "jpeg_compression": _one(30, 15, 10, 7, 5),
        "speckle_noise": _one(0.15, 0.3, 0.4, 0.5, 0.6),
        "defocus_blur": ((0.5, 0.6), (1, 0.5), (1.5, 0.1), (2.0, 0.5), (2.5, 0.1)),
        "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "contrast_down": _one(0.6, 0.4, 0.3, 0.2, 0.15),
    },
    "breastmnist": {
        "pixelate": _SMALL_PIXELATE,
        "jpeg_compression": _JPEG,
        "speckle_noise": _one(0.1, 0.15, 0.2, 0.25, 0.3),
        "motion_blur": ((5, 5), (9, 7), (9, 10), (13, 10), (17, 12)),
        "brightness_up": _one(1.4, 1.5, 1.6, 1.8, 2.0),
        "brightness_down": _one(0.55, 0.5, 0.45, 0.4, 0.3),
        "contrast_down": _FURTHER_DOWN,
    },
    "chestmnist": {
        "pixelate": _SMALL_PIXELATE,
        "jpeg_compression": _JPEG,
        "gaussian_noise": _one(0.04, 0.08, 0.12, 0.18, 0.26),
        "speckle_noise": _one(0.05, 0.15, 0.2, 0.35, 0.45),
        "impulse_noise": _one(0.01, 0.03, 0.06, 0.09, 0.17),
        "shot_noise": _one(60, 25, 18, 10, 5),
        "gaussian_blur": _one(3, 5, 7, 9, 11),
        "brightness_up": _UP,
        "brightness_down": _DOWN,
        "contrast_up": _FURTHER_UP,
        "contrast_down": _FURTHER_DOWN,
        "gamma_corr_up": _FURTHER_UP,
        "gamma_corr_down": _FURTHER_DOWN,
    },
    "pneumoniamnist": {
        "pixelate": _one(0.8, 0.7, 0.6, 0.5, 0.4),
        "jpeg_compression": _JPEG,
        "gaussian_noise": _one(0.04, 0.05, 0.06, 0.07, 0.08),
        "speckle_noise": _one(0.05, 0.07, 0.1, 0.15, 0.2),
        "impulse_noise": _one(0.005, 0.01, 0.013, 0.017, 0.02),
        "shot_noise": _one(300, 200, 150, 100, 80),
        "gaussian_blur": _one(3, 5, 7, 9, 11),
        "brightness_up": _UP,
        "brightness_down": _DOWN,
        "contrast_up": _FURTHER_UP,
        "contrast_down": _FURTHER_DOWN,
        "gamma_corr_up": _FURTHER_UP,
        "gamma_corr_down": _FURTHER_DOWN,
    },
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
}
"""Levels 1 to 5 of every corruption of every data set; black_corner in order of severity."""

PUBLISHED_BLACK_CORNER = _one(1.1, 1.05, 1.0, 0.9, 0.95)
"""black_corner as published: the last two are in the wrong order, so that level 5 is milder than level 4."""
