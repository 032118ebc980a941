"""Every published scale by name."""

from medstress.names import ScaleName
from medstress.perturb.scales.protocol import Scale

SCALES: dict[ScaleName, Scale] = {}
