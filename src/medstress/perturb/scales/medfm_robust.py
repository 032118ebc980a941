"""MedFM-Robust: 39 of its 40 types, twelve base ones and 27 for a modality, at its five fixed levels.

By default each is our own type of that name, at the strength that the published number stands for; with `compat` it is
the study's formula with its quirks. The docstrings of the realisers give both.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from medstress.names import TypeName
from medstress.perturb.protocol import Scene
from medstress.perturb.registry import PERTURBATIONS
from medstress.perturb.scales import (
    medfm_base,
    medfm_ct,
    medfm_dermoscopy,
    medfm_endoscopy,
    medfm_mri,
    medfm_multipliers,
    medfm_oct,
    medfm_pathology,
    medfm_ultrasound,
    medfm_xray,
    multipliers,
)
from medstress.perturb.scales.protocol import Drawn, Published, Scale, Severity, elementwise

Realise = Callable[[Scene, np.random.Generator, bool], Drawn]


def _with_level(*values: float | tuple[float, ...]) -> tuple[Severity, ...]:
    """The severities of a type whose formula uses the level besides its parameters; the level comes last."""
    return tuple(
        (*(value if isinstance(value, tuple) else (value,)), float(level)) for level, value in enumerate(values, 1)
    )


def _single(
    name: TypeName,
    original: str,
    realise: Realise,
    parameter: str,
    values: tuple[float, ...],
    multiplied: Callable[[Severity, float], Severity] = elementwise,
) -> Published:
    """A type with one parameter."""
    return Published(name, original, realise, tuple((value,) for value in values), (parameter,), multiplied)


def _by_level(name: TypeName, original: str, realise: Realise, parameter: str, values: tuple[float, ...]) -> Published:
    """A type whose formula uses one published number and the level, which no multiplier changes."""
    return Published(name, original, realise, _with_level(*values), (parameter, _LEVEL), medfm_multipliers.first)


_FROM_LEVEL = tuple(range(1, 6))
_LEVEL = "level"
_BLUR_SIGMA = (0.5, 1.0, 1.5, 2.0, 3.0)
_JOINT = (0.05, 0.1, 0.15, 0.2, 0.3)
_SIGMA_PIXELS = "standard deviation, pixels"

_BASE = (
    _single(
        "gaussian_noise",
        "gaussian_noise",
        medfm_base.gaussian_noise,
        "standard deviation, share of the range",
        (0.01, 0.02, 0.03, 0.05, 0.08),
    ),
    _single(
        "salt_and_pepper",
        "salt_pepper_noise",
        medfm_base.salt_and_pepper,
        "probability",
        (0.001, 0.003, 0.005, 0.01, 0.02),
        multipliers.share,
    ),
    _single(
        "speckle", "speckle_noise", medfm_base.speckle, "standard deviation of the gain", (0.05, 0.1, 0.15, 0.2, 0.25)
    ),
    _single("gaussian_blur", "gaussian_blur", medfm_base.gaussian_blur, _SIGMA_PIXELS, _BLUR_SIGMA),
    _single(
        "motion_blur", "motion_blur", medfm_base.motion_blur, "length, pixels", (3, 5, 7, 9, 11), multipliers.counts
    ),
    _single("brightness", "brightness_contrast", medfm_base.brightness, "largest change of the gain", _JOINT),
    _single("contrast", "brightness_contrast", medfm_base.contrast, "largest change of the factor", _JOINT),
    _single(
        "jpeg", "compression_artifacts", medfm_base.jpeg, "libjpeg quality", (90, 70, 50, 30, 10), multipliers.quality
    ),
    _single(
        "pixelate", "pixelate", medfm_base.pixelate, "share of the side", (0.8, 0.6, 0.5, 0.4, 0.3), multipliers.scale
    ),
    _single("rotation", "rotation", medfm_base.rotation, "degrees", (5, 10, 15, 20, 25), multipliers.counts),
    _single(
        "scaling", "scale", medfm_base.scaling, "share of the side", (0.95, 0.9, 0.85, 0.8, 0.75), multipliers.scale
    ),
    _single(
        "translation",
        "translation",
        medfm_base.translation,
        "largest shift, pixels",
        (5, 10, 15, 20, 25),
        multipliers.counts,
    ),
)
_MEDICAL = (
    _single(
        "vignette",
        "dermoscopy_artifacts",
        medfm_dermoscopy.vignette,
        "share lost at half the shorter side (level / 10)",
        (0.1, 0.2, 0.3, 0.4, 0.5),
    ),
    Published(
        "light_reflection",
        "light_reflection",
        medfm_dermoscopy.light_reflection,
        tuple((3 * level / 10, 10.0 - level) for level in _FROM_LEVEL),
        ("brightness, share of the largest (.3 level)", "shorter side over sigma (10 - level)"),
        medfm_multipliers.first,
    ),
    Published(
        "hair",
        "hair_artifacts",
        medfm_dermoscopy.hair,
        tuple((3.0 * level, level // 2 + 1.0) for level in _FROM_LEVEL),
        ("hairs (3 level)", "thickness, pixels"),
        multipliers.first_count,
    ),
    Published(
        "mri_motion",
        "motion_artifacts",
        medfm_mri.motion,
        _with_level((2, 0.15), (5, 0.3), (10, 0.45), (18, 0.6), (30, 0.8)),
        ("largest shift, pixels", "share of the lines", _LEVEL),
        medfm_multipliers.moved_lines,
    ),
    _by_level(
        "mri_bias_field", "bias_field", medfm_mri.bias_field, "largest change of the gain", (0.3, 0.5, 0.7, 0.85, 0.95)
    ),
    Published(
        "mri_ghosting",
        "ghosting",
        medfm_mri.ghosting,
        _with_level((0.1, 2), (0.2, 3), (0.35, 4), (0.5, 5), (0.7, 6)),
        ("brightness of the first ghost", "ghosts", _LEVEL),
        medfm_multipliers.ghosts,
    ),
    _by_level(
        "us_acoustic_shadow",
        "acoustic_shadowing",
        medfm_ultrasound.acoustic_shadow,
        "share lost",
        (0.3, 0.45, 0.55, 0.7, 0.85),
    ),
    _by_level(
        "us_reverberation",
        "reverberation_artifacts",
        medfm_ultrasound.reverberation,
        "brightness of the first band, share of the interface's",
        (0.12, 0.18, 0.25, 0.35, 0.45),
    ),
    _by_level(
        "endo_specular",
        "specular_reflection",
        medfm_endoscopy.specular,
        "brightness of the spots",
        (0.15, 0.25, 0.4, 0.55, 0.7),
    ),
    _by_level("endo_bubbles", "bubbles", medfm_endoscopy.bubbles, "bubbles / 80", (0.02, 0.04, 0.07, 0.1, 0.15)),
    _by_level("endo_blood", "blood", medfm_endoscopy.blood, "amount of blood", (0.02, 0.05, 0.1, 0.18, 0.28)),
    _by_level(
        "endo_overexposure",
        "saturation",
        medfm_endoscopy.overexposure,
        "amount of light",
        (0.01, 0.03, 0.06, 0.1, 0.15),
    ),
    _by_level(
        "oct_shadow",
        "shadow_artifacts",
        medfm_oct.shadow,
        "width of a stripe, share of the width",
        (0.03, 0.05, 0.08, 0.12, 0.18),
    ),
    Published(
        "oct_blink",
        "blink_artifacts",
        medfm_oct.blink,
        _with_level(1, 2, 3, 4, 6),
        ("bands", _LEVEL),
        multipliers.first_count,
    ),
    _by_level(
        "oct_row_motion",
        "motion_artifacts_oct",
        medfm_oct.row_motion,
        "largest shift, share of the width",
        (0.02, 0.04, 0.06, 0.1, 0.15),
    ),
    _single("oct_defocus", "defocus_artifacts", medfm_oct.defocus, _SIGMA_PIXELS, _BLUR_SIGMA),
    _by_level(
        "oct_speckle",
        "speckle_artifacts",
        medfm_oct.speckle,
        "sigma of the log-normal gain",
        (0.08, 0.15, 0.25, 0.35, 0.5),
    ),
    _by_level(
        "path_stain",
        "stain_variation",
        medfm_pathology.stain,
        "largest change of the saturation",
        (0.08, 0.12, 0.18, 0.25, 0.35),
    ),
    Published(
        "path_bubbles",
        "bubble_artifacts",
        medfm_pathology.bubbles,
        _with_level((1, 0), (2, 2), (3, 4), (4, 6), (5, 8)),
        ("bubbles", "cracks", _LEVEL),
        medfm_multipliers.bubbles,
    ),
    Published(
        "ct_metal_streaks",
        "metal_artifacts",
        medfm_ct.metal_streaks,
        tuple((15 * level / 100, 8.0 + 4 * level) for level in _FROM_LEVEL),
        ("largest change of brightness (.15 level)", "rays (8 + 4 level)"),
        medfm_multipliers.first,
    ),
    _single(
        "ct_beam_hardening",
        "beam_hardening",
        medfm_ct.beam_hardening,
        "share lost in the corner (level / 10)",
        (0.1, 0.2, 0.3, 0.4, 0.5),
    ),
    _single(
        "ct_photon_starvation",
        "photon_starvation",
        medfm_ct.photon_starvation,
        "standard deviation over the root of the intensity (.03 level)",
        (0.03, 0.06, 0.09, 0.12, 0.15),
    ),
    _single(
        "xray_scatter",
        "xray_scatter",
        medfm_xray.scatter,
        "scatter, share of the primary radiation",
        (0.05, 0.1, 0.15, 0.22, 0.3),
    ),
    _single(
        "xray_underexposure",
        "xray_underexposure",
        medfm_xray.underexposure,
        "gain",
        (0.85, 0.7, 0.55, 0.4, 0.25),
        multipliers.gain,
    ),
    _single(
        "xray_overexposure",
        "xray_overexposure",
        medfm_xray.overexposure,
        "gain",
        (1.15, 1.3, 1.5, 1.75, 2.0),
        multipliers.gain,
    ),
    _single(
        "xray_grid",
        "xray_grid_artifact",
        medfm_xray.grid,
        "share lost in a line",
        (0.03, 0.06, 0.1, 0.15, 0.22),
        multipliers.share,
    ),
    _single(
        "window_level",
        "window_level",
        medfm_xray.window_level,
        "largest move, share of the width",
        (0.1, 0.2, 0.3, 0.4, 0.5),
    ),
)

TYPES: dict[str, Published] = {
    published.name: replace(published, modalities=PERTURBATIONS[published.name].modalities)
    for published in (*_BASE, *_MEDICAL)
}
"""The 39 types by name, in the order of the study: base types first, then by modality."""

SCALE = Scale(
    "medfm_robust",
    "Cui, Huang, Wang, Hu and Yin, MedFM-Robust: Benchmarking robustness of medical foundation models, MICCAI 2026",
    {"": TYPES},
    "The fixed levels of the study, not those that it calibrates to SSIM. angio_haze, its fortieth type, has neither "
    "code nor values and is not here; brightness and contrast are halves of one type. Where its two generators differ, "
    "this is the one for segmentation; the X-ray types and window_level exist only in the other. By default each type "
    "is medstress's own, at the strength that the published number stands for. With `compat` it is the study's formula "
    "and every image is stretched to 0..255 when it is saved, each channel alone (together in the X-ray types), which "
    "undoes changes of brightness and alters clean parts; pixels are not the study's, since draws differ. "
    "Modalities are those of our types and come from the record, never from a file name.",
)
