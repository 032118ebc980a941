"""A SAM checkpoint on disk, in Hugging Face format or the original one, loaded whole or not at all."""

from pathlib import Path

from transformers import SamModel

from medstress.cards.segmenter import MedSam, Sam
from medstress.errors import MedstressError
from medstress.models.hub_folder import GET_AGAIN, load_hub_folder
from medstress.models.segmentation.sam_original import load_original
from medstress.models.weight_file import check_weight_file


def load_checkpoint(path: Path, card: Sam | MedSam) -> SamModel:
    """The model of a Hugging Face folder or an original .pth file, in float32, on the CPU.

    Raises MedstressError where a file is missing, broken or not what the card means. Every tensor of the
    model must be in the file and the other way round: a model that starts half random answers too.
    """
    where = f"model card {card.name}: weights {card.weights!r}"
    if path.is_dir():
        return load_hub_folder(SamModel, path, model_type="sam", adapter=card.adapter, sha256=card.sha256, where=where)
    if not path.is_file():
        raise MedstressError(f"{where}: there is no folder and no file {path}. {GET_AGAIN}")
    check_weight_file(path, card.sha256, where)
    return load_original(path, where, card.adapter)
