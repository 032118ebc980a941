"""CIFAR-10-C and CIFAR-100-C: the types of ImageNet-C with the severities for images of 32 x 32 pixels.

Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019.
"""

from dataclasses import replace

from medstress.perturb.scales import imagenet_c
from medstress.perturb.scales.imagenet_c import levels
from medstress.perturb.scales.protocol import Published, Scale, Severity

_SEVERITIES: dict[str, tuple[Severity, ...]] = {
    "gaussian_noise": levels(0.04, 0.06, 0.08, 0.09, 0.1),
    "shot_noise": levels(500, 250, 100, 75, 50),
    "impulse_noise": levels(0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": levels(0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": levels(0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": levels(0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg": levels(80, 65, 58, 50, 40),
    "speckle": levels(0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": levels(0.4, 0.6, 0.7, 0.8, 1),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}

TYPES: dict[str, Published] = {
    name: replace(published, severities=_SEVERITIES[name]) for name, published in imagenet_c.TYPES.items()
}
"""The 19 types by name, in the publication's order."""

CIFAR_C = Scale(
    "cifar_c",
    "Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, "
    "ICLR 2019 (CIFAR-10-C, CIFAR-100-C)",
    {"": TYPES},
    "Lengths in pixels are meant for images of 32 x 32 pixels. Frost textures are generated and random draws "
    "differ, so images are not interchangeable with the released files. Grey images stay grey.",
)
