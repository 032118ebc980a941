"""Speed of answers in words: a small vision-language model, the journal, a server that takes its time, and scores.

The model is asked the embedded questions in the batches of its card and, between those rounds, one question at a time:
by transformers' own processor and `generate`, and by the same adapter with a batch of one.
"""

import csv
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medstress.answers.api import identity_of, settings_of
from medstress.answers.ask import Answer, Ask
from medstress.answers.journal import Journal
from medstress.answers.run import answer_all
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.question_prompts import QuestionPrompts
from medstress.models.generative.local import LocalGenerator, load
from medstress.models.generative.prompt import picture
from medstress.pixels import encode_png
from medstress.question_prompts import prompt_of
from medstress.records import ImageRow, PerturbedRow, PredictionRow, SampleRow, write_rows
from medstress.score import vqa
from medstress.specs import ScoreSpec
from tests.answers.asks import ask, client_of, openai_card
from tests.answers.server import serving
from tests.conftest import ROOT

DATA = ROOT / "resources/embedded/minivqa"
CARD = LocalVlm(
    name="tiny_vlm",
    title="Tiny VLM",
    adapter="local_vlm",
    weights="resources/models/tiny_vlm",
    device="cpu",
    batch=32,
    max_new_tokens=32,
    boxes={"scale": "0-100"},
)
ROUNDS = 3
KEPT = 200_000
SERVED = 1_000
QUESTIONS, LEVELS = 1_000, (1, 2, 3, 4, 5)
TEXT = Answer("The image shows a mass of about two centimetres in the upper left lobe.", 310, 18, "stop")


def asks_of(task: str) -> list[Ask]:
    """The test questions of a task about the clean images."""
    found = []
    with (DATA / f"{task}.csv").open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            if row["split"] != "test":
                continue
            options = tuple(option for option in row.get("options", "").split(";") if option)
            sample = SampleRow(
                row["question_id"], row["image"], task, question=row.get("question", ""), options=options
            )
            prompt = prompt_of(sample, QuestionPrompts(), CARD.boxes, (0, 0))
            found.append(Ask(row["question_id"], "clean", 0, (DATA / row["image"]).read_bytes(), prompt, task))
    return found


def texts_of(generator: LocalGenerator, asks: list[Ask]) -> list[str]:
    """What a generator answers, in the order of the asks."""
    found = dict(generator.answer(asks))
    return [found[number].text for number in range(len(asks))]


@torch.inference_mode()
def one_by_one(generator: LocalGenerator, asks: list[Ask]) -> list[str]:
    """What transformers answers where each question goes through its processor and network alone."""
    processor, network, texts = generator.processor, generator.network, []
    for one in asks:
        content = [{"type": "image"}, {"type": "text", "text": one.prompt}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        shown = picture(one.image, processor, pad=False)
        inputs = processor(text=[text], images=[[shown]], return_tensors="pt", add_special_tokens=False)
        said = network.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
        texts.append(processor.decode(said, skip_special_tokens=True).strip())
    return texts


@pytest.fixture(scope="module")
def generators() -> dict[int, LocalGenerator]:
    return {batch: load(CARD.model_copy(update={"batch": batch}), ROOT) for batch in (1, CARD.batch)}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("task", ["vqa", "captioning", "grounding"])
def test_answer_tiny_vlm(benchmark, generators: dict[int, LocalGenerator], task: str) -> None:
    asks = asks_of(task)
    ways = {
        "one question at a time, transformers": lambda: one_by_one(generators[1], asks),
        "batch 1": lambda: texts_of(generators[1], asks),
    }
    expected = texts_of(generators[CARD.batch], asks)
    took: dict[str, float] = {}

    def others() -> None:
        for name, way in ways.items():
            start = time.process_time()
            assert way() == expected
            took[name] = min(took.get(name, np.inf), time.process_time() - start)

    assert benchmark.pedantic(lambda: texts_of(generators[CARD.batch], asks), setup=others, rounds=ROUNDS) == expected
    benchmark.extra_info["answered"] = len(asks)
    benchmark.extra_info["ways"] = took


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A journal of KEPT answers, and their keys."""
    folder = tmp_path_factory.mktemp("journal")
    keys = [bytes(key) for key in np.random.default_rng(0).integers(0, 256, (KEPT, 16), dtype=np.uint8)]
    with Journal(folder) as journal:
        for key in keys:
            journal.add(key, TEXT)
    return folder, keys


def timed(benchmark, run, what: str, items: int, rounds: int = ROUNDS) -> None:
    """Measure something by the clock, in so many items."""
    benchmark.extra_info.update(items=items, what=what)
    benchmark.pedantic(run, rounds=rounds)


@pytest.mark.benchmark(timer=time.perf_counter)
def test_journal_append(benchmark, tmp_path: Path) -> None:
    folders = (tmp_path / str(number) for number in range(ROUNDS))
    keys = [number.to_bytes(16) for number in range(20_000)]

    def run() -> None:
        with Journal(next(folders)) as journal:
            for key in keys:
                journal.sent(key)
                journal.add(key, TEXT)

    timed(benchmark, run, "journal: an answer kept, its request noted before", len(keys))


@pytest.mark.benchmark(timer=time.perf_counter)
def test_journal_open(benchmark, kept: tuple[Path, list[bytes]]) -> None:
    timed(benchmark, lambda: Journal(kept[0]).close(), f"journal: opened, {KEPT} answers", KEPT)


@pytest.mark.benchmark(timer=time.perf_counter)
def test_journal_read(benchmark, kept: tuple[Path, list[bytes]]) -> None:
    def run() -> None:
        with Journal(kept[0]) as journal:
            assert len(journal.answers(kept[1])) == KEPT

    timed(benchmark, run, f"journal: opened and read, {KEPT} answers", KEPT)


@pytest.mark.benchmark(timer=time.perf_counter)
def test_server(benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asks = [ask(f"question {number}", image=os.urandom(20_000)) for number in range(SERVED)]

    def run() -> None:
        with serving(latency=0.1) as server, Journal(tmp_path / "journal") as journal:
            card = openai_card(server)
            answered = answer_all(client_of(card), asks, journal, identity_of(card), settings_of(card))
        assert answered.failed == 0

    timed(benchmark, run, "a server's answer after 100 ms", SERVED, rounds=1)


def answers_of(kind: str) -> Iterator[tuple[SampleRow, list[str]]]:
    """Questions, each with texts about the clean image and each level, no two alike."""
    organs = ("lung", "liver", "spleen", "left kidney", "right kidney")
    for number in range(QUESTIONS):
        truth = organs[number % len(organs)]
        sample = SampleRow(f"{number:04d}", "image", "vqa", question="Which organ is it?", answer=truth)
        texts = [f"The {organs[(number + level) % 5]}, slice {number}, look {level}." for level in (0, *LEVELS)]
        if kind == "closed":
            yield replace(sample, options=organs, answer_type="closed"), texts
        else:
            yield replace(sample, answer_type="open"), texts


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("kind", ["closed", "open"])
def test_score(benchmark, tmp_path: Path, kind: str) -> None:
    records = [tmp_path / f"{name}.parquet" for name in ("images", "samples", "jpeg", "answers", "scores")]
    images, samples, jpeg, answers, scores = records
    png = encode_png(np.zeros((8, 8), dtype=np.uint8))
    write_rows(images, ImageRow, [ImageRow("image", "patient", "test", "ct", png, 8, 8)])
    shown = [PerturbedRow("image", "jpeg", n, png, None, None, 1.0, 0.9, None, None, 1, "in_band") for n in LEVELS]
    write_rows(jpeg, PerturbedRow, shown)
    asked = list(answers_of(kind))
    write_rows(samples, SampleRow, [sample for sample, _ in asked])
    cells = [("clean", 0), *(("jpeg", level) for level in LEVELS)]
    said = [
        PredictionRow(sample.sample_id, "", *cell, None, "ok", text=text)
        for sample, texts in asked
        for cell, text in zip(cells, texts, strict=True)
    ]
    write_rows(answers, PredictionRow, said)
    spec = ScoreSpec(task="vqa", run="it", dataset="bench", split="test", scoring={})
    run = lambda: vqa.score_predictions(spec, images, samples, [jpeg], answers, scores)  # noqa: E731
    timed(benchmark, run, f"scoring: {kind} answers, record to record", len(said))
