"""Questions with their answers, as a vision-language model learns them."""

from dataclasses import dataclass
from pathlib import Path

from medstress.adapt.examples import StoredExample, read_labelled, share_of, with_images
from medstress.cards.generation import BoxNumbers
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Vlm
from medstress.errors import MedstressError
from medstress.pixels import Box
from medstress.question_prompts import prompt_of
from medstress.records import ImageRow, SampleRow, read_groups, read_rows
from medstress.shifts import limited_sets, members_of
from medstress.specs import FinetuneSpec

_SIDES = {"0-1": 1, "0-100": 100, "0-1000": 1000}


@dataclass(frozen=True)
class Lesson:
    """One question as the model is asked it, and the answer that it should give; `image` is the PNG, or None."""

    sample_id: str
    image: bytes | None
    prompt: str
    answer: str


def read_lessons(
    images: Path, samples: Path, spec: FinetuneSpec, card: LocalVlm, strategy: Vlm
) -> tuple[list[Lesson], list[Lesson]]:
    """What is learnt, from train, and what the weights are chosen on, from val, in the records' order.

    With a shift, both are in distribution alone; the strategy's share is of train. No image of test is read. Raises
    MedstressError where either is empty, or a sample has no answer.
    """
    splits = {split: read_labelled(images, samples, split) for split in ("train", "val")}
    if spec.shift is not None:
        rows = (row for group in read_groups(images, ImageRow, pixels=False) for row in group)
        inside = limited_sets(members_of(rows, read_rows(samples, SampleRow)), spec.shift).iid
        kept = {*inside["train"], *inside["val"]}
        splits = {split: [one for one in found if one.sample_id in kept] for split, found in splits.items()}
    if empty := [split for split, found in splits.items() if not found]:
        raise MedstressError(
            f"{samples}: no question in {' and none in '.join(empty)}. A training needs both: see `split` in the data "
            "set's card, and the study's `limit`."
        )
    splits["train"] = share_of(splits["train"], strategy.share, spec.seed)
    shown = strategy.images and card.image
    train, val = (
        [_lesson(one, spec, card.boxes, shown=shown) for one in (with_images(found, images) if shown else found)]
        for found in splits.values()
    )
    return train, val


def _lesson(stored: StoredExample, spec: FinetuneSpec, boxes: BoxNumbers, *, shown: bool) -> Lesson:
    sample, shape = stored.sample, (stored.row.height, stored.row.width)
    prompt = prompt_of(sample, spec.question_prompts, boxes, shape)
    return Lesson(sample.sample_id, stored.row.png if shown else None, prompt, answer_of(sample, boxes, shape))


def answer_of(sample: SampleRow, boxes: BoxNumbers, shape: tuple[int, int]) -> str:
    """The text that a model should answer about a sample whose image is of `shape` (height, width).

    The words of the answer, not the letter of an option; the caption; or the box. Raises MedstressError where there is
    none.
    """
    if sample.task == "grounding":
        if len(sample.objects) == 1:
            return written_box(sample.objects[0].box, boxes, shape)
    elif answer := (sample.caption if sample.task == "captioning" else sample.answer).strip():
        return answer
    raise MedstressError(f"{sample.sample_id}: no answer to learn. Correct the data set, or leave the sample out.")


def written_box(box: Box, boxes: BoxNumbers, shape: tuple[int, int]) -> str:
    """A box x0, y0, x1, y1 in pixels of an image of `shape` (height, width), as a model writes it."""
    x0, y0, x1, y1 = box
    if boxes.scale in _SIDES:
        across, down = _SIDES[boxes.scale] / shape[1], _SIDES[boxes.scale] / shape[0]
        x0, y0, x1, y1 = x0 * across, y0 * down, x1 * across, y1 * down
    numbers = (y0, x0, y1, x1) if boxes.y_first else (x0, y0, x1, y1)
    return "[" + ", ".join(f"{number:.3f}" if boxes.scale == "0-1" else str(round(number)) for number in numbers) + "]"
