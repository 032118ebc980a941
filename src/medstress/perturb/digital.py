"""What storage and transmission do: JPEG and pixelation."""

import cv2
import numpy as np

from medstress.errors import MedstressError
from medstress.perturb.protocol import Perturbation, Realisation, Scene
from medstress.pixels import Image


def _jpeg(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The image was stored with lossy compression: blocks, ringing at edges, and colours of less detail.

    Baseline JPEG at libjpeg quality Q = 100 - strength: the cosine transform of each 8x8 block is rounded to multiples
    of the standard's table, times 50 / Q for Q < 50 and 2 - Q / 50 above. Colour has 4:2:0 chroma, as cameras write it.

    Source: Recommendation ITU-T T.81, 1992; Wallace, "The JPEG still picture compression standard", Communications of
    the ACM, 1991.
    """
    stored = np.ascontiguousarray(scene.image[..., ::-1]) if scene.image.ndim == 3 else scene.image

    def render(loss: float) -> Image:
        ok, data = cv2.imencode(".jpg", stored, (cv2.IMWRITE_JPEG_QUALITY, round(100 - loss)))
        if not ok:
            raise MedstressError(f"JPEG encoding failed for an image of shape {scene.image.shape}")
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1]) if decoded.ndim == 3 else decoded

    return Realisation(render)


def _pixelate(scene: Scene, rng: np.random.Generator) -> Realisation:
    """The image was kept too small and enlarged again: square blocks of one colour.

    Averaged down to 1 / b of the size, and back up with nearest neighbours.

    Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
    perturbations", ICLR 2019 (pixelation as a corruption).
    """
    height, width = scene.image.shape[:2]

    def render(block: float) -> Image:
        small = (max(1, round(width / block)), max(1, round(height / block)))
        coarse = cv2.resize(scene.image, small, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)

    return Realisation(render)


JPEG = Perturbation("jpeg", _jpeg, unit="100 - libjpeg quality", mildest=1, typical=80, strongest=99, whole=True)
PIXELATE = Perturbation("pixelate", _pixelate, unit="block side, pixels", mildest=1.02, typical=3, strongest=64)

TYPES = (JPEG, PIXELATE)
