"""A sheet on which people rate answers: a CSV file, and a page that works without a network."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medstress.answers.words import words_of
from medstress.errors import MedstressError
from medstress.exports.rating_page import MEANINGS, Item, Page, page_html
from medstress.records import (
    CLEAN,
    ImageRow,
    JudgedRow,
    PredictionRow,
    SampleRow,
    atomic_path,
    read_groups,
    read_rows,
    read_tables,
)
from medstress.score.ratings import COLUMNS, GRADES, answer_mark
from medstress.seeds import generator, seed_of

# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FOR_PEOPLE = ("grades", "image", "question", "options", "truth", "answer")


@dataclass(frozen=True)
class Wanted:
    """What is to be rated. judge: whose scores the answers are to be balanced by, "" for a plain draw."""

    dataset: str
    run: str
    answer_type: Literal["open", "closed"] = "open"
    count: int = 50
    seed: int = 123
    judge: str = ""


def write_rating_sheet(study: Path, wanted: Wanted, out: Path) -> int:
    """Write `sheet.csv` and `sheet.html` to a folder, and return how many answers are on them.

    Answers to clean images are drawn, those with the words of the truth left out. The draw is by data set and seed
    alone, so the sheets of several runs have the same questions as far as they can. Raises MedstressError where the
    study (results/{study}) has no such answers.
    """
    samples, answers = _answers(study, wanted)
    drawn = _drawn(study, wanted, samples, answers)
    images = _images(study / "datasets" / wanted.dataset / "images.parquet", [samples[name].image_id for name in drawn])
    rated = [(samples[name], answers[name]) for name in drawn]
    texts = {"sheet.csv": _csv(wanted, rated), "sheet.html": page_html(_page(wanted, rated, images))}
    for name, text in texts.items():
        if (out / name).exists() and (out / name).read_bytes() != text.encode():
            raise MedstressError(
                f"{out / name} is another sheet, or one that is filled in, and is not overwritten. Name another folder."
            )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    return len(drawn)


def _answers(study: Path, wanted: Wanted) -> tuple[dict[str, SampleRow], dict[str, str]]:
    """The questions of the data set, and the texts about clean images that are worth a rating."""
    record = study / "predictions" / wanted.run / f"{wanted.dataset}.parquet"
    if not record.is_file():
        known = sorted(
            f"{path.relative_to(study / 'predictions').parent} {path.stem}"
            for path in (study / "predictions").rglob("*.parquet")
        )
        raise MedstressError(
            f"{record}: no answers of {wanted.run} to {wanted.dataset}. "
            + (f"There are: {', '.join(known)}." if known else "Run the study first.")
        )
    rows = read_rows(study / "datasets" / wanted.dataset / "samples.parquet", SampleRow)
    samples = {row.sample_id: row for row in rows if row.answer_type == wanted.answer_type}
    table = read_tables([record], PredictionRow, ["sample_id", "perturbation", "text"])
    given = zip(*(table[name].to_pylist() for name in ("sample_id", "perturbation", "text")), strict=True)
    texts = {name: text for name, kind, text in given if kind == CLEAN and name in samples and (text or "").strip()}
    worth = {name: text for name, text in texts.items() if words_of(text) != words_of(samples[name].answer)}
    if not worth:
        raise MedstressError(
            f"{record}: no answer to a question of the type {wanted.answer_type} that differs from the truth, so there "
            "is nothing to rate. Try the other --answer-type, or another run."
        )
    return samples, worth


def _drawn(study: Path, wanted: Wanted, samples: Mapping[str, SampleRow], answers: Mapping[str, str]) -> list[str]:
    """The samples that are drawn, in the order in which they are shown."""
    names = sorted(samples)
    order = generator(seed_of("rating sheet", wanted.dataset, str(wanted.seed))).permutation(len(names))
    ranked = [names[place] for place in order if names[place] in answers]
    if not wanted.judge:
        return ranked[: wanted.count]
    scores = _judged(study, wanted)
    by_score: dict[float, list[str]] = {}
    for name in ranked:
        if name in scores:
            by_score.setdefault(scores[name], []).append(name)
    if not by_score:
        raise MedstressError(
            f"{wanted.judge} gave no score to an answer of {wanted.run} to {wanted.dataset} that could be rated. "
            "Leave --balance out."
        )
    # One of each score in turn, so that scarce ones are all there and the others share the rest.
    turns = [(turn, score, name) for score, group in sorted(by_score.items()) for turn, name in enumerate(group)]
    chosen = {name for _, _, name in sorted(turns)[: wanted.count]}
    # Not in the order of their scores, which would tell raters what the judge thought.
    return [name for name in ranked if name in chosen]


def _judged(study: Path, wanted: Wanted) -> dict[str, float]:
    """The scores that the judge itself gave to answers about clean images."""
    record = study / "judged" / wanted.judge / wanted.run / f"{wanted.dataset}.parquet"
    if not record.is_file():
        known = sorted(path.name for path in (study / "judged").glob("*"))
        raise MedstressError(
            f"{record}: {wanted.judge} has not judged these answers. "
            + (f"Judges of the study: {', '.join(known)}." if known else "Leave --balance out, or run a judge first.")
        )
    rows = read_rows(record, JudgedRow)
    return {
        row.sample_id: row.score
        for row in rows
        if row.perturbation == CLEAN and row.status == "ok" and row.score is not None
    }


def _images(record: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The pictures, PNG as stored."""
    wanted = set(names)
    return {row.image_id: row.png for rows in read_groups(record, ImageRow) for row in rows if row.image_id in wanted}


def _page(wanted: Wanted, rated: Sequence[tuple[SampleRow, str]], images: Mapping[str, bytes]) -> Page:
    return Page(
        dataset=wanted.dataset,
        answer_type=wanted.answer_type,
        grades=(0.0, 1.0) if wanted.answer_type == "closed" else GRADES["open"],
        items=tuple(
            Item(
                sample.sample_id,
                answer_mark(wanted.run, sample.sample_id, text),
                sample.question,
                sample.options,
                sample.answer,
                text,
                sample.image_id,
            )
            for sample, text in rated
        ),
        images=images,
    )


def _csv(wanted: Wanted, rated: Sequence[tuple[SampleRow, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *_FOR_PEOPLE])
    writer.writerows(_csv_rows(wanted, rated))
    # The mark tells spreadsheets that this is UTF-8.
    return "\N{ZERO WIDTH NO-BREAK SPACE}" + text.getvalue()


def _csv_rows(wanted: Wanted, rated: Sequence[tuple[SampleRow, str]]) -> Iterator[list[str]]:
    grades = "; ".join(f"{grade} {meaning}" for grade, meaning in MEANINGS[wanted.answer_type].items())
    for sample, answer in rated:
        mark = answer_mark(wanted.run, sample.sample_id, answer)
        facts = ["", wanted.dataset, sample.sample_id, wanted.answer_type, mark, ""]
        shown = [grades, sample.image_id, sample.question, "; ".join(sample.options), sample.answer, answer]
        yield [*facts, *(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in shown)]
