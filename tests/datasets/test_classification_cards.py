"""The cards of published classification data say what their publishers say, and the embedded one is read."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from medstress.cards.classification import ClassificationCard, MedMnist
from medstress.config import Limit
from medstress.datasets.prepare import prepare_dataset
from medstress.fetch.plan import dataset_folder, dataset_paths
from medstress.perturb.scales.registry import SCALES
from medstress.records import ImageRow, SampleRow, read_rows
from medstress.specs import PrepareSpec
from tests.conftest import ROOT

FOLDER = ROOT / "config" / "datasets"
CARDS = sorted(path.stem for path in FOLDER.glob("*.yaml") if "\ntask: classification\n" in path.read_text())
MEDMNIST = sorted(SCALES["medmnist_c"].variants)
MEDIMETA = [f"medimeta_{name}" for name in ("aml", "fundus", "mammo_calc", "mammo_mass", "oct", "pbc", "pneumonia")]


def card_of(name: str) -> ClassificationCard:
    return ClassificationCard.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))


def test_every_published_set_has_its_cards() -> None:
    corrupted = [f"{name}_c" for name in MEDMNIST if name != "tissuemnist"]
    assert len(MEDMNIST) == 12
    assert sorted(CARDS) == sorted([*MEDMNIST, *corrupted, *MEDIMETA, "modality"])


@pytest.mark.parametrize("name", [name for name in CARDS if name != "modality"])
def test_a_card_is_fetched_to_where_it_is_read(name: str) -> None:
    card = card_of(name)
    assert dataset_folder(card) == f"downloads/datasets/{name}"
    assert all(path.startswith(f"downloads/datasets/{name}/") for path in dataset_paths(card))
    assert (card.corrupted is not None) == (name.endswith("_c") or name in MEDIMETA)
    assert card.called == name.removesuffix("_c").removeprefix("medimeta_") * bool(card.corrupted)
    for split, counts in card.classes.counts.items():
        assert sum(counts) == card.expected[split]
    for item in card.download:
        assert item.by_hand or item.md5 or item.hub == "razaimam45/MediMeta-C"


def test_a_card_with_corrupted_images_says_the_same_of_the_clean_ones() -> None:
    for name in MEDMNIST:
        if name == "tissuemnist":
            continue
        clean, corrupted = card_of(name), card_of(f"{name}_c")
        assert clean.classes == corrupted.classes
        assert (clean.modality, clean.phrase, clean.expected) == (
            corrupted.modality,
            corrupted.phrase,
            corrupted.expected,
        )
        assert isinstance(corrupted.source, MedMnist)
        assert corrupted.source.file.endswith(f"/{name}_224.npz")


def test_docs_tell_how_to_get_every_set() -> None:
    text = (ROOT / "docs" / "datasets.md").read_text()
    for name in CARDS:
        card = card_of(name)
        assert f"`{name}`" in text or f"config/datasets/{name}.yaml" in text, name
        for item in card.download:
            place = item.hub or (item.url or item.by_hand).partition("/files/")[0]
            assert place in text or item.by_hand, (name, place)
        for count in card.expected.values():
            assert f"{count:,}" in text, (name, count)


def test_the_embedded_set_keeps_sources_apart(tmp_path: Path) -> None:
    card = card_of("modality")
    paths = tmp_path / "images.parquet", tmp_path / "samples.parquet"
    prepare_dataset(PrepareSpec(card=card, limit=Limit()), ROOT, *paths)
    images, samples = read_rows(paths[0], ImageRow), read_rows(paths[1], SampleRow)
    sides: dict[str, set[str]] = {}
    for row in images:
        sides.setdefault(row.group_id, set()).add(row.split)
    assert all(len(splits) == 1 for splits in sides.values())
    kinds = {"MRI": "mri", "CT": "ct", "ultrasound": "ultrasound", "pathology": "pathology", "X-ray": "xray"}
    kinds["fundus"] = "fundus"
    assert list(kinds) == card.classes.names
    for row, sample in zip(images, samples, strict=True):
        assert kinds[card.classes.names[sample.labels[0]]] == row.modality
    for split in ("train", "test"):
        found = np.unique([s.labels[0] for r, s in zip(images, samples, strict=True) if r.split == split])
        assert found.tolist() == list(range(6))
