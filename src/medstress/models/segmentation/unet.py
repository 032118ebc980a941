"""unet: a U-Net without prompts that people train themselves.

Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015, as MONAI builds it,
with residual units (Kerfoot et al., "Left-ventricle quantification using residual U-Net", STACOM 2018).
"""

from pathlib import Path

from monai.networks.nets.unet import UNet as MonaiUNet

from medstress.cards.segmenter import UNet
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.whole_image import Architecture, WholeImageSegmenter, load_whole_image

_RESIDUAL_UNITS = 2
# MONAI nests depths: model.0 goes down, model.1.submodule is the next depth, model.2 goes up.
_UP = r"model\.(?:1\.submodule\.)*2\."
_PARTS = Parts(encoder=rf"(?!{_UP})", blocks=r"(?!)()", decoder=_UP)


def build_unet(channels: list[int]) -> Architecture:
    """A U-Net with drawn weights; `channels` of each depth, each of half the resolution of the one before."""
    model = MonaiUNet(
        spatial_dims=2,
        in_channels=3,
        out_channels=1,
        channels=channels,
        strides=[2] * (len(channels) - 1),
        num_res_units=_RESIDUAL_UNITS,
    )
    return Architecture(model, model, _PARTS)


def load(card: UNet, root: Path = Path()) -> WholeImageSegmenter:
    """The segmenter of a card: see :func:`medstress.models.segmentation.whole_image.load_whole_image`."""
    return load_whole_image(card, lambda: build_unet(card.channels), root)
