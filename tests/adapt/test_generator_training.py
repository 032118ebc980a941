"""Fine-tuning of vision-language models: what changes and what does not, and that nothing depends on a stop."""

import gc
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file

from medstress.adapt import finetune_generator as module
from medstress.adapt.answer_batches import AnswerBatches
from medstress.adapt.finetune_generator import load_adapted
from medstress.adapt.generator_learning import AnswerTrainer
from medstress.adapt.language_model import apply_to_language_model, train_in_fp32
from medstress.adapt.lessons import Lesson
from medstress.adapt.trainable import parameter_counts, trained_tensors
from medstress.adapt.virtual_tokens import Prompted
from medstress.answers.ask import Answer
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.strategy import Strategy, Vlm
from medstress.errors import MedstressError
from medstress.models.generative.local import LocalGenerator, load
from medstress.models.precision import Precision
from medstress.records import read_rows, write_rows
from medstress.rows import SampleRow
from tests.adapt.vlm import METHODS, SHIFT, Few, asks, card, png, run, save_few, strategy
from tests.conftest import ROOT
from tests.models.vlm_folders import save_gemma, save_llava

EXACT = ("vlm_lora", "vlm_ia3", "vlm_full")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vlm")
    save_llava(folder / "llava")
    save_gemma(folder / "gemma")
    return folder


@pytest.fixture(scope="module")
def small(root: Path) -> LocalVlm:
    return card(root / "llava")


@pytest.fixture(scope="module")
def few(root: Path) -> Few:
    return save_few(root / "few")


@pytest.fixture(autouse=True, scope="module")
def few_objects_to_collect() -> Iterator[None]:
    """Trainer collects garbage before it begins; what the imports left there would take most of these tests' time."""
    gc.freeze()
    yield
    gc.unfreeze()


class Spy(AnswerBatches):
    """Remembers the lessons that it was asked for, and may stop the process at one of its batches."""

    seen: list[list[Lesson]]
    stop_at: int | None = None

    def __call__(self, lessons: Any) -> dict[str, Any]:
        if len(Spy.seen) == Spy.stop_at:
            raise KeyboardInterrupt
        Spy.seen.append(list(lessons))
        return super().__call__(lessons)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> type[Spy]:
    Spy.seen, Spy.stop_at = [], None
    monkeypatch.setattr(module, "AnswerBatches", Spy)
    return Spy


def logits(network: Any, generator: LocalGenerator) -> torch.Tensor:
    batch = AnswerBatches(generator.processor, generator.card, generator.ends)([Lesson("a", png(1), "what?", "lung")])
    labels = batch.pop("labels")
    with torch.no_grad():
        found: torch.Tensor = network(**batch).logits[:, -labels.shape[1] :]
    return found


def texts(generator: LocalGenerator, few: Few, *, image: bool = True) -> list[str]:
    found = dict(generator.answer(asks(few, image=image)))
    answers = [found[number] for number in range(len(found))]
    return [answer.text for answer in answers if isinstance(answer, Answer)]


# Of a language model of 2 layers, 32 wide, MLPs 64 wide, keys 16 wide, 260 words: see vlm_folders.
_LINEAR = {"q": 32 + 32, "k": 32 + 16, "v": 32 + 16, "o": 32 + 32, "gate": 32 + 64, "up": 32 + 64, "down": 64 + 32}
_MATRICES = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
_PROJECTOR = 16 * 32 + 32 + 32 * 32 + 32


@pytest.mark.parametrize(
    ("by", "trained"),
    [
        (strategy("vlm_lora"), 2 * 2 * sum(_LINEAR.values())),
        (strategy("vlm_lora", targets=["q_proj", "v_proj"], rank=4), 4 * 2 * (_LINEAR["q"] + _LINEAR["v"])),
        (strategy("vlm_lora", projector=True), 2 * 2 * sum(_LINEAR.values()) + _PROJECTOR),
        (strategy("vlm_ia3"), 2 * (16 + 16 + 64)),
        (strategy("vlm_prompt", tokens=5), 5 * 32),
        (strategy("vlm_prompt", tokens=5, projector=True), 5 * 32 + _PROJECTOR),
        (strategy("vlm_full"), _MATRICES + 2 * 260 * 32 + 5 * 32),
    ],
    ids=lambda item: getattr(item, "method", None),
)
def test_each_method_trains_its_own_weights_and_begins_as_the_model_was(small: LocalVlm, by: Vlm, trained: int) -> None:
    generator = load(small)
    before = logits(generator.network, generator)
    network = apply_to_language_model(generator.network, by, 0, name="small")
    assert parameter_counts(network)[0] == trained
    assert torch.equal(logits(network, generator), before) == (by.method in EXACT)


@pytest.mark.parametrize("method", METHODS)
def test_a_training_changes_what_it_trains_alone_and_is_found_again(
    small: LocalVlm, few: Few, tmp_path: Path, method: str
) -> None:
    by = strategy(method, steps=12, projector=True)
    steps, _, facts = run(small, few, tmp_path, by)
    assert steps == {"resumed_from": 0, "done": 12}
    looks = [look["likelihood"] for look in facts["val_likelihood"]]
    assert max(looks) > 1.1 * looks[0]
    assert (facts["train_objects"], facts["train_images"], facts["val_questions"]) == (8, 4, 2)
    start = load(small)
    adapted = load_adapted(small, by, 0, tmp_path / "trained.safetensors")
    assert texts(adapted, few) != texts(start, few)
    saved = load_file(tmp_path / "trained.safetensors")
    apply_to_language_model(start.network, by, 0, name="small")
    now, then = (
        {name.removeprefix("network."): value for name, value in one.network.named_parameters()}
        for one in (adapted, start)
    )
    trained = {name.removeprefix("network.") for name in saved}
    changed = {name for name in now if not torch.equal(now[name], then[name])}
    assert changed == trained
    assert any("multi_modal_projector" in name for name in trained)
    assert not any("vision_tower" in name for name in trained)


@pytest.mark.parametrize("method", METHODS)
def test_an_adapted_model_answers_alike_alone_and_in_a_batch(small: LocalVlm, few: Few, method: str) -> None:
    adapted = load(small)
    adapted.network = apply_to_language_model(adapted.network, strategy(method), 0, name="small")
    with torch.no_grad():
        for tensor in trained_tensors(adapted.network).values():
            tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)), alpha=0.1)
    adapted.network.eval()
    for image in (True, False):
        alone = [next(iter(adapted.answer([one])))[1] for one in asks(few, image=image)]
        assert texts(adapted, few, image=image) == [one.text for one in alone if isinstance(one, Answer)]


@pytest.mark.parametrize("images", [True, False], ids=["images", "no_images"])
@pytest.mark.parametrize("method", ["vlm_lora", "vlm_prompt"])
def test_a_gemma_learns_too(root: Path, few: Few, tmp_path: Path, method: str, images: bool) -> None:
    """Its images look both ways in attention, which training must mark."""
    gemma = card(root / "gemma")
    by = strategy(method, images=images, projector=images, steps=2, check_every=2)
    _, _, facts = run(gemma, few, tmp_path, by)
    assert facts["chosen_step"] == 2
    assert len(texts(load_adapted(gemma, by, 0, tmp_path / "trained.safetensors"), few)) == len(few.rows)


def test_virtual_tokens_stand_behind_the_padding(small: LocalVlm) -> None:
    """peft puts them before it, and the same question then has other logits beside a longer one."""
    generator = load(small)
    words = generator.processor.tokenizer
    network = Prompted(generator.network, 3, 0)
    alone, both = (
        words(asked, return_tensors="pt", padding=True, add_special_tokens=False)
        for asked in (["which?"], ["which?", "a much longer question than this?"])
    )
    with torch.no_grad():
        torch.testing.assert_close(network(**alone).logits[0, -1], network(**both).logits[0, -1])
        given = both["input_ids"]
        found = network.generate(**both)
    assert torch.equal(found[:, : given.shape[1]], given)
    assert int(found.max()) < 260


LORA = strategy("vlm_lora", steps=8, accumulate=2, sweep=[0.03], projector=True, projector_rate=0.001)


@pytest.fixture(scope="module")
def wholes() -> dict[str, Any]:
    """Trainings that were not stopped, by method."""
    return {}


@pytest.mark.parametrize(
    ("by", "stop_at", "kept"),
    # A look at val is one batch; a step of LORA has two, of which one is fetched ahead.
    [
        (LORA, 14, 5),
        (LORA, 35, 13),
        (strategy("vlm_prompt", steps=8), 0, 0),
        (strategy("vlm_full", steps=8), 9, 5),
    ],
    ids=["lora", "lora_second_rate", "prompt_at_once", "full"],
)
def test_a_resumed_training_ends_on_the_same_bits(
    small: LocalVlm,
    few: Few,
    tmp_path: Path,
    spy: type[Spy],
    wholes: dict[str, Any],
    by: Vlm,
    stop_at: int,
    kept: int,
) -> None:
    if by.method not in wholes:
        wholes[by.method] = run(small, few, tmp_path / "whole", by)
    _, whole, facts = wholes[by.method]
    assert facts["chosen_step"] > 0
    spy.seen, spy.stop_at = [], stop_at
    with pytest.raises(KeyboardInterrupt):
        run(small, few, tmp_path / "stopped", by)
    assert not (tmp_path / "stopped" / "trained.safetensors").exists()
    spy.stop_at = None
    torch.rand(3)
    steps, resumed, again = run(small, few, tmp_path / "stopped", by)
    assert steps == {"resumed_from": kept, "done": 8 * (1 + len(by.sweep)) - kept}
    assert resumed == whole
    assert again == facts
    assert not list((tmp_path / "stopped" / "journal").iterdir())


def test_what_a_killed_process_left_half_written_is_passed_over(
    small: LocalVlm, few: Few, tmp_path: Path, spy: type[Spy], caplog: pytest.LogCaptureFixture
) -> None:
    by = strategy("vlm_ia3", steps=8)
    _, whole, _ = run(small, few, tmp_path / "whole", by)

    def stopped(folder: Path) -> Path:
        spy.seen, spy.stop_at = [], 9
        with pytest.raises(KeyboardInterrupt):
            run(small, few, folder, by)
        spy.stop_at = None
        [place] = (folder / "journal").glob("*/rate0/checkpoint-5")
        return place

    place = stopped(tmp_path / "killed")
    later = place.parent / "checkpoint-7"
    later.mkdir()
    shutil.copy(place / "kept.safetensors", later)
    steps, resumed, _ = run(small, few, tmp_path / "killed", by)
    assert (steps["resumed_from"], resumed) == (5, whole)
    (stopped(tmp_path / "damaged") / "optimizer.pt").write_bytes(b"damaged")
    steps, resumed, _ = run(small, few, tmp_path / "damaged", by)
    assert (steps["resumed_from"], resumed) == (0, whole)
    assert "starts anew" in caplog.text


def test_training_without_images_shows_none(
    small: LocalVlm, few: Few, tmp_path: Path, spy: type[Spy], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[LocalGenerator] = []
    shown: list[int] = []

    def load_watched(model: LocalVlm) -> LocalGenerator:
        loaded.append(load(model))
        loaded[-1].network.model.vision_tower.register_forward_pre_hook(lambda *_: shown.append(1))
        return loaded[-1]

    monkeypatch.setattr(module, "load", load_watched)
    _, blind, facts = run(small, few, tmp_path / "blind", strategy("vlm_lora", images=False, steps=2))
    assert not shown
    assert all(lesson.image is None for part in spy.seen for lesson in part)
    assert facts["train_images"] == 0
    _, seeing, _ = run(small, few, tmp_path / "seeing", strategy("vlm_lora", steps=2))
    assert shown
    assert seeing != blind


def test_train_teaches_val_chooses_and_a_shift_leaves_only_what_is_in_distribution(
    small: LocalVlm, few: Few, tmp_path: Path, spy: type[Spy]
) -> None:
    split = {f"image{number}": ("train" if number < 4 else "val" if number < 6 else "test") for number in range(8)}
    rows = {row.sample_id: row for row in few.rows}

    def taught(**changes: Any) -> tuple[set[str], set[str]]:
        spy.seen = []
        changed = strategy("vlm_ia3", steps=4, check_every=4, **changes)
        run(small, few, tmp_path / str(len(changes)), changed, shift=SHIFT if "shift" in changes else None)
        seen = {lesson.sample_id for part in spy.seen for lesson in part}
        assert "test" not in {split[rows[name].image_id] for name in seen}
        learnt = {name for name in seen if split[rows[name].image_id] == "train"}
        return learnt, seen - learnt

    assert taught() == ({f"{asked}{n}" for asked in ("organ", "side") for n in range(4)}, {"organ4", "organ5"})
    assert taught(shift="heads") == ({"organ0", "organ2", "side0", "side2"}, {"organ4"})


def test_val_chooses_the_step_and_the_rate(small: LocalVlm, few: Few, tmp_path: Path) -> None:
    _, swept, facts = run(small, few, tmp_path / "swept", strategy("vlm_full", learning_rate=1e-6, sweep=[0.003]))
    assert facts["learning_rate"] == 0.003
    assert [rate["learning_rate"] for rate in facts["rates"]] == [1e-6, 0.003]
    _, alone, _ = run(small, few, tmp_path / "alone", strategy("vlm_full"))
    assert swept == alone
    # Where every step makes val worse, the start is kept.
    rows = [replace(row, answer="~" * 9) if row.image_id in ("image4", "image5") else row for row in few.rows]
    contrary = Few(few.images, tmp_path / "samples.parquet", rows)
    write_rows(contrary.samples, SampleRow, rows)
    by = strategy("vlm_full", learning_rate=0.1)
    _, _, facts = run(small, contrary, tmp_path / "worse", by)
    assert facts["chosen_step"] == 0
    kept = load_adapted(small, by, 0, tmp_path / "worse" / "trained.safetensors")
    assert texts(kept, few) == texts(load(small), few)


def test_epochs_say_how_many_steps(small: LocalVlm, few: Few, tmp_path: Path, spy: type[Spy]) -> None:
    _, _, facts = run(small, few, tmp_path, strategy("vlm_ia3", steps=None, epochs=1.5, batch=3, accumulate=3))
    assert facts["planned_steps"] == facts["steps"] == 4  # 1.5 times 8 questions
    steps = [lesson.sample_id for part in spy.seen for lesson in part if lesson.sample_id not in ("organ4", "organ5")]
    assert len(set(steps[:8])) == 8


@pytest.mark.parametrize("method", ["vlm_full", "vlm_prompt"])
def test_saving_memory_changes_no_gradient(small: LocalVlm, few: Few, tmp_path: Path, method: str) -> None:
    for folder, changes in {"whole": {}, "saving": {"accumulate": 4, "gradient_checkpointing": True}}.items():
        run(small, few, tmp_path / folder, strategy(method, steps=3, **changes))
    one, two = (load_file(tmp_path / folder / "trained.safetensors") for folder in ("whole", "saving"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)


def test_a_loss_that_is_not_finite_names_step_and_samples(
    small: LocalVlm, few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "medstress.adapt.generator_learning.answer_loss", lambda out, *_, **__: out.logits.sum() * float("nan")
    )
    monkeypatch.setattr(AnswerTrainer, "look", lambda self: self.progress.looks.append((0, 0.0)))
    with pytest.raises(MedstressError, match=r"loss is nan at step 0 on the samples (organ|side)\d, "):
        run(small, few, tmp_path, strategy("vlm_lora"))


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_holds_what_trains_in_fp32(
    small: LocalVlm, few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    formats: list[set[torch.dtype]] = []

    def load_half(model: LocalVlm) -> LocalGenerator:
        generator = load(model)
        generator.network.to(torch.bfloat16)
        return generator

    def cast_and_look(network: torch.nn.Module) -> None:
        train_in_fp32(network)
        formats.append({one.dtype for one in network.parameters() if one.requires_grad})
        formats.append({one.dtype for one in network.parameters() if not one.requires_grad})

    monkeypatch.setattr(module, "load", load_half)
    monkeypatch.setattr(module, "train_in_fp32", cast_and_look)
    monkeypatch.setattr("medstress.adapt.generator_learning.precision_of", lambda *_: Precision("cpu", torch.bfloat16))
    by = strategy(method, projector=True, steps=3)
    _, _, facts = run(small, few, tmp_path, by)
    assert formats == [{torch.float32}, {torch.bfloat16}]
    assert facts["chosen_step"] > 0
    assert {one.dtype for one in load_file(tmp_path / "trained.safetensors").values()} == {torch.float32}
    adapted = load_adapted(small, by, 0, tmp_path / "trained.safetensors")
    assert len(texts(adapted, few)) == len(few.rows)
    added = [one for name, one in adapted.network.named_parameters() if re.search(r"lora_|ia3_l|\.prompt\.", name)]
    assert {one.dtype for one in added} == ({torch.float32} if added else set())
    assert bool(added) == (method != "vlm_full")


def test_what_does_not_go_together_is_said(small: LocalVlm, few: Few, tmp_path: Path) -> None:
    wrong: list[tuple[LocalVlm, Any, str]] = [
        (small, strategy("vlm_lora", targets=["query"]), "no linear layer query; it has down_proj"),
        (small, strategy("vlm_lora", shift="legs"), "few has no shift 'legs'"),
        (small.model_copy(update={"peft": "adapter"}), strategy("vlm_lora"), "`peft` adapter already"),
        (small.model_copy(update={"precision": "fp16"}), strategy("vlm_lora"), "small gradients vanish"),
        (small, other(), "decoder_only, is not for vision-language models"),
    ]
    for model, by, message in wrong:
        with pytest.raises(MedstressError, match=message):
            run(model, few, tmp_path, by)
    unanswered = Few(few.images, tmp_path / "samples.parquet", few.rows)
    kept = [row for row in read_rows(few.samples, SampleRow) if row.image_id not in ("image4", "image5")]
    write_rows(unanswered.samples, SampleRow, kept)
    with pytest.raises(MedstressError, match="no question in val"):
        run(small, unanswered, tmp_path, strategy("vlm_lora"))


def other() -> Any:
    plain = {"name": "x", "title": "x", "train_on": ["few"], "learning_rate": 1, "steps": 1}
    return TypeAdapter(Strategy).validate_python(plain | {"method": "decoder_only"})


def test_a_checkpoint_of_another_strategy_is_refused(small: LocalVlm, few: Few, tmp_path: Path) -> None:
    run(small, few, tmp_path, strategy("vlm_lora", steps=1))
    for by in (strategy("vlm_lora", rank=4), strategy("vlm_ia3"), strategy("vlm_lora", projector=True)):
        with pytest.raises(MedstressError, match="does not fit this model and strategy"):
            load_adapted(small, by, 0, tmp_path / "trained.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 3, "epochs": 1}, "either `steps` or `epochs`"),
        ({"steps": None}, "either `steps` or `epochs`"),
        ({"pooled": True}, "vlm_lora has no pooled"),
        ({"batch": 4, "accumulate": 3}, "not a multiple"),
        ({"images": False, "projector": True}, "nothing passes it"),
        ({"projector_rate": 0.1}, "needs `projector: true`"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        strategy("vlm_lora", **changes)


def test_shipped_presets_are_the_published_settings() -> None:
    cards = {}
    for path in sorted((ROOT / "config/strategies").glob("*vlm*.yaml")):
        cards[path.stem] = TypeAdapter(Strategy).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert cards[path.stem].name == path.stem
    published = {name: one for name, one in cards.items() if name.startswith("paper_")}
    assert {one.method for one in published.values()} == set(METHODS)
    sweep = {one.rank: (one.learning_rate, *one.sweep) for one in published.values() if one.sweep}
    assert sweep == dict.fromkeys((16, 32, 64, 128, 256), (3e-5, 3e-4, 3e-3))
    boxes = published.pop("paper_vlm_lora_boxes")
    assert (boxes.rank, boxes.alpha, boxes.dropout, boxes.learning_rate, boxes.schedule) == (
        128,
        256,
        0.05,
        2e-4,
        "linear",
    )
    for one in published.values():
        assert (one.epochs, one.batch, one.warm_up, one.weight_decay, one.schedule) == (1, 32, 0.03, 0, "cosine")
        assert one.seeds == [123, 124, 125]
        assert one.projector == one.images
        assert one.projector_rate in (None, 2e-5)
        # A look every 50 steps at val of MIMIC-CXR-VQA would take longer than the training.
        assert one.check_every * one.batch > 300_000
    assert published["paper_vlm_prompt"].tokens == 80
    sets = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / "config/datasets").glob("*.yaml")
    }
    for one in cards.values():
        for trainset in one.train_on if one.shift else ():
            assert one.shift in [shift["name"] for shift in sets[trainset]["shifts"]]
