"""The package imagecorruptions: ImageNet-C for images of any size, with three types that differ.

Source: Michaelis et al., "Benchmarking robustness in object detection: autonomous driving when winter is coming",
2019.
"""

from dataclasses import replace

from medstress.perturb.scales import blurs, digital, elastic, imagenet_c
from medstress.perturb.scales.protocol import Published, Scale

TYPES: dict[str, Published] = {
    **imagenet_c.TYPES,
    "zoom_blur": replace(imagenet_c.TYPES["zoom_blur"], realise=blurs.zoom_blur_trimmed),
    "elastic": Published(
        "elastic",
        "elastic_transform",
        elastic.elastic_local,
        imagenet_c.levels(*(250 * share for share in (0.05, 0.065, 0.085, 0.1, 0.12))),
        ("alpha, gain of the smoothed displacements",),
    ),
    "pixelate": replace(imagenet_c.TYPES["pixelate"], realise=digital.pixelate_nearest),
}
"""The 19 types by name, in the package's order."""

IMAGECORRUPTIONS = Scale(
    "imagecorruptions",
    "Michaelis et al., Benchmarking robustness in object detection: autonomous driving when winter is coming, 2019 "
    "(the package imagecorruptions 1.1.2)",
    {"": TYPES},
    "As imagenet_c, but for elastic, which has another definition. How the package trims enlarged images (below and on "
    "the right only) and enlarges pixels (nearest) deviates from ImageNet-C and comes with `compat` only. Frost "
    "textures are generated and random draws differ, so images are not interchangeable with the package's. Grey images "
    "stay grey, where the package makes three channels with noise of their own.",
)
