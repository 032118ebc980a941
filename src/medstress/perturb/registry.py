"""Every perturbation by name."""

from typing import get_args

from medstress.names import PerturbationName
from medstress.perturb import (
    angiography,
    blur,
    colour,
    ct,
    dermoscopy,
    digital,
    elastic,
    endo_bubbles,
    endoscopy,
    frost,
    fundus,
    geometry,
    intensity,
    mri,
    noise,
    optics,
    pathology,
    spatter,
    ultrasound,
    weather,
    window,
    xray,
)
from medstress.perturb import oct as oct_types
from medstress.perturb.protocol import Perturbation

_FAMILIES = (
    noise,
    blur,
    intensity,
    digital,
    geometry,
    dermoscopy,
    endoscopy,
    endo_bubbles,
    pathology,
    fundus,
    elastic,
    colour,
    optics,
    weather,
    frost,
    spatter,
    angiography,
    oct_types,
    ultrasound,
    xray,
    mri,
    ct,
    window,
)
_FOUND = {perturbation.name: perturbation for family in _FAMILIES for perturbation in family.TYPES}

PERTURBATIONS: dict[str, Perturbation] = {name: _FOUND[name] for name in get_args(PerturbationName) if name in _FOUND}
