"""The card of a perturbed data set as the Hugging Face hub reads it: YAML between dashes, then text for people."""

import re
from pathlib import Path

import yaml

from medstress.cards.dataset import DatasetCard
from medstress.exports.source import Perturbed
from medstress.records import atomic_path

_CATEGORIES = {
    "segmentation": ["image-segmentation"],
    "classification": ["image-classification"],
    "vqa": ["visual-question-answering"],
    "captioning": ["image-to-text"],
    "grounding": ["object-detection"],
}
_LICENCES = {
    "CC0": "cc0-1.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "BSD-3-Clause": "bsd-3-clause",
    "MIT": "mit",
}
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def licence_id(licence: str) -> str:
    """The hub's name of a card's licence; `other` where the card says anything but one licence, with what it is of.

    `BSD-3-Clause (stardist)` is BSD-3-Clause; a licence with a condition behind it is not that licence.
    """
    match = re.fullmatch(r"(?P<name>[^(;]+?)(?: \([\w.-]+\))?", licence.strip())
    return _LICENCES.get(match["name"], "other") if match else "other"


def write_dataset_card(card: DatasetCard, source: Perturbed, out: Path) -> None:
    """Write the card of a data set's perturbed images, such as the README.md of the Hugging Face export."""
    count = len(source.ids) * len(source.levels) * len(source.records)
    licence = licence_id(card.licence)
    header: dict[str, object] = {
        "pretty_name": f"{card.title}, perturbed",
        "license": licence,
        **({"license_name": "see-below"} if licence == "other" else {}),
        "task_categories": _CATEGORIES[card.task],
        "size_categories": [next((size for limit, size in _SIZES if count < limit), "n>1M")],
        "tags": ["medical", "robustness", card.modality],
        "configs": [
            {"config_name": name, "data_files": [{"split": "test", "path": f"data/{name}.parquet"}]}
            for name in source.records
        ],
    }
    fields = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=1000)
    kinds = [f"* `{name}`" for name in source.records]
    text = [
        f"# {card.title}, perturbed",
        "",
        f"{len(source.ids)} images of {card.title} ({card.modality}) under {len(source.records)} perturbations at "
        f"levels {', '.join(map(str, source.levels))}: {count} images, made by medstress for stress tests of models.",
        "",
        "Each row is an `image` with its `image_id`, `perturbation`, `level`, the `strength` that was used, its `ssim` "
        "to the clean image, and a `status`: `unreachable` marks images that no strength brings into the level's band; "
        "leave them out of means.",
        "",
        "## Perturbations",
        "",
        *kinds,
        "",
        "## Licence and source",
        "",
        f"The images are those of the source, changed, and stay under its licence: {card.licence.rstrip('.')}.",
        *(["", f"Source: {card.reference.rstrip('.')}."] if card.reference else []),
        "",
        "Not for training, and no evidence on how a model does with patients.",
        "",
    ]
    with atomic_path(out) as staged:
        staged.write_text(f"---\n{fields}---\n\n" + "\n".join(text), encoding="utf-8")
