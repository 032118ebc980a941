"""Slides: how strongly the stains took, and air under the cover slip."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.discs import coverage, draw_discs, scale_at
from medstress.perturb.planes import blurred, join, looked_up, split
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image, to_uint8

HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical density in red, green and blue of one unit of haematoxylin, eosin and diaminobenzidine."""
_UNMIX = np.linalg.inv(HED)

_WHITE = 255.0
# A black pixel counts as half a grey level: its density is finite, and it stays black.
_DARKEST = 0.5


def optical_density(image: Image) -> npt.NDArray[np.float32]:
    """-ln(I / 255) of an image of any shape, uint8; 6.2 for black."""
    table = -np.log(np.maximum(np.arange(256), _DARKEST) / _WHITE)
    return looked_up(image, table.astype(np.float32))


def restain(
    density: npt.NDArray[np.float32], gain: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """The image, in grey levels, of which each stain's amount c became gain * c + offset.

    density: float32 [H, W, 3] with a gain and an offset for each stain, or [H, W] with one of each.
    """
    if density.ndim == 2:
        exponent = density * np.float32(-gain[0])
        exponent += np.float32(math.log(_WHITE) - offset[0])
    else:
        mixing = np.einsum("ik,k,kj->ji", _UNMIX, gain, HED)
        constant = math.log(_WHITE) - np.einsum("k,kj->j", offset, HED)
        exponent = np.asarray(cv2.transform(density, np.column_stack([-mixing, constant])), dtype=np.float32)
    return np.asarray(cv2.exp(exponent), dtype=np.float32)


def _path_stain(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The stains took more or less than usual, each in its own way, and tint the background.

    By Beer and Lambert a stain's amount c adds to the optical density: -ln(I / 255) = c @ HED, with the colours of
    haematoxylin, eosin and diaminobenzidine. Amounts become exp(s * d) * c + 0.05 * s * b, with a direction d and a
    background b for each stain, drawn once: all stains paler or all darker, and apart from each other. A grey image
    counts as one stain. s is the log of the common gain.

    Source: Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution", Anal Quant Cytol
    Histol 2001 (colours); Tellez et al., "Whole-slide mitosis detection in H&E breast histology using PHH3 as a
    reference to train distilled stain-invariant convolutional networks", IEEE TMI 2018 (gain and offset of stains).
    """
    density = optical_density(scene.image)
    stains = 1 if density.ndim == 2 else 3
    common = 1 if rng.random() < 0.5 else -1
    direction = common * (np.ones(1) if stains == 1 else rng.uniform(0.4, 1.6, stains))
    background = rng.standard_normal(stains)

    def render(spread: float) -> Image:
        return to_uint8(restain(density, np.exp(spread * direction), 0.05 * spread * background))

    return Realisation(render)


# Depth below a bubble's edge, in rim widths, where its optics are tabled: 64 steps a width, from half a width outside.
_STEPS, _OUTSIDE = 64, 0.5
_RIM = 0.025


def _bubble_optics() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Transmission and share of the view through air, float32 [256] each, by depth below the edge of a bubble."""
    depth = np.arange(256) / _STEPS - _OUTSIDE
    rim = np.clip((depth + 0.15) / 0.3, 0, 1) * np.exp(-((np.maximum(depth - 0.2, 0) / 0.45) ** 2))
    halo = np.exp(-(((depth + 0.25) / 0.12) ** 2)) + np.exp(-(((depth - 1.5) / 0.35) ** 2))
    air = np.clip(depth / 1.2, 0, 1)
    return (1 - 0.8 * rim + 0.1 * halo).astype(np.float32), (air * air * (3 - 2 * air)).astype(np.float32)


_TRANSMISSION, _AIR = _bubble_optics()


def _path_bubbles(scene: Scene, rng: np.random.Generator) -> Realisation:
    """Air under the cover slip: dark rims that bend the light away, and a pale, unsharp view inside.

    Bubbles grow and become more with the share of the slide that they cover; small ones are all rim. At depth e below
    the edge, in rim widths, I' = T(e) * (I + a(e) * (A - I)): T falls to .2 in the rim, a rises from 0 to 1 behind it,
    and A = .5 * blur(I) + .5 * w is the view through air, with w the light of the empty slide (95th percentile).

    Source: Hecht, "Optics", 5th edition, 2017, chapters 4 and 5 (refraction at a sphere of lower index, total
    reflection near its edge); Taqi et al., "A review of artifacts in histopathology", J Oral Maxillofac Pathol 2018.
    """
    height, width = scene.image.shape[:2]
    side = min(height, width)
    onsets = draw_discs(height, width, rng, count=24, smallest=0.25, delay=0.15)
    covered = coverage(onsets)
    position = onsets * np.float32(-_STEPS / _RIM)
    clean = split(scene.image)
    light = np.percentile(clean[:, ::4, ::4], 95, axis=(1, 2)).astype(np.float32)
    change = np.stack([blurred(plane, max(0.03 * side, 1.0)) for plane in clean])
    change *= np.float32(0.5)
    change += np.float32(0.5) * light[:, None, None]
    change -= clean

    def render(share: float) -> Image:
        steps = position + np.float32((scale_at(covered, share) / _RIM + _OUTSIDE) * _STEPS)
        index = np.clip(steps, 0, 255, out=steps).astype(np.uint8)
        seen = change * looked_up(index, _AIR)
        seen += clean
        seen *= looked_up(index, _TRANSMISSION)
        return join(seen)

    return Realisation(render)


PATH_STAIN = Perturbation(
    "path_stain",
    _path_stain,
    unit="log of the gain of stain",
    mildest=0.003,
    typical=0.6,
    strongest=6,
    modalities=frozenset({"pathology"}),
)
PATH_BUBBLES = Perturbation(
    "path_bubbles",
    _path_bubbles,
    unit="share of the area",
    mildest=0.0005,
    typical=0.3,
    strongest=0.98,
    modalities=frozenset({"pathology", "microscopy"}),
)

TYPES = (PATH_STAIN, PATH_BUBBLES)
