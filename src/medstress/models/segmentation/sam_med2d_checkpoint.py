"""sam-med2d_b.pth, loaded whole or not at all."""

from pathlib import Path
from typing import Any

import torch

from medstress.cards.segmenter import SamMed2d
from medstress.errors import MedstressError
from medstress.models.segmentation.likely_adapter import likely_adapter
from medstress.models.segmentation.sam_med2d_encoder import SamMed2dNetwork, Shape
from medstress.models.weight_file import check_weight_file, misfits, read_tensors


class _Optimiser:
    """Stands in for the optimiser that the authors' training saved beside the weights; keeps nothing of it."""

    def __setstate__(self, state: object) -> None:
        pass


def _nothing(*_: object) -> dict[str, Any]:
    """Stands in for the containers inside an optimiser."""
    return {}


# What the unpickler may call for these names. It calls nothing else but what makes tensors.
_STAND_INS: list[Any] = [
    (_Optimiser, "torch.optim.adam.Adam"),
    (_Optimiser, "torch.optim.adamw.AdamW"),
    (_nothing, "collections.defaultdict"),
    (dict, "builtins.dict"),
]


def load_checkpoint(path: Path, card: SamMed2d, shape: Shape) -> SamMed2dNetwork:
    """The network in float32, on the CPU.

    Raises MedstressError where the file is missing, broken or not what the card means. Every tensor of the network must
    be in the file and the other way round; the error names the first that are not, and the adapter that may fit.
    """
    where = f"model card {card.name}: weights {card.weights!r}"
    check_weight_file(path, card.sha256, where)
    with torch.serialization.safe_globals(_STAND_INS):
        tensors = read_tensors(path, where)
    with torch.device("meta"):
        network = SamMed2dNetwork(shape)
    wanted = network.state_dict()
    problems = misfits(wanted, tensors, "SAM-Med2D")
    if problems:
        advice = likely_adapter(tensors, card.adapter)
        raise MedstressError(f"{where}: {path.name} is no SAM-Med2D: {'; '.join(problems)}. {advice}".rstrip())
    # Copies, so that the optimiser's tensors and whatever shares memory with these are let go.
    network.load_state_dict(
        {name: tensors[name].to(torch.float32, copy=True) for name in wanted}, strict=True, assign=True
    )
    return network
