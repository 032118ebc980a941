"""What tiny_clip learns from: images of the embedded `modality`, cropped, turned and degraded, and captions."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from medstress.errors import MedstressError

Field = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "resources/embedded/modality"
SPLITS = ("train", "val")
"""The splits that training may read: gradients from train, the choice of the step from val."""
SIDE = 64
CONTEXT = 32
MERGES = 320
CLASSES = ("MRI", "CT", "ultrasound", "pathology", "X-ray", "fundus")
"""In the order of their indices."""
SYNONYMS = {
    "MRI": ("magnetic resonance image", "MR image", "magnetic resonance imaging"),
    "CT": ("computed tomography", "CT scan", "CT slice"),
    "ultrasound": ("sonogram", "ultrasonography", "ultrasound scan"),
    "pathology": ("histopathology", "microscopic tissue section", "histology slide"),
    "X-ray": ("radiograph", "X-ray film", "plain film"),
    "fundus": ("retina", "fundus photograph", "retinal fundus"),
}
SYNONYM_SHARE = 0.25
PUBLISHED_PROMPT = "a medical image of a {} belonging to modality"
TEMPLATES = (
    PUBLISHED_PROMPT,
    "a medical image of {}",
    "a medical image of a {}",
    "a medical image showing {}",
    "a medical image showing a {}",
    "an image of {}",
    "an image of a {}",
    "a picture of {}",
    "a picture of a {}",
    "a photo of a {}",
    "a photo of {}",
    "a photograph of {}",
    "a photograph of a {}",
    "a {} image",
    "a {} image of a patient",
    "a {} image of an organ",
    "a {} image showing disease",
    "a {} image showing a healthy person",
    "a {} scan",
    "{}",
    "this is a {} image",
    "this is an image of {}",
    "this is {}",
    "the modality of this image is {}",
    "modality: {}",
    "an example of {}",
    "medical imaging, {}",
    "a clinical {} image",
    "a close-up of a {} image",
    "a noisy {} image",
    "a blurry {} image",
    "an image acquired with {}",
    "an image from {}",
)


@dataclass(frozen=True)
class Sample:
    """`pixels` uint8 [H, W] or RGB [H, W, 3] as stored; `label` an index of CLASSES; `group` its source."""

    pixels: Pixels
    label: int
    group: str


def samples(split: str, folder: Path = DATA) -> list[Sample]:
    """The images of one split, in the order of the sheet. Files of other splits are not opened.

    Raises MedstressError for a split that training may not read, and for a file that is no image.
    """
    if split not in SPLITS:
        raise MedstressError(
            f"tiny_clip is not trained with the split {split!r}. It reads {' and '.join(SPLITS)} only."
        )
    with (folder / "sheet.csv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == split]
    found = []
    for row in rows:
        pixels = cv2.imread(str(folder / row["image"]), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise MedstressError(
                f"{folder / row['image']}: not there, or no image. Run resources/cut_modality.py again."
            )
        ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
        found.append(Sample(np.asarray(ordered, dtype=np.uint8), CLASSES.index(row["label"]), row["group"]))
    return found


def caption(label: int, rng: np.random.Generator) -> str:
    """A sentence with the name of a class, or with one of its synonyms."""
    name = CLASSES[label]
    if rng.random() < SYNONYM_SHARE:
        name = str(rng.choice(SYNONYMS[name]))
    return str(rng.choice(TEMPLATES)).format(name)


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with merges learned from all captions: every byte is known, and what is new is spelt out."""
    names = [*CLASSES, *(name for more in SYNONYMS.values() for name in more)]
    corpus = [template.format(name) for template in TEMPLATES for name in names]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    # As in CLIPTokenizer, so that the words are the same.
    learner.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(
        Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True
    )
    learner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    learner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        min_frequency=2,
        show_progress=False,
    )
    learner.train_from_iterator(corpus, trainer)
    merges = _merges(learner)
    pieces = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *(first + second for first, second in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)  # type: ignore[arg-type]


def _merges(learner: Tokenizer) -> list[tuple[str, str]]:
    """The merges of a BPE tokenizer in their order."""
    return [(first, second) for first, second in json.loads(learner.to_str())["model"]["merges"]]


def view(sample: Sample, rng: np.random.Generator) -> Pixels:
    """One image as the model sees it in training: uint8 RGB [SIDE, SIDE, 3], another at every call.

    A class has one to three sources in train, so nothing that a source alone has may be left to be learned: not its
    place, scale, orientation, brightness, resolution, noise or tint.
    """
    return _degraded(_coloured(_placed(sample.pixels, rng), rng), rng)


def _placed(pixels: Pixels, rng: np.random.Generator) -> Field:
    """A crop of at least 40 % of either side, stretched, mirrored and turned; 0..1, [SIDE, SIDE] or [SIDE, SIDE, 3]."""
    height, width = pixels.shape[:2]
    side = min(height, width) * rng.uniform(0.4, 1.0)
    stretch = np.exp(rng.normal(0, 0.12))
    wide, high = round(min(side * stretch, width)), round(min(side / stretch, height))
    x, y = rng.integers(width - wide + 1), rng.integers(height - high + 1)
    part: Field = np.asarray(pixels[y : y + high, x : x + wide], dtype=np.float32) / np.float32(255)
    if rng.random() < 0.5:
        turn = cv2.getRotationMatrix2D((wide / 2, high / 2), rng.uniform(-30, 30), rng.uniform(0.9, 1.2))
        border = cv2.BORDER_REFLECT_101 if rng.random() < 0.7 else cv2.BORDER_CONSTANT
        part = np.asarray(cv2.warpAffine(part, turn, (wide, high), borderMode=border), dtype=np.float32)
    shrinks = min(wide, high) > SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    part = np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=interpolation), dtype=np.float32)
    if rng.random() < 0.25:
        part = np.rot90(part, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.25:
        part = part[::-1]
    return np.ascontiguousarray(part, dtype=np.float32)


def _coloured(image: Field, rng: np.random.Generator) -> Field:
    """RGB, in other colours: colour images in part as grey ones, grey ones in part with a tint."""
    if image.ndim == 3:
        if rng.random() < 0.4:
            weights = rng.dirichlet((0.7, 1.4, 0.7)).astype(np.float32)
            return np.repeat((image @ weights)[..., None], 3, axis=2)
        mixing = np.eye(3, dtype=np.float32) + rng.normal(0, 0.15, (3, 3)).astype(np.float32)
        grey = image.mean(axis=2, keepdims=True)
        return np.asarray(grey + (image @ mixing - grey) * np.float32(rng.uniform(0.3, 1.4)), dtype=np.float32)
    image = np.repeat(image[..., None], 3, axis=2)
    if rng.random() < 0.15:
        image = image * rng.uniform(0.6, 1.0, 3).astype(np.float32)
    return image


def _degraded(image: Field, rng: np.random.Generator) -> Pixels:
    """Another exposure and another camera."""
    if rng.random() < 0.6:
        low, high = np.percentile(image, (rng.uniform(0, 15), rng.uniform(80, 100)))
        image = (image - low) / max(high - low, np.float32(0.1))
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.5)))
    mean = image.mean()
    image = mean + (image - mean) * np.float32(rng.uniform(0.5, 1.5)) + np.float32(rng.uniform(-0.15, 0.15))
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)), dtype=np.float32)
    if rng.random() < 0.4:
        channels = 3 if rng.random() < 0.3 else 1
        noise = rng.standard_normal((SIDE, SIDE, channels), dtype=np.float32)
        image = image + np.float32(rng.exponential(0.04)) * noise
    if rng.random() < 0.3:
        wide, high = rng.integers(8, 33, 2)
        x, y = rng.integers(SIDE - wide + 1), rng.integers(SIDE - high + 1)
        image[y : y + high, x : x + wide] = rng.random()
    return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)
