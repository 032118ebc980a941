"""MediMeta-C: seven types on the data sets of MedIMeta.

Source: Imam, Marew and Yaqub, "On the robustness of medical vision-language models: are they truly generalizable?",
MIUA 2025.
"""

from medstress.perturb.scales import imagenet_c
from medstress.perturb.scales.protocol import Scale

_NAMES = ("brightness", "contrast", "gaussian_noise", "impulse_noise", "motion_blur", "pixelate", "zoom_blur")

MEDIMETA_C = Scale(
    "medimeta_c",
    "Imam, Marew and Yaqub, On the robustness of medical vision-language models: are they truly generalizable?, "
    "MIUA 2025 (MediMeta-C)",
    {"": {name: imagenet_c.TYPES[name] for name in _NAMES}},
    "Values are inferred: neither the generator nor its parameters were published, only the names of the types and "
    "that the design follows ImageNet-C. So these are ImageNet-C's functions and values.",
)
