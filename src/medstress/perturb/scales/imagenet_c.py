"""ImageNet-C: 19 types at five severities.

Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019.
"""

from medstress.perturb.scales import blurs, digital, elastic, multipliers, pixel_noise, weather
from medstress.perturb.scales.protocol import Published, Scale, Severity


def levels(*values: float) -> tuple[Severity, ...]:
    """The severities of a type with one parameter."""
    return tuple((value,) for value in values)


_SIGMA = ("standard deviation, of intensities in 0..1",)

# Lengths of the elastic type are multiples of 244 pixels on images of 224, here as shares of the side.
_ELASTIC_UNIT = 244 / 224

_TYPES = (
    Published(
        "gaussian_noise", "gaussian_noise", pixel_noise.gaussian_noise, levels(0.08, 0.12, 0.18, 0.26, 0.38), _SIGMA
    ),
    Published(
        "shot_noise",
        "shot_noise",
        pixel_noise.shot_noise,
        levels(60, 25, 12, 5, 3),
        ("mean photon count of a white pixel",),
        multipliers.inverse,
    ),
    Published(
        "impulse_noise",
        "impulse_noise",
        pixel_noise.impulse_noise,
        levels(0.03, 0.06, 0.09, 0.17, 0.27),
        ("share of the values",),
        multipliers.share,
    ),
    Published(
        "defocus_blur",
        "defocus_blur",
        blurs.defocus_blur,
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        ("radius, pixels", "sigma of the softening, pixels"),
    ),
    Published(
        "glass_blur",
        "glass_blur",
        blurs.glass_blur,
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        ("sigma of the blurs, pixels", "largest shift, pixels", "number of scans"),
        multipliers.glass,
    ),
    Published(
        "motion_blur",
        "motion_blur",
        blurs.motion_blur,
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        ("radius, pixels", "sigma, pixels"),
    ),
    Published(
        "zoom_blur",
        "zoom_blur",
        blurs.zoom_blur,
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        ("end of the zoom factors", "step"),
        multipliers.zoom,
    ),
    Published(
        "snow",
        "snow",
        weather.snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        (
            "mean of the noise, 0..1",
            "standard deviation of the noise, 0..1",
            "enlargement",
            "threshold, 0..1",
            "radius of the blur, pixels",
            "sigma of the blur, pixels",
            "share of the image",
        ),
        multipliers.snow,
    ),
    Published(
        "frost",
        "frost",
        weather.frost,
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
        ("share of the image", "share of the ice"),
        multipliers.frost,
    ),
    Published(
        "fog",
        "fog",
        weather.fog,
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        ("amplitude, of intensities in 0..1", "decay of the fine structure"),
        multipliers.amplitude,
    ),
    Published(
        "brightness", "brightness", digital.brightness, levels(0.1, 0.2, 0.3, 0.4, 0.5), ("added value, of 0..1",)
    ),
    Published(
        "contrast",
        "contrast",
        digital.contrast,
        levels(0.4, 0.3, 0.2, 0.1, 0.05),
        ("factor about the mean",),
        multipliers.contrast,
    ),
    Published(
        "elastic",
        "elastic_transform",
        elastic.elastic_affine,
        tuple(
            (alpha * _ELASTIC_UNIT, sigma * _ELASTIC_UNIT, moves * _ELASTIC_UNIT)
            for alpha, sigma, moves in (
                (2, 0.7, 0.1),
                (2, 0.08, 0.2),
                (0.05, 0.01, 0.02),
                (0.07, 0.01, 0.02),
                (0.12, 0.01, 0.02),
            )
        ),
        tuple(f"{name}, share of the shorter side" for name in ("alpha", "sigma", "moves of the corners")),
        multipliers.elastic,
    ),
    Published(
        "pixelate",
        "pixelate",
        digital.pixelate,
        levels(0.6, 0.5, 0.4, 0.3, 0.25),
        ("share of the side",),
        multipliers.scale,
    ),
    Published(
        "jpeg", "jpeg_compression", digital.jpeg, levels(25, 18, 15, 10, 7), ("libjpeg quality",), multipliers.quality
    ),
    Published(
        "speckle", "speckle_noise", pixel_noise.speckle, levels(0.15, 0.2, 0.35, 0.45, 0.6), ("deviation of the gain",)
    ),
    Published("gaussian_blur", "gaussian_blur", blurs.gaussian_blur, levels(1, 2, 3, 4, 6), ("sigma, pixels",)),
    Published(
        "spatter",
        "spatter",
        weather.spatter,
        (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
        (
            "mean of the noise, 0..1",
            "standard deviation of the noise, 0..1",
            "sigma of its smoothing, pixels",
            "threshold, 0..1",
            "strength of water, or sigma of mud in pixels",
            "1 for mud",
        ),
        multipliers.drops,
    ),
    Published(
        "saturate",
        "saturate",
        digital.saturate,
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        ("gain of the saturation", "added saturation, of 0..1"),
        multipliers.saturation,
    ),
)

TYPES: dict[str, Published] = {published.name: published for published in _TYPES}
"""The 19 types by name, in the publication's order: 15 common ones, then 4 for validation."""

IMAGENET_C = Scale(
    "imagenet_c",
    "Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, "
    "ICLR 2019",
    {"": TYPES},
    "Not interchangeable with the released files: those were stored as JPEG of quality 85, and here frost textures are "
    "generated and random draws differ. The publication fixes 224 x 224 pixels; here fog, frost and elastic follow "
    "the size of the image, and lengths in pixels stay. Grey images stay grey: noise is drawn once a pixel, frost and "
    "spatter are grey, saturate changes nothing.",
)
