"""What tiny_vlm learns from: changed train images of the embedded `minivqa`, with questions whose answers stay true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from cut_minivqa import Entry, entries_of
from minivqa_facts import (
    COUNTS,
    MODALITIES,
    OTHER_ORGANS,
    PHRASES,
    QUADRANTS,
    REGIONS,
    SIZES,
    Question,
    Shown,
    caption,
    questions,
    targets,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from medstress.errors import MedstressError
from medstress.pixels import Box

Pixels = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ROOT / "resources/embedded"
SPLITS = ("train", "val")
"""The splits that training may read: gradients from train, the choice of the step from val."""
SIDE = 64
GRID = 8
"""Patches along a side of the image."""
WORDS = 700
BEGIN, END, PAD, IMAGE = "<s>", "</s>", "<pad>", "<image>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ ' Answer: ' }}"
    "{% elif message['role'] == 'user' %}{{ 'Question: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% if message['role'] == 'assistant' %}{{ eos_token }}"
    "{% elif message['role'] == 'system' %}{{ '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' Answer:' }}{% endif %}"
)
"""The chat template: system text if there is any, "Question: ", the image, what is asked, and " Answer:"."""
CLOSED_STYLES = (
    "{question}",
    "{question}\nOptions: {listed}",
    "{question}\n\nOptions:\n{lettered}\n\nSelect the correct answer.",
    "{question}\n{lettered}\nAnswer with one of the options.",
    "{question} Answer with {listed}.",
    "{question}\nChoose one of: {listed}.",
)
OPEN_STYLES = (
    "{question}",
    "{question} Answer in a few words.",
    "{question}\nAnswer briefly.",
    "{question}\nAnswer with a word or a short phrase.",
)
BOX_STYLES = (
    "{question}",
    "{question}\nAnswer with the box [x0, y0, x1, y1] in percent of the width and the height.",
    "{question} Give x0, y0, x1, y1.",
    "{question}\nAnswer with four numbers: left, top, right and bottom of the box.",
)
"""Ways to put a question to a model; tiny_vlm hears all of them, so that a study's prompts are no news to it."""
KINDS = {
    "Modality": 0.24,
    "Organ": 0.16,
    "Abnormality": 0.12,
    "Position": 0.12,
    "Size": 0.06,
    "Quantity": 0.06,
    "caption": 0.12,
    "box": 0.12,
}
"""What is drawn how often; the shares of train would leave the tumours out."""
PATCH_SHARE = 0.1
"""A patch holds some tumour from this share of its area on."""
BLIND_SHARE = 0.1
"""Share of the questions asked without the image."""


@dataclass(frozen=True)
class Example:
    """What is asked and the answer. `pixels` uint8 RGB [SIDE, SIDE, 3], or none.

    `modality` is its place in MODALITIES, `tumour` bool [GRID, GRID] which patches hold some, where that is known.
    """

    pixels: Pixels | None
    prompt: str
    answer: str
    modality: int = 0
    tumour: npt.NDArray[np.bool_] | None = None


def entries(split: str, embedded: Path = EMBEDDED) -> list[Entry]:
    """The images of one split. Raises MedstressError for a split that training may not read."""
    if split not in SPLITS:
        raise MedstressError(f"tiny_vlm is not trained with the split {split!r}. It reads {' and '.join(SPLITS)} only.")
    return entries_of(embedded, (split,))


def prompt_of(question: Question, style: str) -> str:
    """A closed question in one of the styles."""
    listed = ", ".join(question.options)
    lettered = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCDEFGH", question.options, strict=False))
    return style.format(question=question.text, listed=listed, lettered=lettered)


def written_box(box: Box, width: int, height: int) -> str:
    """A box in whole percent of the width and the height, as tiny_vlm writes it."""
    numbers = (100 * value / length for value, length in zip(box, (width, height, width, height), strict=True))
    return "[" + ", ".join(str(round(number)) for number in numbers) + "]"


def shrunk(pixels: npt.NDArray[np.uint8]) -> Pixels:
    """uint8 RGB [SIDE, SIDE, 3] of an image of any size, the whole of it."""
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    larger = min(colour.shape[:2]) > SIDE
    return np.asarray(cv2.resize(colour, (SIDE, SIDE), interpolation=cv2.INTER_AREA if larger else cv2.INTER_CUBIC))


def example(train: Sequence[Entry], rng: np.random.Generator) -> Example:
    """Something to be asked about a changed train image; what is asked is drawn first, then the image."""
    while True:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        found = _example(train, kind, rng)
        if found is not None:
            return found


def _example(train: Sequence[Entry], kind: str, rng: np.random.Generator) -> Example | None:
    fitting = [entry for entry in train if _fits(entry.shown, kind)]
    names = sorted({(entry.shown.modality, entry.group) for entry in fitting})
    modality = rng.choice(sorted({name for name, _ in names}))
    group = rng.choice([group for name, group in names if name == modality])
    held = [entry for entry in fitting if (entry.shown.modality, entry.group) == (modality, group)]
    shown = changed(held[rng.integers(len(held))].shown, part=kind == "Abnormality", rng=rng)
    asked = _asked(shown, kind, rng)
    if asked is None:
        return None
    prompt, answer = asked
    blind = rng.random() < BLIND_SHARE
    place = list(MODALITIES).index(shown.modality)
    cells = None
    if shown.tumour is not None:
        cells = cv2.resize(shown.tumour.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA) > PATCH_SHARE
    return Example(None if blind else _degraded(shrunk(shown.pixels), rng), prompt, answer, place, cells)


def _fits(shown: Shown, kind: str) -> bool:
    if not shown.whole:
        return False  # parts are cut anew at every look
    if kind in ("Abnormality", "Position", "Size"):
        return shown.tumour is not None
    if kind == "box":
        return shown.tumour is not None or shown.labels is not None
    return shown.nuclei is not None if kind == "Quantity" else bool(shown.organ) if kind == "Organ" else True


def _asked(shown: Shown, kind: str, rng: np.random.Generator) -> tuple[str, str] | None:
    if kind == "caption":
        return str(rng.choice(PHRASES["caption"])), caption(shown)
    if kind == "box":
        boxes = list(targets(shown))
        if not boxes:
            return None
        target = boxes[rng.integers(len(boxes))]
        question = str(rng.choice(PHRASES["where"])).format(target.name)
        height, width = shown.pixels.shape[:2]
        return str(rng.choice(BOX_STYLES)).format(question=question), written_box(target.box, width, height)
    fitting = [question for question in questions(shown, rng) if question.content_type == kind]
    if not fitting:
        return None
    question = fitting[rng.integers(len(fitting))]
    return prompt_of(question, str(rng.choice(CLOSED_STYLES if question.options else OPEN_STYLES))), question.answer


def changed(shown: Shown, *, part: bool, rng: np.random.Generator) -> Shown:
    """A crop, mirrored and turned where left and right are not the patient's; masks go with it.

    `part` cuts a small part, half of the time with some of the tumour and half without. Tiles whose nuclei are counted
    stay whole.
    """
    height, width = shown.pixels.shape[:2]
    for _ in range(20):
        share = rng.uniform(0.3, 0.5) if part else rng.uniform(0.6, 1.0)
        wide, high = (width, height) if shown.nuclei else (round(width * share), round(height * share))
        x, y = rng.integers(width - wide + 1), rng.integers(height - high + 1)
        area = np.s_[y : y + high, x : x + wide]
        tumour = None if shown.tumour is None else shown.tumour[area]
        if tumour is None or not part or tumour.any() == (rng.random() < 0.5):
            break
    cut = replace(
        shown,
        pixels=shown.pixels[area],
        tumour=tumour,
        labels=None if shown.labels is None else shown.labels[area],
        whole=not part,
    )
    return cut if cut.labels is not None else _turned(cut, rng)


def _turned(shown: Shown, rng: np.random.Generator) -> Shown:
    across, down, turns = rng.random() < 0.5, rng.random() < 0.3, int(rng.integers(4)) if rng.random() < 0.3 else 0

    def turn(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        values = values[:, ::-1] if across else values
        values = values[::-1] if down else values
        return np.ascontiguousarray(np.rot90(values, turns))

    tumour = None if shown.tumour is None else turn(shown.tumour)
    return replace(shown, pixels=turn(shown.pixels), tumour=tumour)  # type: ignore[arg-type]


def _degraded(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Another exposure, another camera, and in part without colour or with a tint."""
    image = pixels.astype(np.float32) / np.float32(255)
    if rng.random() < 0.3:
        image = np.repeat(image @ rng.dirichlet((1.0, 1.5, 1.0)).astype(np.float32)[:, None], 3, axis=2)
    elif rng.random() < 0.3:
        image = image * rng.uniform(0.6, 1.0, 3).astype(np.float32)
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.4)))
    image = (image - np.float32(0.5)) * np.float32(rng.uniform(0.6, 1.4)) + np.float32(0.5 + rng.uniform(-0.15, 0.15))
    if rng.random() < 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)), dtype=np.float32)
    if rng.random() < 0.3:
        image = image + np.float32(rng.exponential(0.04)) * rng.standard_normal((SIDE, SIDE, 1), dtype=np.float32)
    return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)


def corpus() -> Iterator[str]:
    """All that may be asked or answered, for the tokenizer."""
    names = [*MODALITIES.values(), *OTHER_ORGANS, *REGIONS.values(), *SIZES, *COUNTS, *QUADRANTS, "tumour", "yes", "no"]
    listed = ", ".join(names[:4])
    for phrase in (phrase for phrases in PHRASES.values() for phrase in phrases):
        for style in (*CLOSED_STYLES, *OPEN_STYLES, *BOX_STYLES):
            yield style.format(question=phrase.format(names[0]), listed=listed, lettered=f"A. {listed}\nB. ")
    for name in names:
        yield from (f" {name}", f"A. {name}\nB. {name}", f"the {name}?", f", {name}.")
        yield f" An axial {name} image of the {name} with a small medium large tumour in the lower left part."
        yield f"Question: A histopathology slide of a {name} near the middle. Answer:"
    yield from (f" [{number}, {number}" for number in range(101))


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE learned from the corpus: every byte is known, and digits stand alone."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[PAD, BEGIN, END, IMAGE],
        show_progress=False,
    )
    learner.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=learner,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE},
    )
