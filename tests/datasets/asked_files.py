"""Small data sets of questions in every published layout, made on the fly."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medstress.cards.generation import GenerationCard
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.datasets.summary import Summary
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec
from tests.datasets.conftest import disc, picture, save

SHAPE = (40, 50)


class Asked:
    """A folder with a data set of questions; `prepare` returns the summary and the two records."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images, self.samples = root / "out" / "images.parquet", root / "out" / "samples.parquet"

    def card(self, source: dict[str, Any], **changes: Any) -> GenerationCard:
        base: dict[str, Any] = {
            "task": "vqa",
            "name": "mine",
            "title": "Mine",
            "modality": "mri",
            "source": source,
            "split": {"unit": "image", "by": "column"},
            "licence": "own",
        }
        return GenerationCard.model_validate(base | changes)

    def sheet(self, lines: list[str], **changes: Any) -> GenerationCard:
        (self.root / "sheet.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self.card({"format": "sheet", "sheet": "sheet.csv"} | changes.pop("source", {}), **changes)

    def picture(self, name: str, seed: int = 0) -> Path:
        return save(self.root / name, picture(seed, SHAPE))

    def prepare(self, card: GenerationCard, **limit: Any) -> tuple[Summary, list[ImageRow], list[SampleRow]]:
        spec = PrepareSpec(card=card, limit=Limit(**limit))
        summary = prepare_dataset(spec, self.root, self.images, self.samples)
        return summary, read_rows(self.images, ImageRow), read_rows(self.samples, SampleRow)

    def json(self, name: str, content: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")


def slake_item(number: int, image: str, question: str, answer: str, **changes: Any) -> dict[str, Any]:
    base = {
        "img_id": 1,
        "img_name": f"{image}/source.jpg",
        "question": question,
        "answer": answer,
        "q_lang": "en",
        "location": "Lung",
        "modality": "X-Ray",
        "answer_type": "OPEN",
        "base_type": "vqa",
        "content_type": "Organ",
        "triple": ["vhead", "_", "_"],
        "qid": number,
    }
    return base | changes


def slake(data: Asked, folder: str = "slake") -> None:
    """Four images of train, one of val and two of test, with X-rays and questions of size on both sides."""
    kinds = {"train": ("MRI", "X-Ray", "CT", "X-Ray"), "validate": ("MRI",), "test": ("MRI", "X-Ray")}
    number = 0
    for split, modalities in kinds.items():
        items = []
        for place, kind in enumerate(modalities):
            image = f"{split}{place}"
            save(data.root / folder / "imgs" / image / "source.jpg", picture(number, SHAPE))
            for question, answer, content, answer_type in (
                ("What organ is this?", "Lung", "Organ", "OPEN"),
                ("Is the lung healthy?", "No", "Abnormality", "CLOSED"),
                ("Which is bigger, heart or lung?", "Lung", "Size", "CLOSED"),
            ):
                number += 1
                said = {"content_type": content, "answer_type": answer_type, "modality": kind}
                items.append(slake_item(number, image, question, answer, **said))
            items.append(slake_item(number + 1000, image, "这是什么?", "肺", q_lang="zh"))
        data.json(f"{folder}/{split}.json", items)


def mimic_item(number: int, subject: str, kind: str, content: str, answer: Any, slots: Any = None) -> dict[str, Any]:
    return {
        "split": "train",
        "idx": number,
        "subject_id": subject,
        "study_id": f"s{number}",
        "image_id": f"i{subject}",
        "image_path": f"p10/p{subject}/s1/i{subject}.jpg",
        "question": f"question {number}?",
        "semantic_type": kind,
        "content_type": content,
        "template": "a ${object} template",
        "template_program": "program_1",
        "template_arguments": {"object": {}, "attribute": {}, "category": {}, "viewpos": {}, "gender": {}}
        | (slots or {}),
        "answer": answer,
    }


def mimic_tables(data: Asked, people: dict[str, tuple[str, str, list[str]]], folder: str = "mimic") -> None:
    """MIMIC-IV's two tables, compressed; people: gender, age and races by subject."""
    patients = ["subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod"]
    patients += [f"{subject},{gender},{age},2150,2011 - 2013," for subject, (gender, age, _) in people.items()]
    stays = ["subject_id,hadm_id,insurance,race"]
    stays += [f"{subject},1,Medicare,{race}" for subject, (_, _, races) in people.items() for race in races]
    for name, lines in (("patients", patients), ("admissions", stays)):
        path = data.root / folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


def png(seed: int) -> bytes:
    ok, buffer = cv2.imencode(".png", picture(seed, SHAPE))
    assert ok
    return buffer.tobytes()


def rocov2_table(path: Path, rows: list[dict[str, Any]], group: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=group)
    path.write_bytes(buffer.getvalue())


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


def save_mask(path: Path) -> None:
    save(path, disc(SHAPE))


def values_of(png_bytes: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(png_bytes, np.uint8), cv2.IMREAD_UNCHANGED))
