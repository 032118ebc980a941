"""Every perturbation by name."""

from typing import get_args

from medstress.names import PerturbationName
from medstress.perturb import blur, digital, geometry, intensity, noise
from medstress.perturb.protocol import Perturbation

_FAMILIES = (noise, blur, intensity, digital, geometry)
_FOUND = {perturbation.name: perturbation for family in _FAMILIES for perturbation in family.TYPES}

PERTURBATIONS: dict[str, Perturbation] = {name: _FOUND[name] for name in get_args(PerturbationName) if name in _FOUND}
