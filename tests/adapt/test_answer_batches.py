"""What a vision-language model learns of a lesson: the tokens of the answer, and nothing else."""

from typing import Any

import pytest
import torch

from medstress.adapt.answer_batches import IGNORED, AnswerBatches, Curriculum, answer_loss
from medstress.adapt.lessons import Lesson, answer_of, written_box
from medstress.cards.generation import BoxNumbers
from medstress.errors import MedstressError
from medstress.models.generative.local import LocalGenerator, load
from medstress.models.generative.prompt import Writer, picture
from medstress.rows import ObjectRow, SampleRow
from tests.adapt.vlm import card, png
from tests.conftest import ROOT
from tests.models.vlm_folders import save_gemma, save_llava

KINDS = ("llava", "plain", "gemma", "tiny_vlm")
ENDS = {"llava": "</s>", "plain": "</s>", "gemma": "<eos>", "tiny_vlm": "</s>"}
LESSONS = [
    Lesson("a", png(1), "Which organ?", "lung"),
    Lesson("b", png(2), "Is there a tumour, and if so, where?", "yes, upper left"),
    Lesson("c", png(1), "?", "no"),
]


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalGenerator]:
    folder = tmp_path_factory.mktemp("vlm")
    save_llava(folder / "llava")
    save_gemma(folder / "gemma")
    return {
        "llava": load(card(folder / "llava")),
        "plain": load(card(folder / "llava", template="plain", layout="{image}\nQ: {prompt}\nA:")),
        "gemma": load(card(folder / "gemma")),
        "tiny_vlm": load(card(ROOT / "resources/models/tiny_vlm")),
    }


def batches_of(generator: LocalGenerator) -> AnswerBatches:
    return AnswerBatches(generator.processor, generator.card, generator.ends)


def blind(lessons: list[Lesson]) -> list[Lesson]:
    return [Lesson(one.sample_id, None, one.prompt, one.answer) for one in lessons]


@pytest.mark.parametrize("image", [True, False], ids=["image", "no_image"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_answer_and_its_end_are_learnt(generators: dict[str, LocalGenerator], kind: str, image: bool) -> None:
    generator = generators[kind]
    lessons = LESSONS if image else blind(LESSONS)
    batch = batches_of(generator)(lessons)
    assert ("pixel_values" in batch) == image
    words = generator.processor.tokenizer
    writer = Writer(generator.processor, generator.card)
    for row, lesson in enumerate(lessons):
        labels, ids = batch["labels"][row], batch["input_ids"][row]
        learnt = labels != IGNORED
        assert torch.equal(ids[learnt], labels[learnt])
        assert words.decode(ids[learnt]).strip() == lesson.answer + ENDS[kind]
        # What goes before is the prompt, token for token, as the model is asked it.
        shown = [picture(lesson.image, generator.processor, pad=False)] if lesson.image else []
        asked = writer.inputs([lesson.prompt], shown)["input_ids"][0]
        first = int(learnt.nonzero()[0])
        assert torch.equal(ids[:first], asked)
        assert batch["attention_mask"][row].tolist() == [1] * (first + int(learnt.sum())) + [0] * int(
            (batch["attention_mask"][row] == 0).sum()
        )
        assert not learnt[first + int(learnt.sum()) :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_mean_over_the_tokens_of_all_answers(generators: dict[str, LocalGenerator], kind: str) -> None:
    network, batches = generators[kind].network, batches_of(generators[kind])

    def outputs(lessons: list[Lesson]) -> tuple[Any, torch.Tensor]:
        inputs = batches(lessons)
        labels = inputs.pop("labels")
        return network(**inputs), labels

    with torch.no_grad():
        together = answer_loss(*outputs(LESSONS))
        total, tokens = 0.0, 0
        for lesson in LESSONS:
            found, labels = outputs([lesson])
            said = found.logits[0].log_softmax(-1)
            places = (labels[0] != IGNORED).nonzero().flatten().tolist()
            total -= sum(float(said[place - 1, labels[0, place]]) for place in places)
            tokens += len(places)
    torch.testing.assert_close(together, torch.tensor(total / tokens), rtol=1e-4, atol=1e-5)


def test_an_answer_is_written_as_the_chat_template_writes_it(generators: dict[str, LocalGenerator]) -> None:
    said = {kind: Writer(one.processor, one.card).reply("?", "no", image=True) for kind, one in generators.items()}
    # The templates of `llava` and `gemma` know users alone.
    assert said == {"llava": " no", "plain": " no", "gemma": " no", "tiny_vlm": " no</s>"}
    gemma = generators["gemma"]
    gemma.processor.chat_template = "{% for one in messages %}<start_of_turn>{{ one.role }}\n{{ one.content[0].text }}"
    gemma.processor.chat_template += (
        "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>assistant\n"
    )
    gemma.processor.chat_template += "{{ '' }}{% endif %}"
    assert Writer(gemma.processor, gemma.card).reply("?", "no", image=False) == "no<end_of_turn>\n"
    assert gemma.processor.tokenizer.decode(batches_of(gemma).reply(blind(LESSONS)[2])) == "no<end_of_turn>"


def test_what_cannot_be_learnt_is_named(generators: dict[str, LocalGenerator]) -> None:
    batches = batches_of(generators["llava"])
    for lesson in (Lesson("s7", b"no", "?", "no"), Lesson("s7", png(0), "?", "an <image>")):
        with pytest.raises(MedstressError, match=r"^s7: "):
            batches([lesson])
    for row in (SampleRow("s7", "i", "vqa"), SampleRow("s7", "i", "grounding"), SampleRow("s7", "i", "captioning")):
        with pytest.raises(MedstressError, match="s7: no answer to learn"):
            answer_of(row, BoxNumbers(), (10, 10))


def test_answers_are_words_captions_and_boxes() -> None:
    thing = ObjectRow("0", "lung", (10.0, 20.0, 30.0, 40.0), b"")
    boxes = BoxNumbers(scale="0-100")
    assert answer_of(SampleRow("s", "i", "vqa", answer=" lung "), boxes, (80, 40)) == "lung"
    assert answer_of(SampleRow("s", "i", "captioning", caption="A lung."), boxes, (80, 40)) == "A lung."
    assert answer_of(SampleRow("s", "i", "grounding", (thing,)), boxes, (80, 40)) == "[25, 25, 75, 50]"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        (BoxNumbers(), "[10, 20, 30, 40]"),
        (BoxNumbers(scale="0-1"), "[0.250, 0.250, 0.750, 0.500]"),
        (BoxNumbers(scale="0-1000", y_first=True), "[250, 250, 500, 750]"),
    ],
)
def test_boxes_are_written_in_the_numbers_of_the_card(numbers: BoxNumbers, text: str) -> None:
    assert written_box((10.0, 20.0, 30.0, 40.0), numbers, (80, 40)) == text


def test_every_pass_takes_each_lesson_once_in_an_order_of_its_own() -> None:
    order = [lesson.sample_id for lesson in Curriculum(LESSONS, 0, 30)]
    passes = [tuple(order[first : first + 3]) for first in range(0, 30, 3)]
    assert {tuple(sorted(one)) for one in passes} == {("a", "b", "c")}
    assert len(set(passes)) > 1
    again, other = ([lesson.sample_id for lesson in Curriculum(LESSONS, seed, 30)] for seed in (0, 1))
    assert again == order != other
