"""Snow, frost, fog and spatter of the published scales."""

import cv2
import numpy as np
import numpy.typing as npt

from medstress.perturb.frost import frost_texture
from medstress.perturb.optics import zoom_image
from medstress.perturb.planes import Planes, split
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.blurs import smoothed
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.perturb.scales.stored import stored_planes
from medstress.perturb.weather import plasma_over, snow_layer
from medstress.pixels import Image
from medstress.seeds import generator

Floats = npt.NDArray[np.float32]

# Luma of Rec. ITU-R BT.601, which makes the grey of a colour.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_WATER = np.array([175, 238, 238], dtype=np.float32)
_MUD = np.array([63, 42, 20], dtype=np.float32)


def _grey(planes: Planes) -> Floats:
    """Luma [H, W] of planes [1 or 3, H, W]."""
    if len(planes) == 1:
        return np.asarray(planes[0])
    return np.asarray(_LUMA[0] * planes[0] + _LUMA[1] * planes[1] + _LUMA[2] * planes[2])


def _tint(colour: Floats, channels: int) -> Floats:
    """A colour as [channels, 1, 1] factors of planes: itself, or its luma on a grey image."""
    return (colour if channels == 3 else np.array([(colour * _LUMA).sum()], np.float32))[:, None, None]


def snow(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """The scene pales, and flakes fall through it, once as drawn and once turned by 180 degrees.

    Flakes: normal numbers, enlarged, those over a threshold drawn out by motion blur at -135 to -45 degrees. The scene
    becomes mix * I + (1 - mix) * max(I, 1.5 * luma + 1/2). Severity: mean and standard deviation of the numbers, of
    0..1; enlargement; threshold; radius and sigma of the blur in pixels; mix.
    Quirk: the layer of flakes is kept in whole grey levels; values are cut off instead of rounded.
    """
    field = rng.standard_normal(scene.image.shape[:2], dtype=np.float32)
    degrees = rng.uniform(-135, -45)
    clean = split(scene.image)
    pale = np.maximum(clean, 1.5 * _grey(clean) + np.float32(127.5))
    pale -= clean

    def render(severity: Severity) -> Image:
        mean, deviation, zoom, threshold, radius, sigma, mix = severity
        numbers = zoom_image(field, max(zoom, 1), True)
        numbers *= np.float32(deviation)
        numbers += np.float32(mean)
        flakes = snow_layer(numbers, threshold, radius, sigma, degrees)
        flakes *= 255
        if compat:
            np.rint(flakes, out=flakes)
        flakes = flakes + flakes[::-1, ::-1]
        snowy = pale * np.float32(1 - mix)
        snowy += clean
        snowy += flakes
        return stored_planes(snowy, compat)

    return Drawn(render)


def frost(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Ice on the window: a * I + b * ice. Severity: a, b. On grey images the ice is grey.

    The ice is generated, not one of the publication's photographs.
    Quirk: values are cut off instead of rounded.
    """
    height, width = scene.image.shape[:2]
    clean = split(scene.image)
    ice = np.ascontiguousarray(np.moveaxis(frost_texture(height, width, rng), -1, 0))
    if len(clean) == 1:
        ice = _grey(ice)[None]

    def render(severity: Severity) -> Image:
        icy = clean * np.float32(severity[0])
        icy += ice * np.float32(severity[1])
        return stored_planes(icy, compat)

    return Drawn(render)


def fog(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """A cloud of light is added, and the sum is scaled back: (I + a * cloud) * max(I) / (max(I) + a).

    The cloud is a diamond-square fractal over the next power of two of the longer side. Severity: amplitude a, of
    0..1, and the decay of its fine structure.
    Quirk: values are cut off instead of rounded.
    """
    height, width = scene.image.shape[:2]
    seed = int(rng.integers(1 << 63))
    clean = split(scene.image)
    brightest = float(scene.image.max())

    def render(severity: Severity) -> Image:
        amplitude, decay = severity[0] * 255, severity[1]
        cloud = plasma_over(height, width, decay, generator(seed))
        cloud *= np.float32(amplitude)
        foggy = clean + cloud
        foggy *= np.float32(brightest / (brightest + amplitude) if brightest else 0)
        return stored_planes(foggy, compat)

    return Drawn(render)


def _relief(liquid: Floats) -> Floats:
    """How much water shows at each place: drops with a lit side and a shaded one, float32 [H, W], 0..1; 0 without."""
    thickness = np.clip(liquid * 255, 0, 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(thickness, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    lit = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32))
    relief = thickness * cv2.blur(lit, (3, 3)).astype(np.float32)
    brightest = float(relief.max())
    return np.asarray(relief / brightest if brightest else relief, dtype=np.float32)


def spatter(scene: Scene, rng: np.random.Generator, compat: bool) -> Drawn:
    """Drops of water or mud on the lens, where smoothed noise is over a threshold.

    Water adds a pale turquoise, lit from one side; mud covers the scene with brown. On grey images both are grey.
    Severity: mean and standard deviation of the noise, of 0..1; sigma of its smoothing in pixels; threshold; strength
    of the water, or sigma of the mud's rim in pixels; 1 for mud.
    Quirk: values are cut off instead of rounded.
    """
    noise = rng.standard_normal(scene.image.shape[:2], dtype=np.float32)
    clean = split(scene.image)

    def render(severity: Severity) -> Image:
        mean, deviation, sigma, threshold, strength, mud = severity
        liquid = smoothed(noise, sigma)
        liquid *= np.float32(deviation)
        liquid += np.float32(mean)
        if mud:
            cover = smoothed((liquid > threshold).astype(np.float32), strength)
            cover[cover < 0.8] = 0
            return stored_planes(clean + cover * (_tint(_MUD, len(clean)) - clean), compat)
        liquid[liquid < threshold] = 0
        water = _relief(liquid) * np.float32(strength)
        return stored_planes(clean + water * _tint(_WATER, len(clean)), compat)

    return Drawn(render)
