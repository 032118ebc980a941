"""What a perturbation is: data plus two pure steps.

`realise` draws every random field once; the realisation's `render(strength)` is deterministic. So severity can be
searched without drawing again, and the same realisation grows with strength.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medstress.names import Modality, PerturbationName
from medstress.pixels import Image
from medstress.rows import WarpRow


@dataclass(frozen=True)
class Scene:
    """What is perturbed: the image, uint8 [H, W] or [H, W, 3] RGB, and what its record says about it.

    background: grey value of what enters the frame. raw: the intensities behind the image, float32 [H, W], such as
    Hounsfield units; None where none are kept. window: the intensities shown as 0 and 255; None where none are
    declared.
    """

    image: Image
    background: int = 0
    modality: Modality | None = None
    raw: npt.NDArray[np.float32] | None = None
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class Realisation:
    """One draw of a perturbation on one image.

    `render(strength)` gives the perturbed image, same shape and type. `warp(strength)` gives the map that moves masks,
    boxes and points along; None where no pixel moves.
    """

    render: Callable[[float], Image]
    warp: Callable[[float], WarpRow] | None = None


@dataclass(frozen=True)
class Perturbation:
    """A named way of spoiling an image.

    Strength runs from `mildest` to `strongest` in `unit`, growing with severity; where `whole` is set it takes whole
    numbers only. `typical` is a strength that gives an SSIM of about .75 on common images, where the search starts.
    `table` holds the strengths of levels 1 to 5 of types that do nothing but displace pixels: SSIM says nothing about
    geometry. `moves_pixels` says that masks, boxes and points have to move with the image. `modalities` is empty for
    types that fit every modality. The docstring of `realise` is the type's description, with its formula and, after
    "Source:", where it comes from.
    """

    name: PerturbationName
    realise: Callable[[Scene, np.random.Generator], Realisation]
    unit: str
    mildest: float
    typical: float
    strongest: float
    whole: bool = False
    table: tuple[float, float, float, float, float] | None = None
    moves_pixels: bool = False
    modalities: frozenset[Modality] = frozenset()

    def fits(self, modality: Modality | None) -> bool:
        """Whether images of this modality, or of several (None), can be perturbed so."""
        return not self.modalities or modality in self.modalities

    def round(self, strength: float) -> float:
        """The strength as it is used and stored: inside the range, with 4 significant digits or whole."""
        inside = min(max(strength, self.mildest), self.strongest)
        return float(round(inside)) if self.whole else float(f"{inside:.4g}")
