"""Speed of three prompt sets on a corrupted data set, beside the loop that publications run.

The loop opens one npz at a time, makes a PIL picture of each image, and asks the whole model for each prompt set. Ours
reads the records, embeds every image once, and asks the embeddings. Time is that of the clock, since ours decodes and
resizes in a thread of its own; both have two cores.
"""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from transformers import AutoTokenizer, CLIPModel

from medstress.cards.classifier import Clip
from medstress.journal import Journal
from medstress.models.classify import Records, classify_dataset
from medstress.models.embed import embed_dataset
from medstress.models.embed_texts import embed_texts
from medstress.models.zeroshot.clip import load
from medstress.perturb.build import perturb_dataset
from medstress.perturb.registry import PERTURBATIONS
from medstress.pixels import decode_png, encode_png
from medstress.records import ImageRow, PerturbedRow, SampleRow, read_rows, write_rows
from medstress.specs import ClassifySpec, ClassTexts, EmbedSpec, EmbedTextsSpec, PerturbSpec
from tests.conftest import ROOT

pytestmark = pytest.mark.benchmark(timer=time.perf_counter)

WEIGHTS = ROOT / "resources/models/tiny_clip"
CARD = Clip(name="tiny_clip", title="Tiny CLIP", adapter="clip", weights=str(WEIGHTS), device="cpu")
TYPES = ("gaussian_noise", "motion_blur", "jpeg")
SIDE = 224
IMAGES = 64
CLASSES = ("MRI", "CT", "ultrasound", "pathology", "X-ray", "fundus")
# As in config/robustmedclip.yaml: the published prompt, an ensemble, and one with the modality.
PROMPT_SETS = (
    ["a medical image of a {} belonging to modality"],
    [
        "a medical image of {}",
        "an image of {}",
        "a picture of {}",
        "a photo of a {}",
        "a photograph of {}",
        "a medical image showing {}",
    ],
    ["a medical photo of {}"],
)


def crops(picture: str, count: int) -> list[np.ndarray]:
    """Squares of 224 pixels, as MedMNIST has them."""
    whole = Picture.open(ROOT / "resources/gallery" / picture)
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        side = int(rng.integers(min(whole.size) // 2, min(whole.size) + 1))
        x, y = (int(rng.integers(0, length - side + 1)) for length in whole.size)
        found.append(np.asarray(whole.crop((x, y, x + side, y + side)).resize((SIDE, SIDE))))
    return found


@pytest.fixture(scope="module", params=["grey", "rgb"])
def corrupted(request, tmp_path_factory):
    """A data set of 64 images with three types at five levels, as records and as npz files."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    picture, modality = ("ct_1.png", "ct") if request.param == "grey" else ("pathology_1.png", "pathology")
    names = [f"test/{index:06d}" for index in range(IMAGES)]
    write_rows(
        folder / "images.parquet",
        ImageRow,
        [
            ImageRow(name, name, "test", modality, encode_png(image), SIDE, SIDE)
            for name, image in zip(names, crops(picture, len(names)), strict=True)
        ],
    )
    write_rows(
        folder / "samples.parquet", SampleRow, [SampleRow(name, name, "classification", labels=(0,)) for name in names]
    )
    levels = [1, 2, 3, 4, 5]
    for kind in TYPES:
        spec = PerturbSpec(
            dataset="bench", modality=modality, perturbation=kind, levels=levels, split="test", background=0
        )
        perturb_dataset(PERTURBATIONS[kind], spec, folder / "images.parquet", folder / f"{kind}.parquet")
        rows = read_rows(folder / f"{kind}.parquet", PerturbedRow)
        for level in levels:
            stacked = np.stack([decode_png(row.png, where=kind) for row in rows if row.level == level])
            np.savez_compressed(folder / f"{kind}_severity_{level}.npz", images=stacked, labels=np.zeros(len(names)))
    clean = np.stack([decode_png(row.png, where="clean") for row in read_rows(folder / "images.parquet", ImageRow)])
    np.savez_compressed(folder / "clean.npz", images=clean, labels=np.zeros(len(names)))
    return folder


def measure(benchmark, run, kind):
    benchmark.extra_info["classified"] = 3 * IMAGES * (1 + 5 * len(TYPES))
    benchmark.extra_info["kind"] = kind.name
    return benchmark.pedantic(run, rounds=3, warmup_rounds=0)


def texts(templates: list[str]) -> list[list[str]]:
    """Texts of each class."""
    return [[template.format(name) for template in templates] for name in CLASSES]


def test_classify_medstress(benchmark, corrupted, tmp_path):
    encoder, rounds = load(CARD), iter(range(100))
    spec = EmbedSpec(encoder="tiny_clip", model=CARD, dataset="bench", split="test")

    every = [text for templates in PROMPT_SETS for group in texts(templates) for text in group]

    def run():
        out = tmp_path / str(next(rounds))
        records = Records(
            corrupted / "images.parquet",
            corrupted / "samples.parquet",
            [corrupted / f"{kind}.parquet" for kind in TYPES],
            [out / "embeddings.parquet"],
            [out / "texts.parquet"],
        )
        embed_texts(encoder, EmbedTextsSpec(model=CARD, texts=every), records.texts[0])
        journal = Journal(out / "journal")
        embed_dataset(
            encoder, spec, records.images, records.perturbed, records.embeddings[0], journal=journal, code="bench"
        )
        for place, templates in enumerate(PROMPT_SETS):
            asked = ClassTexts(classes=list(CLASSES), texts=texts(templates), combine="mean_logits")
            given = ClassifySpec(run="tiny_clip", model=CARD, dataset="bench", split="test", texts=asked)
            classify_dataset(given, records, out / f"answers{place}.parquet")

    measure(benchmark, run, corrupted)


def test_classify_one_npz_at_a_time(benchmark, corrupted):
    model = CLIPModel.from_pretrained(WEIGHTS).eval()
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    side = model.config.vision_config.image_size
    pixels = load(CARD).preprocessing
    files = ["clean", *(f"{kind}_severity_{level}" for kind in TYPES for level in range(1, 6))]
    torch.set_num_threads(CARD.threads)

    def tensor(image):
        picture = Picture.fromarray(image).convert("RGB").resize((side, side), Picture.Resampling.BICUBIC)
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return (values - torch.tensor(pixels.mean)[:, None, None]) / torch.tensor(pixels.std)[:, None, None]

    @torch.inference_mode()
    def run():
        answers = []
        for templates in PROMPT_SETS:
            asked = [text for group in texts(templates) for text in group]
            tokens = tokenizer(asked, padding="max_length", return_tensors="pt")
            for name in files:
                images = np.load(corrupted / f"{name}.npz")["images"]
                batch = torch.stack([tensor(image) for image in images])
                found = model(pixel_values=batch, input_ids=tokens["input_ids"])
                logits = found.logits_per_image.reshape(len(batch), len(CLASSES), len(templates)).mean(-1)
                answers.append(logits.softmax(-1).numpy())
        return answers

    measure(benchmark, run, corrupted)
