"""Grey images that a published scale perturbs as colour."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image as Pillow

from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Drawn, Severity
from medstress.pixels import Image


def on_grey_as_colour(
    realise: Callable[[Scene, np.random.Generator, bool], Drawn], scene: Scene, rng: np.random.Generator
) -> Drawn:
    """What the publication makes of a grey scene [H, W]: three equal channels, perturbed, and averaged to luma.

    Noise that differs between channels comes out at .67 of its strength, and impulses as greys.
    """
    drawn = realise(replace(scene, image=np.asarray(cv2.merge([scene.image] * 3), dtype=np.uint8)), rng, True)

    def render(severity: Severity) -> Image:
        return np.asarray(Pillow.fromarray(drawn.render(severity)).convert("L"))

    return Drawn(render)
