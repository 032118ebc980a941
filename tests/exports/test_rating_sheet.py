"""Sheets on which people rate answers: what is on them, that they need no network, and how they come back."""

import base64
import csv
import hashlib
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from medstress.errors import MedstressError
from medstress.exports.rating_sheet import Wanted, write_rating_sheet
from medstress.pixels import encode_png
from medstress.records import ImageRow, JudgedRow, PredictionRow, SampleRow, write_rows
from medstress.score.ratings import answer_mark, read_answer_marks, read_ratings

NASTY = '</script><script src="https://evil.example/x.js"></script><img src=x onerror=alert(1)> & <!-- "quoted"\n\u2028'
RUN = "vlm~no_image"


class Seen(HTMLParser):
    """Every tag with its attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in self.raw and self.cdata_elem:
            self.raw[self.tags[-1][0]][-1] += data


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """40 open questions about 20 images: 10 answers have the words of the truth, two say nothing; and 5 closed ones."""
    base = tmp_path / "results" / "toy"
    images = [ImageRow(f"i{place:02}", f"p{place // 2}", "test", "ct", png(place), 8, 8) for place in range(20)]
    samples = [
        SampleRow(
            f"s{place:02}",
            f"i{place % 20:02}",
            "vqa",
            question=f"What is {place}?",
            answer=f"thing {place}",
            answer_type="open",
        )
        for place in range(40)
    ]
    samples += [
        SampleRow(
            f"c{place}",
            f"i{place:02}",
            "vqa",
            question="CT?",
            options=("yes", "no"),
            answer="yes",
            answer_type="closed",
        )
        for place in range(5)
    ]
    texts = {f"s{place:02}": f"Thing {place}!" if place < 10 else f"=thing of {place}" for place in range(40)}
    texts |= {"s10": None, "s11": "  ", "s12": NASTY} | {f"c{place}": "no" for place in range(5)}
    answers = [
        PredictionRow(sample.sample_id, "", kind, level, None, "ok" if text else "error", text=text)
        for sample in samples
        for kind, level in (("clean", 0), ("jpeg", 1))
        for text in [texts[sample.sample_id] if kind == "clean" else "something else"]
    ]
    scores = {f"s{place:02}": (place % 5 if place > 15 else 0) + 1 for place in range(12, 40)}
    judged = [JudgedRow(name, "clean", 0, score, "ok", "") for name, score in scores.items()]
    write_rows(base / "datasets" / "slake" / "images.parquet", ImageRow, images)
    write_rows(base / "datasets" / "slake" / "samples.parquet", SampleRow, samples)
    write_rows(base / "predictions" / RUN / "slake.parquet", PredictionRow, answers)
    write_rows(base / "judged" / "strict" / RUN / "slake.parquet", JudgedRow, judged)
    return base


def png(place: int) -> bytes:
    return encode_png(np.full((8, 8), place, np.uint8))


def sheet(study: Path, folder: str = "sheet", **wanted: object) -> tuple[list[dict[str, str]], str, dict]:
    """The rows of the CSV file, the page and its data."""
    out = study.parent.parent / folder
    write_rating_sheet(study, Wanted(**{"dataset": "slake", "run": RUN} | wanted), out)
    with (out / "sheet.csv").open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    html = (out / "sheet.html").read_text(encoding="utf-8")
    return rows, html, json.loads(Seen(html).raw["script"][0])


def test_answers_that_differ_from_the_truth_are_drawn(study: Path) -> None:
    rows, _, data = sheet(study)
    assert len(rows) == 28
    assert [row["sample_id"] for row in rows] == [item["sample_id"] for item in data["items"]]
    assert {row["sample_id"] for row in rows} == {f"s{place}" for place in range(12, 40)}
    shown = next(item for item in data["items"] if item["sample_id"] == "s33")
    assert (shown["question"], shown["truth"], shown["answer"]) == ("What is 33?", "thing 33", "=thing of 33")
    assert data["images"][shown["image_id"]] == "data:image/png;base64," + base64.b64encode(png(13)).decode()
    assert [grade["grade"] for grade in data["grades"]] == ["1", "2", "3", "4", "5"]


def test_the_draw_is_by_seed(study: Path) -> None:
    first, html, _ = sheet(study, count=9)
    assert len(first) == 9
    assert sheet(study, "again", count=9)[1] == html
    assert [row["sample_id"] for row in sheet(study, "more", count=12)[0]][:9] == [row["sample_id"] for row in first]
    assert {row["sample_id"] for row in sheet(study, "other", count=9, seed=7)[0]} != {
        row["sample_id"] for row in first
    }


def test_a_balanced_draw_has_all_of_what_is_scarce(study: Path) -> None:
    rows, _, _ = sheet(study, count=20, judge="strict")
    scores = Counter(1 + int(row["sample_id"][1:]) % 5 if int(row["sample_id"][1:]) > 15 else 1 for row in rows)
    assert scores == {1: 4, 2: 4, 3: 4, 4: 4, 5: 4}
    assert not any("score" in name or "judge" in name for name in rows[0])


def test_closed_questions_have_two_grades(study: Path) -> None:
    rows, _, data = sheet(study, answer_type="closed")
    assert len(rows) == 5
    assert [grade["grade"] for grade in data["grades"]] == ["0", "1"]
    assert data["items"][0]["options"] == ["yes", "no"]


def test_the_page_asks_no_network_for_anything(study: Path) -> None:
    _, html, _ = sheet(study)
    seen = Seen(html)
    names = [tag for tag, _ in seen.tags]
    assert not {"link", "iframe", "object", "embed", "form", "base", "a"} & set(names)
    assert names.count("script") == 2
    places = [value for _, given in seen.tags for name, value in given.items() if name in ("src", "href", "action")]
    assert places == []
    for text in (*seen.raw["style"], seen.raw["script"][1]):
        assert not any(word in text for word in ("http", "url(", "import", "fetch", "WebSocket", "sendBeacon", "eval("))
    policy = next(given["content"] for tag, given in seen.tags if given.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for kind, text in (("style", seen.raw["style"][0]), ("script", seen.raw["script"][1])):
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy


def test_an_answer_cannot_leave_its_quotes(study: Path) -> None:
    rows, html, data = sheet(study)
    assert next(item["answer"] for item in data["items"] if item["sample_id"] == "s12") == NASTY
    assert "evil.example/x.js" in html
    assert "<script src" not in html
    assert "onerror=alert(1)>" not in html
    assert "\u2028" not in html
    # What a spreadsheet would take for a formula is text.
    assert {row["answer"][:2] for row in rows if row["sample_id"] != "s12"} == {"'="}


def rated(study: Path, rows: list[dict[str, str]], name: str, rater: str, grade: str, delimiter: str = ",") -> Path:
    path = study.parent / f"{name}.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({**row, "rater": rater, "rating": grade} for row in rows)
    return path


def test_ratings_come_back(study: Path) -> None:
    rows, _, data = sheet(study, count=3)
    closed, _, _ = sheet(study, "closed", count=2, answer_type="closed")
    paths = [
        rated(study, rows, "second", "Bo", "2", delimiter=";"),
        rated(study, rows, "first", "", "5"),
        rated(study, closed, "third", "Bo", "0,5", delimiter=";"),
        rated(study, rows, "unrated", "Cy", " "),
    ]
    found = read_ratings(paths)
    assert found["rater"].value_counts().to_dict() == {"Bo": 5, "first": 3}
    assert found.groupby(["rater", "answer_type"])["rating"].unique().map(list).to_dict() == {
        ("Bo", "closed"): [0.5],
        ("Bo", "open"): [2.0],
        ("first", "open"): [5.0],
    }
    now = read_answer_marks([study / "predictions" / RUN / "slake.parquet"])
    marks = set(found["answer_mark"])
    assert marks <= set(now["answer_mark"])
    assert data["items"][0]["answer_mark"] == answer_mark(RUN, rows[0]["sample_id"], data["items"][0]["answer"])
    assert read_ratings([]).empty


def test_all_that_is_wrong_with_ratings(study: Path) -> None:
    rows, _, _ = sheet(study, count=2)
    off, twice = rated(study, rows, "off", "Al", "6"), rated(study, rows, "twice", "Bo", "3")
    again, other = rated(study, rows, "again", "Bo", "4"), study.parent / "other.csv"
    other.write_text("name,grade\nx,3\n", encoding="utf-8")
    with pytest.raises(MedstressError) as error:
        read_ratings([off, twice, again, other, study.parent / "gone.csv"])
    text = str(error.value)
    assert "off.csv, row 2: rating is '6', expected 1, 2, 3, 4, 5" in text
    assert "Bo rated 2 answers more than once" in text
    assert "other.csv: no column rater, dataset" in text
    assert "gone.csv: no such file" in text


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"run": "vlm"}, rf"no answers of vlm to slake. There are: {RUN} slake."),
        ({"judge": "mild"}, r"mild has not judged these answers. Judges of the study: strict."),
    ],
)
def test_what_is_not_there(study: Path, wanted: dict[str, str], message: str) -> None:
    with pytest.raises(MedstressError, match=message):
        sheet(study, **wanted)


def test_nobody_who_rates_is_told_the_run(study: Path) -> None:
    sheet(study, "blind")
    for path in (study.parent.parent / "blind").iterdir():
        assert RUN not in path.read_text(encoding="utf-8-sig")


def test_a_sheet_that_is_filled_in_is_not_overwritten(study: Path) -> None:
    rows, _, _ = sheet(study, "kept", count=3)
    sheet(study, "kept", count=3)
    filled = rated(study, rows, "../kept/sheet", "Al", "4")
    with pytest.raises(MedstressError, match=r"sheet.csv is another sheet, or one that is filled in"):
        sheet(study, "kept", count=3)
    assert read_ratings([filled])["rating"].tolist() == [4.0] * 3


def test_spreadsheets_take_no_mark_for_a_number() -> None:
    marks = {answer_mark(RUN, "s1", str(place)) for place in range(2000)}
    assert len(marks) == 2000
    # Without the letter, some are digits alone or digits around an e.
    assert all(mark.isalnum() and mark[0] == "m" for mark in marks)
