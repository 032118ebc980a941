"""Every perturbation by name."""

from medstress.config import PerturbationName
from medstress.perturb.blur import GAUSSIAN_BLUR, MOTION_BLUR
from medstress.perturb.digital import JPEG, PIXELATE
from medstress.perturb.geometry import ROTATION, SCALING, TRANSLATION
from medstress.perturb.intensity import BRIGHTNESS, CONTRAST
from medstress.perturb.noise import GAUSSIAN_NOISE, SALT_AND_PEPPER, SPECKLE
from medstress.perturb.protocol import Perturbation

PERTURBATIONS: dict[PerturbationName, Perturbation] = {
    perturbation.name: perturbation
    for perturbation in (
        GAUSSIAN_NOISE,
        SALT_AND_PEPPER,
        SPECKLE,
        GAUSSIAN_BLUR,
        MOTION_BLUR,
        BRIGHTNESS,
        CONTRAST,
        JPEG,
        PIXELATE,
        ROTATION,
        SCALING,
        TRANSLATION,
    )
}
