"""Every published scale by name."""

from medstress.names import ScaleName
from medstress.perturb.scales import medfm_robust, medmnist_c, sure_vqa
from medstress.perturb.scales.cifar_c import CIFAR_C
from medstress.perturb.scales.imagecorruptions import IMAGECORRUPTIONS
from medstress.perturb.scales.imagenet_c import IMAGENET_C
from medstress.perturb.scales.medimeta_c import MEDIMETA_C
from medstress.perturb.scales.protocol import Scale

SCALES: dict[ScaleName, Scale] = {
    scale.name: scale
    for scale in (
        medfm_robust.SCALE,
        IMAGENET_C,
        IMAGECORRUPTIONS,
        CIFAR_C,
        medmnist_c.SCALE,
        MEDIMETA_C,
        sure_vqa.SCALE,
    )
}
