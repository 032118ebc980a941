"""majority_answer: the commonest answer of train to every question, whatever the image shows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from medstress.answers.questions import Questions, Records, clean_questions, perturbed_questions, read_questions
from medstress.answers.words import words_of
from medstress.cards.generator import MajorityAnswer
from medstress.errors import MedstressError
from medstress.pixels import Box
from medstress.records import PredictionRow, SampleRow, record_writer
from medstress.seeds import seed_of
from medstress.specs import AnswerSpec

_KINDS = ("content_type", "question_type")

Grouping = Literal["global", "question", "content_type"]
Group = tuple[str, ...]


def groups_of(sample: SampleRow, grouping: Grouping) -> list[Group]:
    """The groups of train that may answer a sample, the smallest first; the last is all of train."""
    kind = next((value for key, value in sample.attributes if key in _KINDS and value), "")
    if sample.task == "grounding":
        kind = kind or next((item.label for item in sample.objects), "")
    same_text = ("question", " ".join(words_of(sample.question)), sample.answer_type)
    same_kind = ("kind", kind, sample.answer_type)
    smaller = {"question": [same_text, same_kind], "content_type": [same_kind], "global": []}[grouping]
    return [*smaller, ("all", sample.answer_type), ()]


def majority_texts(
    train: Iterable[SampleRow], grouping: Grouping, tie_seed: int | None = None
) -> Callable[[SampleRow], str]:
    """The commonest answer or caption of each group; of several as common the first by its letters, or one drawn.

    Of options, the commonest in the smallest group that knows one is the answer, and the first where none does. A draw
    is the same for all samples of a group that have the same to choose from, whatever the order of train.
    """
    counts: defaultdict[Group, Counter[str]] = defaultdict(Counter)
    spelling: dict[str, str] = {}
    for sample in train:
        said = sample.caption if sample.task == "captioning" else sample.answer
        spelling[said.casefold()] = min(said, spelling.get(said.casefold(), said))
        for group in groups_of(sample, grouping):
            counts[group][said.casefold()] += 1

    def answer(sample: SampleRow) -> str:
        offered = {option.casefold(): option for option in sample.options}
        for group in groups_of(sample, grouping):
            known = {said: count for said, count in counts[group].items() if not offered or said in offered}
            if known:
                most = max(known.values())
                tied = sorted(said for said, count in known.items() if count == most)
                drawn = 0 if tie_seed is None else seed_of("majority", str(tie_seed), *group, *tied) % len(tied)
                best = tied[drawn]
                return offered.get(best, spelling[best])
        return sample.options[0]

    return answer


def majority_boxes(train: Iterable[SampleRow], questions: Questions, grouping: Grouping) -> Callable[[SampleRow], Box]:
    """The median box of each group, of boxes as shares of width and height, in pixels of the sample's image."""
    boxes: defaultdict[Group, list[Box]] = defaultdict(list)
    for sample in train:
        height, width = questions.shapes[sample.image_id]
        for item in sample.objects:
            x0, y0, x1, y1 = item.box
            for group in groups_of(sample, grouping):
                boxes[group].append((x0 / width, y0 / height, x1 / width, y1 / height))

    def answer(sample: SampleRow) -> Box:
        group = next(group for group in groups_of(sample, grouping) if group in boxes)
        height, width = questions.shapes[sample.image_id]
        x0, y0, x1, y1 = np.median(np.array(boxes[group]), axis=0).tolist()
        return x0 * width, y0 * height, x1 * width, y1 * height

    return answer


def answer_by_majority(spec: AnswerSpec, card: MajorityAnswer, records: Records, output: Path) -> int:
    """Write one answer a question and cell: clean first, then the perturbations in the order given. Returns how many.

    Raises MedstressError where train has nothing to learn from.
    """
    questions = read_questions(spec, records)
    if not questions.train:
        inside = " that its shifts leave in distribution" if spec.shifts else ""
        raise MedstressError(
            f"{spec.run}: the train split of {spec.dataset} has no question{inside}, and {spec.run} learns from it "
            f"alone. Take {spec.run} or {spec.dataset} out of the study, or give its card a train split."
        )
    rows = _rows(questions, card)
    answered = 0
    with record_writer(output, PredictionRow) as writer:
        for read in (clean_questions, perturbed_questions):
            for group in read(questions, records, pixels=False):
                writer.write([rows(item.sample, item.view.perturbation, item.view.level) for item in group])
                answered += len(group)
    return answered


def _rows(questions: Questions, card: MajorityAnswer) -> Callable[[SampleRow, str, int], PredictionRow]:
    boxed = any(sample.objects for sample in questions.train)
    box_of = majority_boxes(questions.train, questions, card.grouping) if boxed else None
    text_of = majority_texts(questions.train, card.grouping, card.tie_seed)

    def row(sample: SampleRow, perturbation: str, level: int) -> PredictionRow:
        box = box_of(sample) if box_of else None
        text = _written(box) if box else text_of(sample)
        return PredictionRow(sample.sample_id, "", perturbation, level, None, "ok", text=text, box=box)

    return row


def _written(box: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.1f}' for value in box)}]"
