"""Scores tiny_vlm on val and test of the embedded `minivqa`, beside baselines that see no image.

    python resources/score_tiny_vlm.py [--model resources/models/tiny_vlm]

Prints Markdown tables for the README beside the weights. Answers count as right where they are the true one but for
case; the majority answers are learnt on the train questions: the commonest answer to the same question, else to its
content type, else of all.
"""

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from minivqa_facts import PHRASES, Question
from tiny_vlm_data import BOX_STYLES, CLOSED_STYLES, EMBEDDED, OPEN_STYLES, ROOT, prompt_of, written_box

from medstress.answers.ask import Answer, Ask
from medstress.cards.local_vlm import LocalVlm
from medstress.models.generative.local import LocalGenerator, load

Row = dict[str, str]

STYLE = 1
"""The way of asking, of those that tiny_vlm knows."""


def read_rows(name: str, split: str) -> list[Row]:
    """The rows of a sheet of minivqa in one split."""
    with (EMBEDDED / "minivqa" / name).open(newline="", encoding="utf-8") as handle:
        return [row for row in csv.DictReader(handle) if row["split"] == split]


def answers(generator: LocalGenerator, rows: Sequence[Row], prompts: Sequence[str], *, image: bool) -> list[str]:
    """What the model writes."""
    asks = [
        Ask(
            row["question_id"],
            "clean",
            0,
            (EMBEDDED / "minivqa" / row["image"]).read_bytes() if image else None,
            prompt,
            "vqa",
        )
        for row, prompt in zip(rows, prompts, strict=True)
    ]
    found = dict(generator.answer(asks))
    return [answer.text if isinstance(answer := found[number], Answer) else "" for number in range(len(asks))]


def question_prompt(row: Row) -> str:
    """A row of vqa.csv as tiny_vlm is asked."""
    options = tuple(row["options"].split(";")) if row["options"] else ()
    question = Question(row["question"], options, row["answer"], row["content_type"])
    return prompt_of(question, (CLOSED_STYLES if options else OPEN_STYLES)[STYLE])


def majority(train: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """The commonest train answer to each question."""
    levels = [lambda row: (row["question"], row["answer_type"]), lambda row: row["content_type"], lambda _: ""]
    counts = [defaultdict(Counter) for _ in levels]
    for row in train:
        for level, count in zip(levels, counts, strict=True):
            count[level(row)][row["answer"]] += 1
    found = []
    for row in rows:
        known = next(count[level(row)] for level, count in zip(levels, counts, strict=True) if level(row) in count)
        found.append(min(known, key=lambda answer: (-known[answer], answer)))
    return found


def table(kinds: Sequence[str], columns: dict[str, list[bool]]) -> Iterable[str]:
    """Shares of right answers, a row a kind and one for all."""
    yield f"| | n | {' | '.join(columns)} |"
    yield "|---|---|" + "---|" * len(columns)
    for kind in [*sorted(set(kinds)), "all"]:
        rows = [index for index, other in enumerate(kinds) if kind in (other, "all")]
        shares = [f"{np.mean([right[index] for index in rows]):.3f}" for right in columns.values()]
        yield f"| {kind} | {len(rows)} | {' | '.join(shares)} |"


def overlap(text: str, truth: str) -> float:
    """Intersection over union of two written boxes; 0 where the first is none."""
    try:
        first, second = ([float(part) for part in box.strip("[]. ").split(",")] for box in (text, truth))
    except ValueError:
        return 0.0
    if len(first) != 4:
        return 0.0
    wide, high = (min(first[axis + 2], second[axis + 2]) - max(first[axis], second[axis]) for axis in (0, 1))
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / max(sum(areas) - shared, 1e-9)


def box_of_row(row: Row) -> str:
    """The true box in percent."""
    import cv2

    height, width = cv2.imread(str(EMBEDDED / "minivqa" / row["image"]), cv2.IMREAD_UNCHANGED).shape[:2]
    x0, y0, x1, y1 = map(float, row["box"].split())
    return written_box((x0, y0, x1, y1), width, height)


def mean_boxes(train: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """The mean train box of the same label, else of all."""
    by_label = defaultdict(list)
    for row in train:
        numbers = [float(part) for part in box_of_row(row).strip("[]").split(",")]
        by_label[row["label"]].append(numbers)
        by_label[""].append(numbers)
    means = {label: str([round(value) for value in np.mean(boxes, axis=0)]) for label, boxes in by_label.items()}
    return [means.get(row["label"], means[""]) for row in rows]


def report(generator: LocalGenerator, split: str) -> Iterable[str]:
    """The tables of one split."""
    rows, train = read_rows("vqa.csv", split), read_rows("vqa.csv", "train")
    prompts = [question_prompt(row) for row in rows]
    said = {
        "tiny_vlm": answers(generator, rows, prompts, image=True),
        "no image": answers(generator, rows, prompts, image=False),
        "majority": majority(train, rows),
    }
    columns = {
        name: [text.casefold() == row["answer"].casefold() for text, row in zip(texts, rows, strict=True)]
        for name, texts in said.items()
    }
    yield f"\n{split}, questions:\n"
    yield from table([f"{row['content_type']}, {row['answer_type']}" for row in rows], columns)
    rows, train = read_rows("captioning.csv", split), read_rows("captioning.csv", "train")
    commonest = Counter(row["caption"] for row in train).most_common(1)[0][0]
    prompts = [PHRASES["caption"][0]] * len(rows)
    captions = {
        "tiny_vlm": answers(generator, rows, prompts, image=True),
        "no image": answers(generator, rows, prompts, image=False),
        "majority": [commonest] * len(rows),
    }
    yield f"\n{split}, captions that are word for word the true one:\n"
    right = {
        name: [text == row["caption"] for text, row in zip(texts, rows, strict=True)]
        for name, texts in captions.items()
    }
    yield from table([row["modality"] for row in rows], right)
    rows, train = read_rows("grounding.csv", split), read_rows("grounding.csv", "train")
    truths, prompts = (
        [box_of_row(row) for row in rows],
        [BOX_STYLES[STYLE].format(question=row["question"]) for row in rows],
    )
    boxes = {
        "tiny_vlm": answers(generator, rows, prompts, image=True),
        "no image": answers(generator, rows, prompts, image=False),
        "mean box": mean_boxes(train, rows),
    }
    yield f"\n{split}, boxes:\n"
    yield "| | n | mean IoU | IoU at least 0.5 |\n|---|---|---|---|"
    for kind, wanted in (("tumours", True), ("regions", False)):
        for name, texts in boxes.items():
            found = [
                overlap(text, truth)
                for text, truth, row in zip(texts, truths, rows, strict=True)
                if (row["label"] == "tumour") == wanted
            ]
            yield f"| {kind}, {name} | {len(found)} | {np.mean(found):.3f} | {np.mean(np.array(found) >= 0.5):.3f} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "resources/models/tiny_vlm")
    card = LocalVlm(
        name="tiny_vlm",
        title="Tiny VLM",
        adapter="local_vlm",
        weights=str(parser.parse_args().model.resolve()),
        device="cpu",
        batch=32,
        max_new_tokens=32,
    )
    generator = load(card)
    for split in ("val", "test"):
        print("\n".join(report(generator, split)))


if __name__ == "__main__":
    main()
