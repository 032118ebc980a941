"""Where each adapter lives. A module is imported when a run needs it, one model family at a time."""

from importlib import import_module
from pathlib import Path

from medstress.cards.learned import Learned
from medstress.cards.model import ModelCard
from medstress.models.segmentation.protocol import Segmenter
from medstress.models.torchvision_bridge import make_torchvision_importable

SEGMENTERS: dict[str, str] = {
    "box_fill": "medstress.models.segmentation.box_fill",
    "deeplabv3": "medstress.models.segmentation.deeplabv3",
    "grabcut": "medstress.models.segmentation.grabcut",
    "medsam": "medstress.models.segmentation.medsam",
    "sam": "medstress.models.segmentation.sam",
    "sam_med2d": "medstress.models.segmentation.sam_med2d",
    "unet": "medstress.models.segmentation.unet",
}
CLASSIFIERS: dict[str, str] = {
    "clip": "medstress.models.zeroshot.clip",
    "image_classifier": "medstress.models.zeroshot.image_classifier",
    "majority_class": "medstress.models.zeroshot.majority_class",
    "medclip": "medstress.models.zeroshot.medclip",
    "open_clip": "medstress.models.zeroshot.open_clip",
    "robust_medclip": "medstress.models.zeroshot.robust_medclip",
    "unimed_clip": "medstress.models.zeroshot.unimed_clip",
}
GENERATORS: dict[str, str] = {
    "gemini_api": "medstress.answers.api",
    "local_vlm": "medstress.models.generative.local",
    "majority_answer": "medstress.answers.majority",
    "openai_api": "medstress.answers.api",
}
ADAPTERS = SEGMENTERS | CLASSIFIERS | GENERATORS


def weight_files(card: ModelCard) -> list[Path]:
    """The files on disk that a model's answers depend on: the file of its weights, or those of the folder that count.

    With them the files of a text encoder or an adapter that lie elsewhere. None for models without weights, or whose
    weights are not there yet.
    """
    if not isinstance(card, Learned):
        return []
    places = dict.fromkeys(str(place) for name in ("weights", "text", "peft") if (place := getattr(card, name, None)))
    return [path for place in places for path in files_of_folder(Path(place))]


def files_of_folder(path: Path) -> list[Path]:
    """The files of a folder of weights that what comes out depends on; the path itself where it is a file."""
    if path.is_file():
        return [path]
    # A folder of the hub may hold the same weights in several formats; safetensors are read where there are any.
    weights = ".safetensors" if any(path.glob("*.safetensors")) else ".bin"
    wanted = {".json", ".txt", ".jinja", ".model", ".pth", weights}
    # Hidden ones say where a folder came from, which no answer depends on.
    return sorted(found for found in path.glob("*") if found.suffix in wanted and not found.name.startswith("."))


def load_segmenter(card: ModelCard) -> Segmenter:
    """The segmenter behind a model card."""
    if isinstance(card, Learned):
        make_torchvision_importable()
    segmenter: Segmenter = import_module(SEGMENTERS[card.adapter]).load(card)
    return segmenter
