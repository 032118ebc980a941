"""Perturbed images from arrays: one call, and a callable for data pipelines."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import PIL.Image

from medstress.errors import MedstressError
from medstress.names import Modality, ScaleName
from medstress.perturb.catalogue import type_of, types_of
from medstress.perturb.levels import level_count, make_levels, require_fit
from medstress.perturb.protocol import Scene
from medstress.pixels import Image
from medstress.problems import closest
from medstress.seeds import generator, seed_of
from medstress.specs import SeveritySpec

MIN_SIDE = 32
"""Shortest side of an image, in pixels."""


def checked_scene(
    image: npt.NDArray[Any],
    *,
    modality: Modality | None = None,
    window: tuple[float, float] | None = None,
    background: int = 0,
    where: str = "image",
) -> Scene:
    """The scene of an image, [H, W] or [H, W, 3] RGB, at least 32 pixels on each side.

    uint8 is taken as it is. Other numbers need `window`, the intensities shown as 0 and 255; they are kept as the
    scene's raw intensities where the image is grey. Raises MedstressError, with `where`, for anything else.
    """
    if not isinstance(image, np.ndarray):
        raise MedstressError(f"{where}: expected a NumPy array, got {type(image).__name__}; numpy.asarray makes one")
    problems = []
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        alpha = " Drop the fourth channel (alpha) first." if image.ndim == 3 and image.shape[2] == 4 else ""
        problems.append(f"expected [height, width] or [height, width, 3], got shape {image.shape}.{alpha}")
    elif min(image.shape[:2]) < MIN_SIDE:
        problems.append(f"sides must be {MIN_SIDE} pixels or longer, got {image.shape[1]} x {image.shape[0]}.")
    if image.dtype != np.uint8 and window is None:
        problems.append(f"{image.dtype} needs a declared window: the intensities (low, high) shown as 0 and 255.")
    if window is not None and not window[0] < window[1]:
        problems.append(f"the window's low ({window[0]:g}) must be below its high ({window[1]:g}).")
    if image.dtype.kind not in "buif" or (image.dtype.kind == "f" and not np.isfinite(image).all()):
        problems.append("pixels must be finite real numbers.")
    if problems:
        raise MedstressError("\n".join(f"{where}: {problem}" for problem in problems))
    if image.dtype == np.uint8 or window is None:
        return Scene(np.ascontiguousarray(image), background, modality, None, window)
    share = (image.astype(np.float32) - window[0]) / (window[1] - window[0])
    shown = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    raw = image.astype(np.float32) if image.ndim == 2 else None
    return Scene(shown, background, modality, raw, window)


def _require_known(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        hint = closest(str(name), known)
        raise MedstressError(
            f"unknown {what} {name!r}" + (f"; did you mean {hint}?" if hint else f"; there are {', '.join(known)}")
        )


def _severity(scale: ScaleName, variant: str, compat: bool = False) -> SeveritySpec:
    _require_known("scale", scale, get_args(ScaleName))
    return SeveritySpec(scale=scale, variant=variant, compat=compat)


def corrupt(
    image: npt.NDArray[Any],
    name: str,
    level: int,
    seed: int = 0,
    *,
    modality: Modality | None = None,
    scale: ScaleName = "ssim",
    variant: str = "",
    compat: bool = False,
    window: tuple[float, float] | None = None,
    background: int = 0,
    force: bool = False,
) -> Image:
    """The image at one level of a perturbation: uint8, shape [H, W] or [H, W, 3] as given.

    image: uint8, or any numbers with a declared `window` (low, high). The draw depends on `name` and `seed` alone, so
    each image of a set needs a seed of its own; the strength is solved for on this image where `scale` is "ssim". A
    `modality` that the type is not for is an error unless `force` says otherwise. Warns where no strength reaches the
    level and the image is the closest one.
    Raises MedstressError for an unknown type, level, modality or scale and for images that checked_scene refuses.
    """
    severity = _severity(scale, variant, compat)
    kind = type_of(name, severity)
    if modality is not None:
        _require_known("modality", modality, get_args(Modality))
        if not force:
            require_fit(kind, modality, "the image")
    scene = checked_scene(image, modality=modality, window=window, background=background)
    [made] = make_levels(kind, scene, [level], seed_of(name, str(seed)), severity)
    if made.cell.status == "unreachable":
        warnings.warn(
            f"{name} cannot bring this image to level {level}; the closest SSIM is {made.cell.ssim:.3f}", stacklevel=2
        )
    return made.cell.image


def list_perturbations(modality: Modality | None = None, scale: ScaleName = "ssim", variant: str = "") -> list[str]:
    """The names of the types of a scale, of one modality where it is given (with those that fit every modality)."""
    if modality is not None:
        _require_known("modality", modality, get_args(Modality))
    kinds = types_of(_severity(scale, variant))
    return [name for name, kind in kinds.items() if modality is None or kind.fits(modality)]


@dataclass(frozen=True)
class Corrupt:
    """A transform for data pipelines: one of `names` at one of `levels`, drawn for each image.

    Takes and gives a NumPy array (uint8, [H, W] or [H, W, 3]), a PIL image (L or RGB), or a torch tensor
    ([C, H, W], uint8 or float in 0..1). What is drawn depends on `seed` and the image's own pixels, so it does not
    change with workers, order or epoch; give another seed for another draw. Picklable.
    """

    names: Sequence[str]
    levels: Sequence[int] = (1, 2, 3, 4, 5)
    seed: int = 0
    modality: Modality | None = None
    scale: ScaleName = "ssim"
    variant: str = ""

    def __post_init__(self) -> None:
        severity = _severity(self.scale, self.variant)
        if self.modality is not None:
            _require_known("modality", self.modality, get_args(Modality))
        if isinstance(self.names, str) or not self.names or not self.levels:
            raise MedstressError("Corrupt needs a list of at least one name and of at least one level")
        for name in self.names:
            kind = type_of(name, severity)
            if self.modality is not None:
                require_fit(kind, self.modality, "the pipeline")
            if wrong := [level for level in self.levels if level not in range(1, level_count(kind) + 1)]:
                raise MedstressError(f"{name} has levels 1 to {level_count(kind)}, not {wrong[0]}")

    def __call__(self, image: Any) -> Any:
        """The perturbed image, of the same kind as it came. Raises as `corrupt` does."""
        if hasattr(image, "new_tensor"):
            return self._tensor(image)
        if isinstance(image, PIL.Image.Image) and image.mode not in ("L", "RGB"):
            raise MedstressError(f"expected a picture of mode L or RGB, got {image.mode}: convert it first")
        made = self._array(np.asarray(image))
        return made if isinstance(image, np.ndarray) else PIL.Image.fromarray(made)

    def _array(self, image: npt.NDArray[Any]) -> Image:
        seed = seed_of("Corrupt", str(self.seed), str(image.shape), hashlib.sha256(image.tobytes()).hexdigest())
        rng = generator(seed)
        name, level = self.names[int(rng.integers(len(self.names)))], self.levels[int(rng.integers(len(self.levels)))]
        with warnings.catch_warnings():
            # The closest image is what a pipeline wants of a level that cannot be reached.
            warnings.simplefilter("ignore", UserWarning)
            return corrupt(image, name, level, seed, modality=self.modality, scale=self.scale, variant=self.variant)

    def _tensor(self, tensor: Any) -> Any:
        if tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
            raise MedstressError(f"expected a tensor [1 or 3, height, width], got {tuple(tensor.shape)}")
        whole = not tensor.is_floating_point()
        values = (tensor if whole else tensor.detach().float()).cpu().numpy()
        if (values.dtype != np.uint8) if whole else not np.isfinite(values).all():
            raise MedstressError(f"expected a tensor of uint8 or of finite floats in 0..1, got {tensor.dtype}")
        pixels = values if whole else np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
        image = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
        made = self._array(image)
        made = made[None] if made.ndim == 2 else np.ascontiguousarray(made.transpose(2, 0, 1))
        return tensor.new_tensor(made if whole else made.astype(np.float32) / 255)
