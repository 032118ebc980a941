"""From images over embeddings to answers: every image once, every text once, and the same bytes however it went."""

from pathlib import Path

import numpy as np
import pytest

from medstress.cards.classifier import Clip, ImageClassifier, MajorityClass
from medstress.errors import MedstressError
from medstress.journal import Journal
from medstress.models.classify import Records, classify_dataset
from medstress.models.embed import embed_dataset
from medstress.models.embed_texts import embed_texts, read_texts
from medstress.models.zeroshot.head import text_head
from medstress.models.zeroshot.load import load_image_text
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.pixels import decode_png, encode_png
from medstress.records import (
    EmbeddingRow,
    ImageRow,
    PerturbedRow,
    PredictionRow,
    SampleRow,
    read_rows,
    write_rows,
)
from medstress.specs import ClassifySpec, ClassTexts, EmbedSpec, EmbedTextsSpec, PerturbSpec

WEIGHTS = "resources/models/tiny_clip"
CARD = Clip(name="tiny_clip", title="Tiny CLIP", adapter="clip", weights=WEIGHTS, device="cpu", batch=3)
SPEC = EmbedSpec(encoder="tiny_clip", model=CARD, dataset="few", split="test")
TEXTS = ClassTexts(classes=["CT", "fundus"], texts=[["a CT"], ["a fundus"]])


@pytest.fixture(scope="module")
def model():
    return load_image_text(CARD)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Seven test images and three train images of two classes, some grey and some RGB, and jpeg at two levels."""
    folder = tmp_path_factory.mktemp("few")
    rng = np.random.default_rng(0)
    names = [f"{split}/{index}" for split, count in (("test", 7), ("train", 3)) for index in range(count)]
    shapes = [(70, 64) if index % 2 else (64, 80, 3) for index in range(len(names))]
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    write_rows(
        folder / "images.parquet",
        ImageRow,
        [
            ImageRow(name, name, name.split("/")[0], "ct", encode_png(picture), *picture.shape[:2])
            for name, picture in zip(names, pictures, strict=True)
        ],
    )
    samples = [
        SampleRow(f"s{name}", name, "classification", labels=(int(index == 8),)) for index, name in enumerate(names)
    ]
    write_rows(folder / "samples.parquet", SampleRow, samples)
    spec = PerturbSpec(dataset="few", modality="ct", perturbation="jpeg", levels=[1, 5], split="test", background=0)
    perturb_dataset(PERTURBATIONS["jpeg"], spec, folder / "images.parquet", folder / "jpeg.parquet")
    return folder


def embed(few, model, out: Path, journal: Journal, spec: EmbedSpec = SPEC) -> bytes:
    embed_dataset(model, spec, few / "images.parquet", [few / "jpeg.parquet"], out, journal=journal, code="c")
    return out.read_bytes()


def records(few, folder: Path, *, perturbed: bool = True) -> Records:
    return Records(
        few / "images.parquet",
        few / "samples.parquet",
        [few / "jpeg.parquet"] if perturbed else [],
        [folder / "embeddings.parquet"],
        [folder / "texts.parquet"],
    )


def asked(texts: ClassTexts = TEXTS, **changes) -> ClassifySpec:
    return ClassifySpec(run="tiny_clip", dataset="few", split="test", texts=texts, **({"model": CARD} | changes))


def test_every_image_is_embedded_once_whatever_is_asked(few, model, tmp_path):
    first = Journal(tmp_path / "journal")
    whole = embed(few, model, tmp_path / "embeddings.parquet", first)
    assert (first.reused, first.computed) == (0, 2)  # the clean images, and one row group of the perturbed ones
    renamed = SPEC.model_copy(update={"encoder": "other", "model": CARD.model_copy(update={"title": "Other"})})
    second = Journal(tmp_path / "journal")
    assert embed(few, model, tmp_path / "again.parquet", second, renamed) == whole
    assert (second.reused, second.computed) == (2, 0)


def test_the_bytes_do_not_depend_on_how_many_units_are_embedded_at_a_time(few, model, tmp_path):
    several = SPEC.model_copy(update={"model": CARD.model_copy(update={"threads": 3})})
    one, other = (Journal(tmp_path / name) for name in "ab")
    assert embed(few, model, tmp_path / "a.parquet", one) == embed(few, model, tmp_path / "b.parquet", other, several)


def test_a_damaged_unit_is_embedded_again(few, model, tmp_path):
    whole = embed(few, model, tmp_path / "embeddings.parquet", Journal(tmp_path / "journal"))
    unit = sorted((tmp_path / "journal").glob("*.parquet"))[0]
    unit.write_bytes(unit.read_bytes()[:100])
    journal = Journal(tmp_path / "journal")
    assert embed(few, model, tmp_path / "again.parquet", journal) == whole
    assert (journal.reused, journal.computed, len(journal.damaged)) == (1, 1, 1)


def test_answers_are_those_of_the_model_asked_directly(few, model, tmp_path):
    embed(few, model, tmp_path / "embeddings.parquet", Journal(tmp_path / "journal"))
    every = EmbedTextsSpec(model=CARD, texts=sorted(text for group in TEXTS.texts for text in group))
    embed_texts(model, every, tmp_path / "texts.parquet")
    assert classify_dataset(asked(), records(few, tmp_path), tmp_path / "answers.parquet") == 7 * 3
    answers = read_rows(tmp_path / "answers.parquet", PredictionRow)
    clean = [row for row in read_rows(few / "images.parquet", ImageRow) if row.split == "test"]
    views = [(row.image_id, "clean", 0, row.png) for row in clean]
    views += [(row.image_id, "jpeg", row.level, row.png) for row in read_rows(few / "jpeg.parquet", PerturbedRow)]
    logits = text_head(model, TEXTS).logits(model.embed([decode_png(png, where="") for *_, png in views]))
    found = {(row.sample_id, row.perturbation, row.level): row for row in answers}
    assert len(found) == len(views)
    for (image_id, name, level, _), wanted in zip(views, logits, strict=True):
        row = found[(f"s{image_id}", name, level)]
        assert row.logits == tuple(wanted.tolist())
        assert (row.object_id, row.status, row.mask) == ("", "ok", None)
    known, scale = read_texts(tmp_path / "texts.parquet")
    assert scale == model.scale
    assert np.array_equal(known["a CT"], model.embed_texts(["a CT"])[0])


def test_embeddings_of_other_images_are_refused(few, model, tmp_path):
    write_rows(tmp_path / "embeddings.parquet", EmbeddingRow, [EmbeddingRow("other", "clean", 0, bytes(64 * 4))])
    embed_texts(model, EmbedTextsSpec(model=CARD, texts=["a CT", "a fundus"]), tmp_path / "texts.parquet")
    with pytest.raises(MedstressError, match="other is no image of the test split of few"):
        classify_dataset(asked(), records(few, tmp_path), tmp_path / "answers.parquet")
    assert not (tmp_path / "answers.parquet").exists()


def test_a_classifier_of_other_classes_is_refused(few, tmp_path):
    card = ImageClassifier(
        name="net",
        title="Net",
        adapter="image_classifier",
        library="timm",
        architecture="resnet18",
        weights="net.safetensors",
        classes=["fundus", "CT"],
    )
    with pytest.raises(MedstressError, match="its outputs are fundus, CT, but the data set's classes are CT, fundus"):
        classify_dataset(asked(model=card), records(few, tmp_path), tmp_path / "answers.parquet")


def test_the_majority_class_knows_the_train_split_alone(few, tmp_path):
    card = MajorityClass(name="majority_class", title="Majority class", adapter="majority_class")
    assert classify_dataset(asked(model=card), records(few, tmp_path), tmp_path / "answers.parquet") == 21
    answers = read_rows(tmp_path / "answers.parquet", PredictionRow)
    # Two train images of the first class and one of the second; no test image is of the second.
    assert {tuple(np.exp(row.logits).round(6)) for row in answers} == {(round(2 / 3, 6), round(1 / 3, 6))}


def test_a_split_without_images(few, model, tmp_path):
    with pytest.raises(MedstressError, match="no image of the split 'val'"):
        embed_dataset(
            model,
            SPEC.model_copy(update={"split": "val"}),
            few / "images.parquet",
            [],
            tmp_path / "embeddings.parquet",
            journal=Journal(tmp_path / "journal"),
            code="c",
        )
