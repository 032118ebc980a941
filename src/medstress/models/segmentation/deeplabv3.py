"""deeplabv3: DeepLabV3 with a ResNet-50, without prompts, that people train themselves. Needs the extra `sam`.

Chen et al., "Rethinking atrous convolution for semantic image segmentation", arXiv 1706.05587, as torchvision builds
it. Its batch normalisation counts in training alone; answers and attacks leave it as it is.
"""

from pathlib import Path

from torch import Tensor, nn

from medstress.cards.segmenter import DeepLabV3
from medstress.errors import MedstressError
from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.whole_image import Architecture, WholeImageSegmenter, load_whole_image
from medstress.models.torchvision_bridge import require_extra

_PARTS = Parts(encoder=r"backbone\.", blocks=r"backbone\.layer(\d+)\.", decoder=r"classifier\.")


def build_deeplabv3() -> Architecture:
    """The network with drawn weights. The extra `sam` must be there."""
    from torchvision.models.segmentation import deeplabv3_resnet50

    model: nn.Module = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=1)

    def logits(inputs: Tensor) -> Tensor:
        if len(inputs) == 1 and model.get_submodule("classifier").training:
            raise MedstressError(
                "DeepLabV3 trains on two images at a time or more, since its batch normalisation compares them. Raise "
                "`batch` in the strategy, or lower `accumulate`."
            )
        answer: Tensor = model(inputs)["out"]
        return answer

    return Architecture(model, logits, _PARTS)


def load(card: DeepLabV3, root: Path = Path()) -> WholeImageSegmenter:
    """The segmenter of a card: see :func:`medstress.models.segmentation.whole_image.load_whole_image`.

    Raises MedstressError where the extra is missing, too.
    """
    require_extra("sam", card.adapter, "torchvision")
    return load_whole_image(card, build_deeplabv3, root)
